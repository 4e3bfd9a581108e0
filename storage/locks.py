"""Locks by key: flock on the very file or directory that is being made. The kernel frees them with their process."""

from __future__ import annotations

import fcntl
import os


def lock_file(path: str) -> int:
    """A locked read-write descriptor of the file at `path`, made where missing; waits for its holder."""
    return _lock(path, os.O_RDWR | os.O_CREAT)


def lock_directory(path: str) -> int:
    """A locked descriptor of the directory at `path`, made where missing; waits for its holder."""
    return _lock(path, os.O_RDONLY | os.O_DIRECTORY)


def lock_nowait(path: str) -> int | None:
    """A locked descriptor of what is at `path`, or None where it is missing or somebody holds it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    if is_at(fd, path):
        return fd
    os.close(fd)
    return None


def is_unlocked(path: str) -> bool:
    """Whether something is at `path`, and nobody holds it."""
    fd = lock_nowait(path)
    if fd is None:
        return False
    unlock(fd)
    return True


def remove_unlocked(path: str) -> None:
    """Remove the file or tree at `path`, unless somebody holds it; missing is fine. StorageError as `remove_tree`."""
    fd = lock_nowait(path)
    if fd is not None:
        from storage.trees.tree import remove_tree  # few who lock remove

        try:
            remove_tree(path)
        finally:
            unlock(fd)


def unlock(fd: int) -> None:
    """Let go of the lock and close. Unlocked by name, for a child forked meanwhile holds a copy of the descriptor."""
    fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


def is_at(fd: int, path: str) -> bool:
    """Whether `path` still names what `fd` is."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _lock(path: str, flags: int) -> int:
    while True:
        if flags & os.O_DIRECTORY:
            _make_directory(path)
        try:
            fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue
        fcntl.flock(fd, fcntl.LOCK_EX)
        # its holder may have renamed or removed it while we waited: the lock is on an inode of another name then
        if is_at(fd, path):
            return fd
        os.close(fd)


def _make_directory(path: str) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
