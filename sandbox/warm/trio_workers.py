"""Calls from a program that runs trio, one for each task.

    async with open_workers() as workers:
        done = await workers.call(Request("image.pull", (paths, "debian")), progress=send_on)

A call whose task is cancelled is cancelled, and its worker waited for. Whoever wants an operation to go on when its own
client has gone calls it from a task of another nursery.
"""

from __future__ import annotations

import os
import socket
from contextlib import asynccontextmanager, suppress
from importlib import import_module

import trio

from sandbox.warm.failures import PreparedProcessError
from sandbox.warm.line import ATTEMPTS, REPORT_BYTES, Course, encode_request, explain_unsent, open_line
from sandbox.warm.messages import ANCILLARY_BYTES, CHUNK_BYTES, RECEIVE_FLAGS, Assembly, ancillary_of
from sandbox.warm.prepared import GRACE_SECONDS
from sandbox.warm.starting import REGISTRY, Prepared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Any

    from sandbox.warm.line import EncodedRequest, Line, Request

#: after a cancel; past the grace the worker is killed, and only the kernel could hold it still
_PATIENCE_SECONDS = 2 * GRACE_SECONDS


@asynccontextmanager
async def open_workers(
    registry: str = REGISTRY, *, descriptors: tuple[int, int] | None = None
) -> AsyncIterator[TrioWorkers]:
    """Workers for the length of the block; at its end calls that are on are cancelled, and all processes waited for.

    `descriptors` is their limit of open files (soft, hard), where that is not the caller's own.
    """
    workers = TrioWorkers(registry, descriptors)
    try:
        yield workers
    finally:
        await workers.aclose()


async def _nobody(_value: Any) -> None:
    """Listens to progress that nobody asked for."""


class TrioWorkers:
    """A prepared process, started with the first call, and again where it has died. Made by `open_workers`."""

    def __init__(self, registry: str, descriptors: tuple[int, int] | None = None) -> None:
        self._registry = registry
        self._descriptors = descriptors
        self._operations = import_module(registry).OPERATIONS
        self._prepared: Prepared | None = None
        #: one task at a time may wait until the door takes more
        self._door_lock = trio.Lock()
        self._is_closed = False

    async def call(self, request: Request, progress: Callable[[Any], Awaitable[None]] = _nobody) -> Any:
        """Do an operation and return its result; `progress` is awaited with each value that it tells on the way.

        Raises what the operation raises; WorkerDiedError, PreparedProcessError, HostError where it could not be done;
        UsageError for one that there is not.
        """
        encoded = encode_request(request, self._operations)
        for attempts_left in reversed(range(ATTEMPTS)):
            prepared, course = self._present(), Course(request)
            line = await self._open_line(prepared, lasts=encoded.lasts)
            if line is not None:
                await _carry(line, encoded, course, progress)
            if not (attempts_left and course.may_be_repeated and prepared.is_gone):
                return course.outcome(prepared.last_words)
            self._replace(prepared)
        raise AssertionError("the last attempt has an outcome")

    def start(self) -> None:
        """Start the prepared process now, in place of with the first call. Raises PreparedProcessError."""
        self._present()

    @property
    def pid(self) -> int:
        """The prepared process; 0 where none was started yet."""
        return self._prepared.pid if self._prepared is not None else 0

    async def aclose(self) -> None:
        """End the prepared process and its workers, and wait until they have ended; twice is safe."""
        prepared, self._prepared, self._is_closed = self._prepared, None, True
        if prepared is None:
            return
        prepared.end()
        with trio.CancelScope(shield=True):
            if not prepared.has_ended:
                await _wait_process(prepared.pid)
        _let_go(prepared)

    def _present(self) -> Prepared:
        if self._is_closed:
            raise PreparedProcessError("the workers were closed")
        if self._prepared is None:
            self._prepared = Prepared(self._registry, self._descriptors)
            self._prepared.door.setblocking(False)
        return self._prepared

    def _replace(self, dead: Prepared) -> None:
        if self._prepared is dead:
            self._prepared = None
            # it has closed its end, and is about to be gone: this is not waited for long
            _let_go(dead)

    async def _open_line(self, prepared: Prepared, *, lasts: bool) -> Line | None:
        """None where the prepared process is gone. Raises PreparedProcessError."""
        async with self._door_lock:
            while not prepared.is_gone:
                try:
                    return open_line(prepared.door, lasts=lasts)
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(prepared.door)
                except (ConnectionError, trio.ClosedResourceError):
                    break
                except OSError as error:
                    raise explain_unsent(error) from error
        return None


def _let_go(prepared: Prepared) -> None:
    # a task may wait until the door takes more
    trio.lowlevel.notify_closing(prepared.door)
    prepared.reap()


async def _carry(
    line: Line, encoded: EncodedRequest, course: Course, progress: Callable[[Any], Awaitable[None]]
) -> None:
    """Send the request and take what comes, until the worker has ended; `course` knows how then."""
    talk, fate = trio.socket.from_stdlib_socket(line.talk), trio.socket.from_stdlib_socket(line.fate)
    assembly = Assembly()
    with talk, fate:
        try:
            await _send(talk, encoded)
            while not course.is_answered:
                data, ancillary, _flags, _address = await _receive(talk)
                if not data:
                    break
                for message in assembly.feed(data, ancillary):
                    for value in course.take(message, assembly.take_descriptors):
                        await progress(value)
            await _wait_end(fate, course)
        except BaseException:
            line.cancel()
            with trio.move_on_after(_PATIENCE_SECONDS, shield=True):
                await _wait_end(fate, course)
            course.discard()
            raise
        finally:
            assembly.close()


async def _send(talk: trio.socket.SocketType, encoded: EncodedRequest) -> None:
    descriptors = encoded.descriptors
    try:
        for frame in encoded.frames:
            rest = memoryview(frame)
            while rest:
                sent = await talk.sendmsg([rest], ancillary_of(descriptors), socket.MSG_NOSIGNAL)
                rest, descriptors = rest[sent:], ()
    except ConnectionError:
        pass  # where nobody takes it any more `fate` tells
    except OSError as error:
        raise explain_unsent(error) from error


async def _receive(talk: trio.socket.SocketType) -> Any:
    try:
        return await talk.recvmsg(CHUNK_BYTES, ANCILLARY_BYTES, RECEIVE_FLAGS)
    except ConnectionResetError:
        return b"", (), 0, None


async def _wait_end(fate: trio.socket.SocketType, course: Course) -> None:
    with suppress(ConnectionError):
        while report := await fate.recv(REPORT_BYTES):
            course.fate.take(report)


async def _wait_process(pid: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return  # somebody else has reaped it
    try:
        await trio.lowlevel.wait_readable(pidfd)
    finally:
        os.close(pidfd)
