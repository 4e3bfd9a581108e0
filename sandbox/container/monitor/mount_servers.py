"""The processes that serve a container's file systems, recorded in files, so that none outlives a killed monitor.

Such a server ends with its mount, and that with the last process of the container. One that hangs does neither: a
process that waits for it cannot even be killed. So whoever finds the monitor dead ends the servers it left.
"""

from __future__ import annotations

import fcntl
import os
import signal
from contextlib import suppress

from sandbox.live_processes import boot_id, is_alive, process_start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_SUFFIX = ".server"
#: to write back what is cached, after the monitor's death
_GRACE_SECONDS = 5.0


def note_server(target: str, pid: int) -> None:
    """Record that `pid` serves what is mounted at `target`, beside it."""
    with open(f"{target}{_SUFFIX}", "w") as file:
        file.write(f"{pid} {process_start(pid)} {boot_id()}")


def forget_server(target: str) -> None:
    """It ended."""
    with suppress(FileNotFoundError):
        os.unlink(f"{target}{_SUFFIX}")


def end_left_servers(directory_fd: int, *, wait: bool) -> bool:
    """End the servers that are recorded in a container's runtime directory; its monitor must be dead.

    That takes a moment where one hangs, and nobody else waits for it: without `wait`, False at once where another
    process is at it.
    """
    try:
        fcntl.flock(directory_fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    for name in os.listdir(directory_fd):
        if name.endswith(_SUFFIX):
            with suppress(FileNotFoundError), _open(name, directory_fd) as file:
                fields = file.read().split()
                # cut short by a full disk or a kill
                if len(fields) == 3:
                    _end(int(fields[0]), int(fields[1]), fields[2])
    return True


def _open(name: str, directory_fd: int) -> TextIO:
    return open(name, opener=lambda path, flags: os.open(path, flags, dir_fd=directory_fd))


def _end(pid: int, start: int, boot: str) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # asked with the descriptor in hand: the number may have been given anew
        if not is_alive(pid, start, boot):
            return
        import select

        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        if not poller.poll(_GRACE_SECONDS * 1000):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            poller.poll()
    except (ProcessLookupError, PermissionError):
        pass
    finally:
        os.close(pidfd)
