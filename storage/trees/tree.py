"""Whole trees: removed, measured; by descriptors, to any depth, never through a symlink."""

from __future__ import annotations

import os
import stat

from storage.errors import os_failure
from storage.named_tuple import NamedTuple
from storage.trees.resolve import mkdir_in_root, open_in_root
from storage.trees.walk import FirstNames, Walk

__all__ = ["Usage", "disk_usage", "is_small_tree", "mkdir_in_root", "open_in_root", "remove_entry", "remove_tree"]

_FEW_ENTRIES = 64
_LITTLE_BYTES = 8 << 20
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Usage(NamedTuple):
    """What a tree takes: bytes allocated, sizes as `ls` shows them (both with hard links counted once), and entries."""

    allocated_bytes: int
    size_bytes: int
    entries: int


def is_small_tree(path: str) -> bool:
    """Whether the tree has so little in it that nobody would notice its removal; found out as quickly."""
    entries, size, waiting = 0, 0, [path]
    try:
        while waiting:
            with os.scandir(waiting.pop()) as found:
                for entry in found:
                    entries += 1
                    size += entry.stat(follow_symlinks=False).st_size
                    if entries > _FEW_ENTRIES or size > _LITTLE_BYTES:
                        return False
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
    except OSError:
        return False
    return True


def remove_tree(path: str | bytes) -> None:
    """Remove the file or tree at `path`; missing is fine, and so is being interrupted: a second call goes on.

    A symlink is removed, not followed. Files of subordinate ids need a process inside the mapped user namespace.
    StorageError where something cannot be removed.
    """
    directory, base = os.path.split(os.fsencode(path).rstrip(b"/"))
    try:
        dir_fd = os.open(directory or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        remove_entry(dir_fd, base)
    except OSError as error:
        raise os_failure(f"cannot remove {os.fsdecode(path)}", error) from error
    finally:
        os.close(dir_fd)


def remove_entry(dir_fd: int, name: bytes) -> None:
    """Remove what `name` is in `dir_fd`, a whole tree where it is a directory; missing is fine.

    OSError where it cannot be.
    """
    try:
        os.unlink(name, dir_fd=dir_fd)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        _remove_directory(dir_fd, name)


def remove_content(dir_fd: int) -> None:
    """Remove everything in the directory, not itself."""
    walk = Walk(dir_fd)
    for step in walk:
        if step.leaving:
            os.rmdir(step.name, dir_fd=step.dir_fd)
        elif stat.S_ISDIR(step.status.st_mode):
            _make_removable(step.dir_fd, step.name, step.status.st_mode)
        else:
            os.unlink(step.name, dir_fd=step.dir_fd)


def disk_usage(path: str | bytes) -> Usage:
    """What the tree at `path` takes. StorageError where it cannot be read."""
    first_names = FirstNames()
    allocated = size = entries = 0
    try:
        fd = os.open(path, _OPEN)
        try:
            for step in Walk(fd):
                status = step.status
                if step.leaving or first_names.find(status, step.name) is not None:
                    continue
                allocated += status.st_blocks * 512
                size += status.st_size if stat.S_ISREG(status.st_mode) else 0
                entries += 1
        finally:
            os.close(fd)
    except OSError as error:
        raise os_failure(f"cannot measure {os.fsdecode(path)}", error) from error
    return Usage(allocated, size, entries)


def _remove_directory(dir_fd: int, name: bytes) -> None:
    _make_removable(dir_fd, name, os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode)
    fd = os.open(name, _OPEN, dir_fd=dir_fd)
    try:
        remove_content(fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=dir_fd)


def _make_removable(dir_fd: int, name: bytes, mode: int) -> None:
    """Give ourselves the rights a directory's mode withholds (after `chmod 000`); a capability may make it needless."""
    if mode & 0o700 == 0o700:
        return
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        # fchmod takes no O_PATH descriptor; its /proc link leads to the same inode
        os.chmod(f"/proc/self/fd/{fd}", 0o700)
    finally:
        os.close(fd)
