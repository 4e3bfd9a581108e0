"""An owner's side of one call: its request as bytes, the two sockets it goes by, and what came of it."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress

from sandbox.errors import HostError, SandboxError, UsageError
from sandbox.named_tuple import NamedTuple
from sandbox.warm.failures import OperationCancelledError, PreparedProcessError, died
from sandbox.warm.messages import DESCRIPTORS_MAX, encode_long_message
from sandbox.warm.prepared import BEGUN, ENDED, FAILED, FATE, LASTS, SHORT
from sandbox.warm.registry import INTERRUPTED_STATUS
from sandbox.warm.values import Decoder, Descriptor, Encoder, decode_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from sandbox.warm.registry import Operation

#: calls that a prepared process died of before it began them are made again, by a new one
ATTEMPTS = 3
REPORT_BYTES = 64


class Request(NamedTuple):
    """What is asked of a worker: an operation of the registry, and its arguments in order and by name."""

    operation: str
    arguments: tuple[object, ...] = ()
    named: Mapping[str, object] = {}
    #: of the worker, and of what it starts; None is that of this process
    environment: Mapping[str, str] | None = None
    #: a descriptor of the directory that the worker is to be in; None is /
    directory: int | None = None


class EncodedRequest(NamedTuple):
    """A request as it is sent."""

    lasts: bool
    descriptors: tuple[int, ...]
    frames: tuple[bytes, ...]


def encode_request(request: Request, operations: Mapping[str, Operation]) -> EncodedRequest:
    """Raises UsageError for an operation that is not in the table and for too many descriptors; TypeError for an
    argument that is no value.
    """
    operation = operations.get(request.operation)
    if operation is None:
        raise UsageError(f"there is no operation {request.operation}")
    encoder = Encoder()
    fields = {
        "arguments": encoder.encode(request.arguments),
        "named": encoder.encode(dict(request.named)),
        "environment": encoder.encode(dict(os.environ if request.environment is None else request.environment)),
        "directory": None if request.directory is None else encoder.encode(Descriptor(request.directory)),
    }
    count = len(encoder.descriptors)
    if count > DESCRIPTORS_MAX:
        raise UsageError(f"{count} descriptors for one call", cause=f"at most {DESCRIPTORS_MAX} can be sent")
    frames = encode_long_message("request", operation=request.operation, descriptors=count, **fields)
    return EncodedRequest(operation.lasts, tuple(encoder.descriptors), tuple(frames))


class Line(NamedTuple):
    """The owner's ends: `talk` leads to the worker, `fate` to the prepared process."""

    talk: socket.socket
    fate: socket.socket

    def cancel(self) -> None:
        """Have the worker ended; also where another process has inherited the socket."""
        with suppress(OSError):
            # it may be closed already, here or there
            self.fate.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.talk.close()
        self.fate.close()


def open_line(door: socket.socket, *, lasts: bool) -> Line:
    """Ask for a worker. Raises OSError: BlockingIOError where the door is non-blocking and full, ConnectionError where
    the prepared process is gone.
    """
    talk, its_talk = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    fate, its_fate = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line = Line(talk, fate)
    try:
        with its_talk, its_fate:
            sent = [its_talk.fileno(), its_fate.fileno()]
            socket.send_fds(door, [LASTS if lasts else SHORT], sent, socket.MSG_NOSIGNAL)
    except BaseException:
        line.close()
        raise
    return line


def explain_unsent(error: OSError) -> SandboxError:
    """Why a call could not be made, though the prepared process is there."""
    if error.errno in (errno.EMFILE, errno.ETOOMANYREFS):
        return HostError(
            "too many calls are on",
            cause="the sockets that they go by reach the limit of open files: ulimit -n",
            mend="ulimit -Sn hard",
        )
    return PreparedProcessError("cannot reach the process for operations", cause=error.strerror or str(error))


class Fate:
    """What the prepared process tells of a call."""

    def __init__(self) -> None:
        self.begun = False
        self.errno = 0
        self.exit_code: int | None = None

    def take(self, report: bytes) -> None:
        if report == BEGUN:
            self.begun = True
            return
        kind, number = FATE.unpack(report)
        if kind == ENDED:
            self.exit_code = number
        elif kind == FAILED:
            self.errno = number


class Course:
    """A call as its messages come in."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.fate = Fate()
        self.is_cancelled = False
        self._last: dict[str, Any] | None = None
        self._descriptors: list[int] = []

    def take(self, message: dict[str, Any], take_descriptors: Callable[[int], list[int]]) -> Iterator[Any]:
        """The value of a progress message, if it is one."""
        if message["type"] == "progress":
            yield Decoder().decode(message["value"])
            return
        if message["type"] == "result":
            self._descriptors = take_descriptors(message["descriptors"])
        self._last = message

    @property
    def is_answered(self) -> bool:
        return self._last is not None

    @property
    def may_be_repeated(self) -> bool:
        """Whether the prepared process was gone before it had begun."""
        return not (self.is_answered or self.is_cancelled or self.fate.begun)

    def discard(self) -> None:
        """Close the descriptors of a result that nobody has asked for."""
        for number in self._descriptors:
            os.close(number)
        self._descriptors = []

    def outcome(self, last_words: Callable[[], str]) -> Any:
        """The operation's result. Raises what it raised, or the SandboxError that says why there is none."""
        if self._last is not None:
            if self._last["type"] == "error":
                raise decode_error(self._last["error"])
            descriptors, self._descriptors = self._descriptors, []
            return Decoder(descriptors).decode(self._last["value"])
        name, fate = self._request.operation, self.fate
        if self.is_cancelled or fate.exit_code == INTERRUPTED_STATUS:
            raise OperationCancelledError(f"{name} was cancelled")
        if fate.errno:
            raise HostError(
                f"cannot start a process for {name}", cause=os.strerror(fate.errno), mend="ulimit -u; free -m"
            )
        if fate.exit_code is not None:
            raise died(name, fate.exit_code)
        if not fate.begun:
            raise PreparedProcessError(
                f"the process for operations did not take {name}", cause=last_words() or "too many files are open there"
            )
        raise PreparedProcessError(f"the process for operations died during {name}", cause=last_words())
