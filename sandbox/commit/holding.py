"""A container's processes held while something is read of it, and let go on whatever becomes of the reader.

reader                             guard
fork ────────────────────────────▶ waits for a word, or for the reader's end
pause
…                                  (the reader was killed: lets the container go on)
unpause
word ────────────────────────────▶ ends
"""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

from sandbox.container.operations import pause, unpause
from sandbox.errors import ConflictError, NotFoundError, SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.container.model.record import Container
    from sandbox.operation_context import OperationContext


@contextmanager
def held_still(context: OperationContext, container: Container) -> Iterator[None]:
    """Pause the container for the length of the block, where it runs and is not paused. Raises SandboxError where its
    processes cannot be held.
    """
    if container.state.status != "running":
        yield
        return
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    guard = os.fork()
    if guard == 0:
        _guard(context, container.id, read_fd)
    os.close(read_fd)
    try:
        paused = _pause(context, container)
        try:
            yield
        finally:
            if paused:
                with suppress(ConflictError, NotFoundError):
                    # somebody may have ended it, or let it go on
                    unpause(context, container.id)
    finally:
        os.write(write_fd, b"done")
        os.close(write_fd)
        os.waitpid(guard, 0)


def _pause(context: OperationContext, container: Container) -> bool:
    try:
        pause(context, container.id)
    except ConflictError:
        # it has ended meanwhile, or somebody else has paused it
        return False
    return True


def _guard(context: OperationContext, container_id: str, read_fd: int) -> NoReturn:
    """In the forked child: nobody who ends the reader ends it too, and it keeps nothing of the reader's open."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.dup2(read_fd, 3)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        if not os.read(3, 1):
            with suppress(SandboxError):
                unpause(context, container_id)
    finally:
        os._exit(0)
