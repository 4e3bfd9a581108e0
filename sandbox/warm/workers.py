"""Calls from a program that blocks: `Workers`, for any number of threads at once.

    with Workers() as workers:
        done = workers.call(Request("image.pull", (paths, "debian"), {"platform": None}), progress=print)

A call that is on can be followed, and cancelled by another thread: `workers.begin(request)` is a `Call`.
"""

from __future__ import annotations

import os
import threading
from contextlib import closing
from importlib import import_module

from sandbox.warm.failures import PreparedProcessError
from sandbox.warm.line import ATTEMPTS, REPORT_BYTES, Course, Request, encode_request, explain_unsent, open_line
from sandbox.warm.messages import Wire
from sandbox.warm.starting import REGISTRY, Prepared

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Any

    from sandbox.warm.line import EncodedRequest, Line

__all__ = ("Call", "Request", "Workers")


class Workers:
    """A prepared process, started with the first call, and again where it has died.

    Any thread may call; calls go on beside each other. `close` cancels those that are on, and waits for their ends.
    """

    def __init__(self, registry: str = REGISTRY) -> None:
        self._registry = registry
        self._operations = import_module(registry).OPERATIONS
        #: held for the start and the end of the process, never during a call
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._prepared: Prepared | None = None
        #: of the process that this one was forked from
        self._inherited: Prepared | None = None
        self._is_closed = False

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def call(self, request: Request, progress: Callable[[Any], None] = lambda _value: None) -> Any:
        """Do an operation and return its result; `progress` gets each value that it tells on the way.

        Raises what the operation raises; WorkerDiedError, PreparedProcessError, HostError where it could not be done;
        UsageError for one that there is not. An exception here (KeyboardInterrupt, or of `progress`) cancels it.
        """
        call = self.begin(request)
        try:
            for value in call:
                progress(value)
            return call.result()
        finally:
            call.close()

    def begin(self, request: Request) -> Call:
        """A call whose progress and result are asked for by the caller, who must do so, or close it."""
        return Call(self, request, encode_request(request, self._operations))

    def start(self) -> None:
        """Start the prepared process now, in place of with the first call. Raises PreparedProcessError."""
        self.present()

    @property
    def pid(self) -> int:
        """The prepared process; 0 where none was started yet."""
        return self._prepared.pid if self._prepared is not None else 0

    def close(self) -> None:
        """End the prepared process and its workers, and wait until they have ended; twice is safe."""
        self._leave_inherited()
        with self._lock:
            prepared, self._prepared, self._is_closed = self._prepared, None, True
        if prepared is not None:
            prepared.end()
            prepared.reap()

    def present(self) -> Prepared:
        """The process that takes calls. Raises PreparedProcessError."""
        self._leave_inherited()
        with self._lock:
            if self._is_closed:
                raise PreparedProcessError("the workers were closed")
            if self._prepared is None:
                self._prepared = Prepared(self._registry)
            return self._prepared

    def _leave_inherited(self) -> None:
        """In a fork of the owner: that one's process ends with it, and its lock may have been held at the fork."""
        if self._owner != os.getpid():
            self._owner, self._lock = os.getpid(), threading.Lock()
            self._inherited, self._prepared = self._prepared, None

    def replace(self, dead: Prepared) -> None:
        """Let the next call start another process in the place of `dead`."""
        with self._lock:
            if self._prepared is dead:
                self._prepared = None
                dead.reap()


class Call:
    """One call that is on: iterate for its progress, ask for its `result`; `cancel` it from any thread.

    Both raise what the operation raised. One that is given up before its end is cancelled, and its worker waited for.
    """

    def __init__(self, workers: Workers, request: Request, encoded: EncodedRequest) -> None:
        self._workers = workers
        self._request = request
        self._encoded = encoded
        self._course = Course(request)
        self._attempts = 0
        self._is_over = False
        self._prepared, self._line, self._wire = self._connect()

    def __iter__(self) -> Iterator[Any]:
        while not self._is_over:
            yield from self._follow()
            self._is_over = not self._course.may_be_repeated or self._attempts == ATTEMPTS or not self._prepared.is_gone
            if not self._is_over:
                self._workers.replace(self._prepared)
                self._prepared, self._line, self._wire = self._connect()
                if self._course.is_cancelled:
                    # by another thread, meanwhile
                    self._line.cancel()

    def result(self) -> Any:
        """What the operation returned; waits for it."""
        for _value in self:
            pass
        return self._course.outcome(self._prepared.last_words)

    def cancel(self) -> None:
        """Have the worker ended, as ctrl-C ends a command; `result` then raises OperationCancelledError, or gives what
        there was already.
        """
        self._course.is_cancelled = True
        self._line.cancel()

    def close(self) -> None:
        """Give the call up: cancel it where it is on, and wait for the end of its worker."""
        if not self._is_over:
            self._is_over = True
            self.cancel()
            self._wait_end()
        self._course.discard()

    def _connect(self) -> tuple[Prepared, Line, Wire]:
        while True:
            self._attempts += 1
            prepared = self._workers.present()
            try:
                line = open_line(prepared.door, lasts=self._encoded.lasts)
            except OSError as error:
                if self._attempts == ATTEMPTS or not prepared.is_gone:
                    raise explain_unsent(error) from error
                self._workers.replace(prepared)
                continue
            wire = Wire(line.talk)
            try:
                # where nobody takes it any more `fate` tells
                wire.send(self._encoded.frames, self._encoded.descriptors)
            except BaseException as error:
                line.cancel()
                line.close()
                if isinstance(error, OSError):
                    raise explain_unsent(error) from error
                raise
            return prepared, line, wire

    def _follow(self) -> Iterator[Any]:
        """The progress of the worker that is on; at the end it is gone, and `_course` knows how."""
        try:
            while not self._course.is_answered and (message := self._wire.receive()) is not None:
                yield from self._course.take(message, self._wire.take_descriptors)
        except BaseException:
            self.close()
            raise
        self._wait_end()

    def _wait_end(self) -> None:
        with self._line.fate as fate, closing(self._wire):
            while report := _receive(fate):
                self._course.fate.take(report)


def _receive(fate: socket.socket) -> bytes:
    try:
        return fate.recv(REPORT_BYTES)
    except OSError:
        # the prepared process is gone, or an exception came while this was closed
        return b""
