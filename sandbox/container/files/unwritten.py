"""What processes of a container have written and its FUSE server has not got yet: handed to it, before the files of the
upper directory are read beside it.

The kernel holds writes back where a file is open (fuse(4), writeback cache), and hands them over when any descriptor of
the file is closed.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.container.files.tree import Tree
    from sandbox.container.model.record import Container
    from sandbox.paths import Paths

_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def hand_over(paths: Paths, container: Container) -> None:
    """Have the server of a container that runs have all that was written. Raises SandboxError."""
    if container.config.storage_driver == "fuse" and container.state.status in ("running", "paused"):
        from sandbox.container.files.tree import call_in_tree  # few containers have a server that lags behind

        call_in_tree(paths, container.id, _hand_over)


def _hand_over(tree: Tree) -> None:
    from storage.syscalls import syncfs

    # of what is mapped the kernel begins to write, and nobody waits for it
    syncfs(tree.root_fd)
    device = os.fstat(tree.root_fd).st_dev
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                _close_one(f"/proc/{pid}/fd/{name}", device)


def _close_one(path: str, device: int) -> None:
    with suppress(OSError):
        status = os.stat(path)
        if status.st_dev == device and stat.S_ISREG(status.st_mode):
            os.close(os.open(path, _OPEN))
