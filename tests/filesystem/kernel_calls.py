"""System calls that the tests of file systems make and the standard library lacks; the only ctypes of these tests."""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Any, NamedTuple

#: linux/falloc.h
FALLOCATE_FLAGS = {"KEEP_SIZE": 1, "PUNCH_HOLE": 2, "COLLAPSE_RANGE": 8, "ZERO_RANGE": 16, "INSERT_RANGE": 32}
#: linux/fs.h
RENAME_FLAGS = {"NOREPLACE": 1, "EXCHANGE": 2, "WHITEOUT": 4}
#: bits/stat.h
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = -100, 0x100, 0x400, 0x1000
#: linux/inotify.h
INOTIFY_EVENTS = {
    "ACCESS": 0x1, "MODIFY": 0x2, "ATTRIB": 0x4, "CLOSE_WRITE": 0x8, "CLOSE_NOWRITE": 0x10, "OPEN": 0x20,
    "MOVED_FROM": 0x40, "MOVED_TO": 0x80, "CREATE": 0x100, "DELETE": 0x200, "DELETE_SELF": 0x400, "MOVE_SELF": 0x800,
}  # fmt: skip
_STATX_ALL = 0xFFF

_libc = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


def _call(name: str, *arguments: Any) -> int:  # ctypes takes what it can convert
    result = int(getattr(_libc, name)(*arguments))
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def _long(number: int) -> ctypes.c_long:
    return ctypes.c_long(number)


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """fallocate(2)."""
    _call("fallocate", fd, mode, _long(offset), _long(length))


def renameat2(old: bytes, new: bytes, flags: int) -> None:
    """renameat2(2) from the working directory."""
    _call("renameat2", AT_FDCWD, old, AT_FDCWD, new, flags)


def access(path: bytes, mode: int) -> None:
    """access(2), which os.access gives no errno of."""
    _call("access", path, mode)


def linkat(old_fd: int, old: bytes, new: bytes, flags: int) -> None:
    """linkat(2) with its flags."""
    _call("linkat", old_fd, old, AT_FDCWD, new, flags)


def utimensat(path: bytes, atime: tuple[int, int], mtime: tuple[int, int], flags: int = 0) -> None:
    """utimensat(2): each time as seconds and nanoseconds, the latter also UTIME_NOW or UTIME_OMIT."""
    _call("utimensat", AT_FDCWD, path, (_Timespec * 2)(_Timespec(*atime), _Timespec(*mtime)), flags)


def adopt_orphans() -> None:
    """Become the parent of what descendants leave behind, prctl(2) PR_SET_CHILD_SUBREAPER."""
    _call("prctl", 36, 1, 0, 0, 0)


def syncfs(fd: int) -> None:
    """syncfs(2)."""
    _call("syncfs", fd)


class Statx(NamedTuple):
    """Some of struct statx."""

    mask: int
    nlink: int
    uid: int
    gid: int
    mode: int
    ino: int
    size: int
    dev: tuple[int, int]


def statx(path: bytes, flags: int = AT_SYMLINK_NOFOLLOW) -> Statx:
    """statx(2) of `path`, everything asked for."""
    raw = ctypes.create_string_buffer(256)
    _call("statx", AT_FDCWD, path, flags, _STATX_ALL, raw)
    mask, _blksize, _attributes, nlink, uid, gid, mode, _spare, ino, size = struct.unpack_from("IIQIIIHHQQ", raw.raw)
    major, minor = struct.unpack_from("II", raw.raw, 136)
    return Statx(mask, nlink, uid, gid, mode, ino, size, (major, minor))


def inotify_watch(path: bytes) -> int:
    """A descriptor that tells of everything that happens to `path`."""
    fd = _call("inotify_init1", os.O_CLOEXEC | os.O_NONBLOCK)
    _call("inotify_add_watch", fd, path, sum(INOTIFY_EVENTS.values()))
    return fd


def inotify_read(fd: int) -> list[str]:
    """The events since the last call, each as its names joined by `|`, with a name after a colon."""
    try:
        raw = os.read(fd, 1 << 16)
    except BlockingIOError:
        return []
    found, at = [], 0
    while at < len(raw):
        _watch, mask, _cookie, length = struct.unpack_from("iIII", raw, at)
        name = raw[at + 16 : at + 16 + length].rstrip(b"\0").decode()
        words = "|".join(word for word, bit in INOTIFY_EVENTS.items() if mask & bit)
        if words:  # not IN_IGNORED, which nobody asks for
            found.append(f"{words}:{name}" if name else words)
        at += 16 + length
    return found


def getdents_names(fd: int, size: int) -> list[str]:
    """One getdents64(2) into `size` bytes: names, without . and .., [] at the end."""
    raw = ctypes.create_string_buffer(size)
    length = int(_libc.syscall(ctypes.c_long(217), fd, raw, size))
    if length == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"getdents64: {os.strerror(code)}")
    names, at = [], 0
    while at < length:
        _ino, _offset, record, _kind = struct.unpack_from("QqHB", raw.raw, at)
        names.append(raw.raw[at + 19 : at + record].split(b"\0", 1)[0].decode(errors="surrogateescape"))
        at += record
    return names
