"""/dev/shm and /dev/mqueue of another container, for `--ipc container:ID`: they belong to the shared ipc namespace.

A mount can be copied only from within its own mount namespace, which is entered for that and left again. The other
container may have prepared the place: its links are not followed, and what is found must be such a file system.
"""

from __future__ import annotations

import os

from sandbox.errors import StartError
from sandbox.runtime import syscalls as sc

_SHARED = (("/dev/shm", sc.TMPFS_MAGIC), ("/dev/mqueue", sc.MQUEUE_MAGIC))


def copy_ipc_mounts(pid: int) -> dict[str, int]:
    """Detached copies of the mounts, by target, for the calling process to attach elsewhere. Raises StartError.

    Called by a process that is root of a user namespace above both containers', and shares its root and working
    directory with no other (it has one thread).
    """
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        theirs = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            sc.setns(theirs, sc.CLONE_NEWNS)
        finally:
            os.close(theirs)
        try:
            return _copy_mounts()
        finally:
            sc.setns(own, sc.CLONE_NEWNS)
            # setns(2) makes the root of the namespace ours, which need not be the one we had
            os.fchdir(root)
            os.chroot(".")
    except OSError as error:
        raise StartError("cannot share /dev/shm of the other container", cause=error.strerror or "") from error
    finally:
        os.close(root)
        os.close(own)


def _copy_mounts() -> dict[str, int]:
    copies = {}
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for target, magic in _SHARED:
            copy = _copy_mount(root, target, magic)
            if copy is not None:
                copies[target] = copy
    finally:
        os.close(root)
    if "/dev/shm" not in copies:
        raise StartError("cannot share /dev/shm of the other container", cause="it has none")
    return copies


def _copy_mount(root_fd: int, target: str, magic: int) -> int | None:
    try:
        fd = sc.openat2(root_fd, target, os.O_PATH | os.O_DIRECTORY, sc.RESOLVE_IN_ROOT | sc.RESOLVE_NO_SYMLINKS)
    except FileNotFoundError:
        return None  # --ipc host mounts no mqueue
    try:
        if sc.filesystem_type(fd) != magic:
            return None
        return sc.open_tree(fd, "", sc.AT_EMPTY_PATH | sc.OPEN_TREE_CLONE)
    finally:
        os.close(fd)
