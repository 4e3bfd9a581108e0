"""Whiteouts in their two forms: `.wh.` names in a layer's tar (image-spec layer.md §Whiteouts), and what overlayfs
understands.

Overlay form: a character device 0:0 (mknod(2) allows that one in a user namespace since Linux 5.8), or, where mknod is
refused, an empty file with `user.overlay.whiteout` in a directory with `user.overlay.opaque=x` (Linux 6.7). An opaque
directory has `user.overlay.opaque=y`. The xattrs are `user.` because layers are mounted with `userxattr`.
"""

from __future__ import annotations

import errno
import os
import stat

PREFIX = b".wh."
OPAQUE_NAME = b".wh..wh..opq"
META_PREFIX = b".wh..wh."
"""aufs bookkeeping (hard link directories, pseudo links): means nothing to anyone now, passed over as Docker does."""

OPAQUE_XATTR = "user.overlay.opaque"
WHITEOUT_XATTR = "user.overlay.whiteout"
FORGEABLE_PREFIXES = ("user.overlay.", "trusted.overlay.", "user.sandbox.", "user.fuseoverlayfs.")
"""xattrs by which file systems and we keep our books: never taken from an archive, never copied."""


def make_whiteout(dir_fd: int, name: bytes) -> None:
    """Hide `name` of lower layers; nothing by that name may be there."""
    try:
        os.mknod(name, stat.S_IFCHR, 0, dir_fd=dir_fd)
    except PermissionError:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o000, dir_fd=dir_fd)
        try:
            os.setxattr(fd, WHITEOUT_XATTR, b"y")
            if _xattr(dir_fd, OPAQUE_XATTR) != b"y":
                os.setxattr(dir_fd, OPAQUE_XATTR, b"x")
        except BaseException:
            # without them it would be an empty file
            os.unlink(name, dir_fd=dir_fd)
            raise
        finally:
            os.close(fd)


def make_opaque(dir_fd: int) -> None:
    """Hide everything that lower layers have in this directory."""
    os.setxattr(dir_fd, OPAQUE_XATTR, b"y")


def is_opaque(fd: int) -> bool:
    """Whether this directory hides what lower layers have in it."""
    return _xattr(fd, OPAQUE_XATTR) == b"y"


def is_opaque_at(dir_fd: int, name: bytes) -> bool:
    """`is_opaque` of a directory in `dir_fd`."""
    return _xattr(entry_path(dir_fd, name), OPAQUE_XATTR) == b"y"


def is_whiteout(dir_fd: int, name: bytes, status: os.stat_result) -> bool:
    """Whether the entry hides one of lower layers, in either form."""
    if stat.S_ISCHR(status.st_mode):
        return status.st_rdev == 0
    if not stat.S_ISREG(status.st_mode) or status.st_size or _xattr(dir_fd, OPAQUE_XATTR) != b"x":
        return False
    return _xattr(entry_path(dir_fd, name), WHITEOUT_XATTR) is not None


def entry_path(dir_fd: int, name: bytes) -> bytes:
    """A path for the calls that take no directory descriptor; `name` is one component."""
    return b"/proc/self/fd/%d/%b" % (dir_fd, name)


def _xattr(place: int | bytes, name: str) -> bytes | None:
    try:
        return os.getxattr(place, name) if isinstance(place, int) else os.getxattr(place, name, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES):
            return None
        raise
