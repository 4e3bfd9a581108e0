"""Work that waits, written once: for a process that may block, and for one that serves others meanwhile.

Such work is a generator. Where it would block it yields a descriptor and the seconds it is willing to wait (None: for
ever; descriptor -1: for the time alone), and is resumed with whether the descriptor has become readable. `carry_out`
carries it through at once; a monitor's loop carries it on between other things. A generator that is closed before its
end gives back what it holds.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeVar

    T = TypeVar("T")
    Wait = tuple[int, float | None]
    Steps = Generator[Wait, bool, T]


def carry_out(steps: Steps[T]) -> T:
    """Carry the work through to its end, and return its value; its errors pass through."""
    try:
        wait = next(steps)
        while True:
            wait = steps.send(_is_ready(*wait))
    except StopIteration as end:
        value: T = end.value
        return value


def child_steps(pid: int) -> Steps[int]:
    """Wait for a child of this process to end; its wait status."""
    pidfd = os.pidfd_open(pid)
    try:
        yield pidfd, None
    finally:
        os.close(pidfd)
    return os.waitpid(pid, 0)[1]


def _is_ready(fd: int, seconds: float | None) -> bool:
    import select

    poller = select.poll()
    if fd >= 0:
        poller.register(fd, select.POLLIN)
    return bool(poller.poll(None if seconds is None else seconds * 1000))
