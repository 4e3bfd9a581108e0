"""What one layer's directory has in it, as the file system says it."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from storage.whiteouts import OPAQUE_XATTR, WHITEOUT_XATTR, entry_path

if TYPE_CHECKING:
    from collections.abc import Iterator

#: the file has no such attribute, its file system has none, or keeps them from us; anything else says nothing
_NONE = (errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES)


def scan(directory_fd: int) -> Iterator[tuple[bytes, os.stat_result]]:
    """Names and attributes of what the directory has."""
    with os.scandir(directory_fd) as entries:
        for entry in entries:
            yield os.fsencode(entry.name), entry.stat(follow_symlinks=False)


def read_mark(directory_fd: int) -> bytes:
    """The directory's mark: b"y" opaque, b"x" with whiteouts that are xattrs, or nothing."""
    try:
        return os.getxattr(directory_fd, OPAQUE_XATTR)
    except OSError as error:
        if error.errno not in _NONE:
            raise
        return b""


def is_whiteout(directory_fd: int, name: bytes, status: os.stat_result, mark: bytes) -> bool:
    """Whether the entry hides one below, in a form that is not its name."""
    if stat.S_ISCHR(status.st_mode):
        return status.st_rdev == 0
    if mark != b"x" or status.st_size or not stat.S_ISREG(status.st_mode):
        return False
    try:
        os.getxattr(entry_path(directory_fd, name), WHITEOUT_XATTR, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NONE:
            raise
        return False
    return True
