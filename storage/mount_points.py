"""Whether something is mounted at a path, without a word to what serves it: a server that hangs answers nobody."""

from __future__ import annotations

import os


def is_mounted(path: str) -> bool:
    """Whether the directory or file is one of a mount; False where it is missing."""
    try:
        return _mount_id(path) != _mount_id(os.path.dirname(path))
    except FileNotFoundError:
        return False


def _mount_id(path: str) -> bytes:
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with open(f"/proc/self/fdinfo/{fd}", "rb") as file:
            # proc_pid_fdinfo(5)
            return next(line for line in file if line.startswith(b"mnt_id:"))
    finally:
        os.close(fd)
