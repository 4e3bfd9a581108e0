"""A worker: forked from the prepared process for one call, which it reads, does, answers; then it ends.

It is as a command that was just started: default signals, an environment and a directory that the request brings,
/dev/null for its standard streams. A cancelled call is a SIGINT, as ctrl-C is to a command.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from importlib import import_module

from sandbox.errors import NotFoundError
from sandbox.foreign_errors import explain_error
from sandbox.paths import find_paths
from sandbox.runtime.syscalls import PR_SET_PDEATHSIG, prctl
from sandbox.warm.failures import OperationFaultError
from sandbox.warm.messages import Wire, encode_long_message
from sandbox.warm.registry import INTERRUPTED_STATUS
from sandbox.warm.values import Decoder, Encoder, encode_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn

    from sandbox.warm.registry import Operation

#: what `ps -o comm` shows: at most 15 bytes, proc(5)
PROCESS_NAME = b"sandbox-worker"


def run_worker(talk: socket.socket, operations: Mapping[str, Operation], parent: int) -> NoReturn:
    """Serve the one call on `talk`, in the child of the process `parent`, where SIGINT raises KeyboardInterrupt."""
    status = 1
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # where it died before that nobody would tell us
        if os.getppid() == parent:
            _take_name()
            _serve(Wire(talk), operations)
            status = 0
    except KeyboardInterrupt:
        status = INTERRUPTED_STATUS
    finally:
        # never through the interpreter's own way out: it belongs to the process that was forked
        os._exit(status)


def _take_name() -> None:
    file = os.open("/proc/self/comm", os.O_WRONLY | os.O_CLOEXEC)
    os.write(file, PROCESS_NAME)
    os.close(file)


def _serve(wire: Wire, operations: Mapping[str, Operation]) -> None:
    encoder = Encoder()
    try:
        message = wire.receive()
        if message is None:
            return  # the owner is gone, or thought better of it
        value = encoder.encode(_do(wire, operations, message))
        answer = encode_long_message("result", value=value, descriptors=len(encoder.descriptors))
    except Exception as error:  # noqa: BLE001  # a process boundary: the owner reads it as an error
        encoder.descriptors.clear()
        told = explain_error(error, lambda: find_paths(os.environ).database) or _fault(error)
        answer = encode_long_message("error", error=encode_error(told))
    wire.send(answer, encoder.descriptors)


def _do(wire: Wire, operations: Mapping[str, Operation], message: dict[str, Any]) -> object:
    name = message["operation"]
    operation = operations.get(name)
    if operation is None:
        raise NotFoundError(f"there is no operation {name}")
    decoder = Decoder(wire.take_descriptors(message["descriptors"]))
    _take_place(decoder.decode(message["environment"]), decoder.decode(message["directory"]))
    arguments, named = decoder.decode(message["arguments"]), decoder.decode(message["named"])
    if operation.reports:
        named[operation.reports] = _teller(wire)
    function = getattr(import_module(operation.module), operation.function)
    result = function(*arguments, **named)
    if not isinstance(result, Iterator):
        return result
    tell = _teller(wire)
    for item in result:
        tell(item)
    return None


def _take_place(environment: Mapping[str, str], directory: int | None) -> None:
    # there is none: the prepared process has cleared its own
    os.environ.update(environment)
    if "TZ" in environment:
        time.tzset()
    if directory is not None:
        os.fchdir(directory)
        os.close(directory)


def _teller(wire: Wire) -> Callable[[object], None]:
    def tell(value: object) -> None:
        encoder = Encoder()
        plain = encoder.encode(value)
        if encoder.descriptors:
            raise TypeError("a descriptor can be a result, and no progress")
        wire.send(encode_long_message("progress", value=plain))

    return tell


def _fault(error: Exception) -> OperationFaultError:
    from traceback import format_exception  # for a fault only

    failure = OperationFaultError("an operation failed inside", cause=f"{type(error).__name__}: {error}")
    failure.add_note("".join(format_exception(error)))
    return failure
