"""The system calls the standard library lacks, by the kernel's names, argument orders and constants.

The only module of `storage` that imports ctypes. Each raises OSError as the `os` functions do.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# linux/openat2.h
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
# sched.h
CLONE_NEWNS = 0x00020000
# linux/prctl.h
PR_SET_DUMPABLE = 4
# linux/mount.h
MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_POSIXACL = 1 << 16
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH = 2
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR__ATIME = 0x70
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
# linux/fcntl.h
AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
# linux/fs.h
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
RENAME_WHITEOUT = 4
FICLONE = 0x40049409

_libc = ctypes.CDLL(None, use_errno=True)


def _failure(name: str, code: int) -> OSError:
    error = OSError(code, os.strerror(code))
    # for who reads a traceback: a person is told what was being done, not by which call
    error.add_note(f"{name}(2)")
    return error


def _bind(name: str, *argtypes: Any) -> Callable[..., int]:
    # indexing, not getattr: `syscall` is bound several times, each with argument types of its own
    call = _libc[name]

    def check(result: Any, _func: Any, _args: Any) -> Any:  # a raw int, as ctypes hands it over
        if result == -1:
            code = ctypes.get_errno()
            raise _failure(name, code)
        return result

    # a C int: the upper half of the register may be anything, and -1 would pass for 4294967295
    call.argtypes, call.restype, call.errcheck = argtypes, ctypes.c_int, check
    return call


def _bind_number(name: str, number: int, *argtypes: Any) -> Callable[..., int]:
    # by number, since glibc before 2.36 (Ubuntu 22.04) lacks the wrappers; calls this new have one number everywhere
    call = _libc["syscall"]

    def check(result: Any, _func: Any, _args: Any) -> Any:  # a raw long, as ctypes hands it over
        if result == -1:
            code = ctypes.get_errno()
            raise _failure(name, code)
        return result

    call.argtypes, call.restype, call.errcheck = (ctypes.c_long, *argtypes), ctypes.c_long, check

    def numbered(*args: Any) -> int:
        done: int = call(number, *args)
        return done

    return numbered


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


class _MountAttr(ctypes.Structure):
    _fields_ = [
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


_int, _uint, _str, _ptr, _ulong = ctypes.c_int, ctypes.c_uint, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_ulong
_mount = _bind("mount", _str, _str, _str, _ulong, _str)
_umount2 = _bind("umount2", _str, _int)
_renameat2 = _bind("renameat2", _int, _str, _int, _str, _uint)
_syncfs = _bind("syncfs", _int)
_unshare = _bind("unshare", _int)
_prctl = _bind("prctl", _int, _ulong, _ulong, _ulong, _ulong)
_close_range = _bind_number("close_range", 436, _uint, _uint, _uint)
_openat2 = _bind_number("openat2", 437, _int, _str, _ptr, ctypes.c_size_t)
_open_tree = _bind_number("open_tree", 428, _int, _str, _uint)
_move_mount = _bind_number("move_mount", 429, _int, _str, _int, _str, _uint)
_fsopen = _bind_number("fsopen", 430, _str, _uint)
_fsconfig = _bind_number("fsconfig", 431, _int, _uint, _str, _str, _int)
_fsmount = _bind_number("fsmount", 432, _int, _uint, _uint)
_mount_setattr = _bind_number("mount_setattr", 442, _int, _str, _uint, _ptr, ctypes.c_size_t)


def _path(path: str | bytes | None) -> bytes | None:
    return None if path is None else os.fsencode(path)


def openat2(dir_fd: int, path: str | bytes, flags: int, resolve: int, mode: int = 0) -> int:
    """A descriptor of `path` below `dir_fd`, resolved as `resolve` allows; close-on-exec always. What is made gets the
    permission bits `mode`.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    return _openat2(dir_fd, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))


def mount(
    source: str | bytes | None, target: str | bytes, fstype: str | None, flags: int, data: str | bytes | None
) -> None:
    """mount(2)."""
    _mount(_path(source), _path(target), _path(fstype), flags, _path(data))


def umount2(target: str | bytes, flags: int = 0) -> None:
    """umount2(2)."""
    _umount2(_path(target), flags)


def open_tree(dir_fd: int, path: str | bytes, flags: int) -> int:
    """A descriptor of a mount or, with OPEN_TREE_CLONE, of a detached copy of it."""
    return _open_tree(dir_fd, _path(path), flags)


def move_mount(from_fd: int, from_path: str | bytes, to_fd: int, to_path: str | bytes, flags: int) -> None:
    """Attach the mount at the first place to the second."""
    _move_mount(from_fd, _path(from_path), to_fd, _path(to_path), flags)


def fsopen(fstype: str, flags: int = FSOPEN_CLOEXEC) -> int:
    """A descriptor of a file system configuration, to be filled by fsconfig."""
    return _fsopen(_path(fstype), flags)


def fsconfig(fs_fd: int, command: int, key: str | None, value: str | bytes | None, aux: int = 0) -> None:
    """Set one parameter of the file system, or create it."""
    _fsconfig(fs_fd, command, _path(key), _path(value), aux)


def fsmount(fs_fd: int, flags: int = FSMOUNT_CLOEXEC, attr_flags: int = 0) -> int:
    """A descriptor of the detached mount of a created file system."""
    return _fsmount(fs_fd, flags, attr_flags)


def mount_setattr(
    dir_fd: int,
    path: str | bytes,
    flags: int,
    *,
    attr_set: int = 0,
    attr_clr: int = 0,
    propagation: int = 0,
    userns_fd: int = 0,
) -> None:
    """Change attributes of a mount, of all below it too with AT_RECURSIVE."""
    attr = _MountAttr(attr_set, attr_clr, propagation, userns_fd)
    _mount_setattr(dir_fd, _path(path), flags, ctypes.byref(attr), ctypes.sizeof(attr))


def renameat2(old_dir_fd: int, old_path: str | bytes, new_dir_fd: int, new_path: str | bytes, flags: int) -> None:
    """rename(2) with RENAME_NOREPLACE or RENAME_EXCHANGE."""
    _renameat2(old_dir_fd, _path(old_path), new_dir_fd, _path(new_path), flags)


def syncfs(fd: int) -> None:
    """Write back everything of the file system `fd` lies on."""
    _syncfs(fd)


def unshare(flags: int) -> None:
    """unshare(2); os.unshare exists from Python 3.12 on only."""
    _unshare(flags)


def prctl(option: int, argument: int = 0, argument3: int = 0) -> int:
    """prctl(2)."""
    return _prctl(option, argument, argument3, 0, 0)


def close_range(first: int, last: int = 0xFFFFFFFF, flags: int = 0) -> None:
    """close_range(2)."""
    _close_range(first, last, flags)
