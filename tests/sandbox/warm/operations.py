"""Operations that only tests ask for: each shows one thing about the worker that it runs in."""

from __future__ import annotations

import errno
import os
import random
import select
import signal
import sys
import time
from typing import TYPE_CHECKING

from sandbox import state
from sandbox.errors import CommandNotFoundError, NotFoundError
from sandbox.warm.registry import Operation
from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.values import RestartPolicy

#: what an operation leaves in this module is a global of its worker
left_behind: list[str] = []


def echo(value: object) -> object:
    return value


def fail(kind: str) -> None:
    match kind:
        case "not-found":
            raise NotFoundError("No such container: x", word="x", near="y", mend="sandbox ps -a", code="E1")
        case "programs":
            error = CommandNotFoundError("no such command", programs=("sh", "ls"))
            error.code = "E99"
            error.add_note("of the image")
            raise error
        case "storage":
            raise StorageError("cannot write", cause="the disk is full")
        case "os":
            raise FileNotFoundError(2, "No such file or directory", "/nowhere")
        case "limit":
            raise OSError(errno.EMFILE, "Too many open files")
        case "database":
            raise state.DatabaseError("disk I/O error")
        case "fault":
            raise ZeroDivisionError("division by zero")
        case "value":
            raise UnsentError(object())


class UnsentError(NotFoundError):
    """One that has a field of no kind that can be sent."""

    def __init__(self, thing: object) -> None:
        super().__init__("unsent")
        self.thing = thing


def describe() -> dict[str, object]:
    """What this process has of whoever started it."""
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "umask": os.umask(0o22),
        "blocked": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
        "handled": [
            number.name for number in signal.Signals
            if signal.getsignal(number) not in (signal.SIG_DFL, signal.default_int_handler, None)
        ],
        "descriptors": {name: os.readlink(f"/proc/self/fd/{name}") for name in ("0", "1", "2")},
        "open": _open_descriptors(),
        "threads": len(os.listdir("/proc/self/task")),
        "left": list(left_behind),
        "random": random.getrandbits(64),
        "session": os.getsid(0),
        "zone": time.tzname,
        "database": "sqlite3" in sys.modules,
    }  # fmt: skip


def spoil() -> None:
    """Leave everything another way than it was."""
    left_behind.append("spoilt")
    os.environ["SPOILT"] = "1"
    os.chdir("/usr")
    os.umask(0)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
    random.seed(1)
    os.open("/dev/null", os.O_RDONLY)


def _open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) - 1


def count_open(_descriptors: list[int]) -> int:
    return _open_descriptors()


def read(descriptor: int) -> str:
    with open(descriptor) as file:
        return file.read()


def count(last: int, *, tell: Callable[[object], None]) -> int:
    for number in range(last):
        tell(number)
    return last


def count_up(last: int) -> Iterator[int]:
    yield from range(last)


def meet(arrived: int, go: int) -> int:
    """Say that this worker is there, and wait for leave to go on."""
    os.write(arrived, b"x")
    os.read(go, 1)
    return os.getpid()


def hold(arrived: int, tidied: int) -> None:
    """Wait for ever; when interrupted, say so."""
    # a signal that comes before the wait is not slept through, as pause(2) would
    reads, writes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writes)
    try:
        os.write(arrived, b"%d\n" % os.getpid())
        select.select([reads], [], [])
    finally:
        os.write(tidied, b"tidied")


def end(number: int) -> None:
    os.kill(os.getpid(), number)


def leave(status: int) -> None:
    os._exit(status)


def restart_policy(policy: RestartPolicy) -> RestartPolicy:
    return policy._replace(maximum_retries=policy.maximum_retries + 1)


OPERATIONS = {
    **{name: Operation(__name__, name) for name in (
        "echo", "count_open", "count_up", "fail", "describe", "spoil", "read", "end", "leave", "restart_policy"
    )},
    "count": Operation(__name__, "count", reports="tell"),
    "meet": Operation(__name__, "meet"),
    "hold": Operation(__name__, "hold", lasts=True),
}  # fmt: skip
PRELOADED: tuple[str, ...] = ()
