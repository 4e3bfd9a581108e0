"""A process and all that it has started, killed: by its group, and by who is whose child."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

#: a container may fork without end, and is not to keep us
_MOST = 250


def kill_with_descendants(pid: int) -> None:
    """SIGKILL for an unreaped child of the caller that leads a process group, for its group and its descendants.

    Of the descendants those that are there now and whose parents are.
    """
    pidfds = _open_descendants(pid)
    # unreaped: the number is still its own
    for send, number in ((os.killpg, pid), (os.kill, pid)):
        with suppress(ProcessLookupError, PermissionError):
            send(number, signal.SIGKILL)
    for pidfd in pidfds:
        with suppress(OSError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)


def _open_descendants(pid: int) -> list[int]:
    opened: list[int] = []
    parents = [pid]
    while parents and len(opened) < _MOST:
        parent = parents.pop()
        found: dict[int, int] = {}
        for child in _children(parent)[: _MOST - len(opened)]:
            with suppress(OSError):
                found[child] = os.pidfd_open(child)
        # with the descriptors in hand: no number is that of another by now
        parents += found.keys() & set(_children(parent))
        for child, pidfd in found.items():
            if child in parents:
                opened.append(pidfd)
            else:
                os.close(pidfd)
    return opened


def _children(pid: int) -> list[int]:
    """The children of all threads of a process, proc_pid_task_tid_children(5); none where the kernel does not tell."""
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:
                found += [int(word) for word in file.read().split()]
    return found
