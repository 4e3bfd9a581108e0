"""The system calls the runtime needs and the standard library lacks; the only module of `sandbox` that binds libc.

Each wrapper has the kernel's name and argument order, so that the man page is its documentation; it raises OSError
with the call's name. Calls newer than the oldest C library in use go through syscall(2) by number: from 424 on the
numbers are the same on every architecture.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_libc = ctypes.CDLL(None, use_errno=True)
_int, _uint, _long, _ulong, _text, _pointer = (
    ctypes.c_int,
    ctypes.c_uint,
    ctypes.c_long,
    ctypes.c_ulong,
    ctypes.c_char_p,
    ctypes.c_void_p,
)

# sched.h
CLONE_NEWTIME = 0x00000080
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

# linux/mount.h, sys/mount.h
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_REC = 1 << 14
MS_UNBINDABLE = 1 << 17
MNT_DETACH = 2
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x04
MOVE_MOUNT_T_EMPTY_PATH = 0x40
MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_NOEXEC = 0x08
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6

# linux/fcntl.h, linux/openat2.h
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_SYMLINK_NOFOLLOW = 0x100
AT_RECURSIVE = 0x8000
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

# linux/magic.h
PROC_SUPER_MAGIC = 0x9FA0
SYSFS_MAGIC = 0x62656572
CGROUP2_SUPER_MAGIC = 0x63677270

# linux/memfd.h
MFD_EXEC = 0x0010

# linux/nsfs.h
NS_GET_USERNS = 0xB701
NS_GET_PARENT = 0xB702

# linux/seccomp.h
SECCOMP_SET_MODE_FILTER = 1

_KEYCTL_JOIN_SESSION_KEYRING = 1
_MACHINE_NUMBERS = {
    "x86_64": {"pivot_root": 155, "keyctl": 250, "seccomp": 317},
    "aarch64": {"pivot_root": 41, "keyctl": 219, "seccomp": 277},
}
_NUMBERS = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "close_range": 436,
    "openat2": 437,
    "mount_setattr": 442,
    **_MACHINE_NUMBERS.get(os.uname().machine, {}),
}


def _check(result: int, function: Any, _arguments: object) -> int:  # Any: ctypes types no function object
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{function.kernel_name}: {os.strerror(code)}")
    return result


def _bind(name: str, *argument_types: Any) -> Callable[..., int]:
    number = _NUMBERS.get(name)
    if number is None:
        call = ctypes.CFUNCTYPE(_int, *argument_types, use_errno=True)((name, _libc))
    else:
        call = ctypes.CFUNCTYPE(_long, _long, *argument_types, use_errno=True)(("syscall", _libc))
    call.errcheck = _check  # type: ignore[assignment]  # typeshed knows no result that stays a plain int
    call.kernel_name = name  # type: ignore[attr-defined]  # read back by _check
    if number is None:
        return cast("Callable[..., int]", call)
    return lambda *arguments: call(number, *arguments)


_unshare = _bind("unshare", _int)
_setns = _bind("setns", _int, _int)
_prctl = _bind("prctl", _int, _ulong, _ulong, _ulong, _ulong)
_capset = _bind("capset", _pointer, _pointer)
_mount = _bind("mount", _text, _text, _text, _ulong, _text)
_umount2 = _bind("umount2", _text, _int)
_fstatfs = _bind("fstatfs", _int, _pointer)
_open_tree = _bind("open_tree", _int, _text, _uint)
_move_mount = _bind("move_mount", _int, _text, _int, _text, _uint)
_fsopen = _bind("fsopen", _text, _uint)
_fsconfig = _bind("fsconfig", _int, _uint, _text, _text, _int)
_fsmount = _bind("fsmount", _int, _uint, _uint)
_close_range = _bind("close_range", _uint, _uint, _uint)
_openat2 = _bind("openat2", _int, _text, _pointer, ctypes.c_size_t)
_mount_setattr = _bind("mount_setattr", _int, _text, _uint, _pointer, ctypes.c_size_t)
_pivot_root = _bind("pivot_root", _text, _text)
_sethostname = _bind("sethostname", _text, ctypes.c_size_t)
_setdomainname = _bind("setdomainname", _text, ctypes.c_size_t)
_keyctl = _bind("keyctl", _int, _text)
_seccomp = _bind("seccomp", _uint, _uint, _pointer)


def unshare(flags: int) -> None:
    """unshare(2); os.unshare exists from Python 3.12 on only."""
    _unshare(flags)


def setns(fd: int, nstype: int) -> None:
    """setns(2)."""
    _setns(fd, nstype)


def prctl(option: int, argument: int = 0, argument3: int = 0) -> int:
    """prctl(2)."""
    return _prctl(option, argument, argument3, 0, 0)


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) for the calling process; each set is a mask of 64 bits."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    words = [part for shift in (0, 32) for part in (effective >> shift, permitted >> shift, inheritable >> shift)]
    data = (ctypes.c_uint32 * 6)(*(word & 0xFFFFFFFF for word in words))
    _capset(header, data)


def mount(source: str, target: str, fstype: str, flags: int, data: str = "") -> None:
    """mount(2)."""
    _mount(os.fsencode(source), os.fsencode(target), os.fsencode(fstype), flags, os.fsencode(data))


def umount2(target: str, flags: int) -> None:
    """umount2(2)."""
    _umount2(os.fsencode(target), flags)


def filesystem_type(fd: int) -> int:
    """fstatfs(2)'s f_type: a magic number such as PROC_SUPER_MAGIC."""
    buffer = (ctypes.c_long * 32)()  # struct statfs is 120 bytes where a long has 64 bits
    _fstatfs(fd, buffer)
    return int(buffer[0])


def open_tree(dfd: int, path: str, flags: int) -> int:
    """open_tree(2)."""
    return _open_tree(dfd, os.fsencode(path), flags | OPEN_TREE_CLOEXEC)


def move_mount(from_dfd: int, from_path: str, to_dfd: int, to_path: str, flags: int) -> None:
    """move_mount(2)."""
    _move_mount(from_dfd, os.fsencode(from_path), to_dfd, os.fsencode(to_path), flags)


def fsopen(fsname: str) -> int:
    """fsopen(2), close-on-exec."""
    return _fsopen(os.fsencode(fsname), FSOPEN_CLOEXEC)


def fsconfig(fd: int, command: int, key: str | None = None, value: str | None = None) -> None:
    """fsconfig(2) for flags, strings and commands."""
    _fsconfig(fd, command, None if key is None else os.fsencode(key), None if value is None else os.fsencode(value), 0)


def fsmount(fd: int, attributes: int) -> int:
    """fsmount(2), close-on-exec."""
    return _fsmount(fd, FSMOUNT_CLOEXEC, attributes)


def close_range(first: int, last: int = 0xFFFFFFFF, flags: int = 0) -> None:
    """close_range(2)."""
    _close_range(first, last, flags)


def openat2(dirfd: int, path: str, flags: int, resolve: int, mode: int = 0) -> int:
    """openat2(2), close-on-exec."""
    how = (ctypes.c_uint64 * 3)(flags | os.O_CLOEXEC, mode, resolve)
    return _openat2(dirfd, os.fsencode(path), how, ctypes.sizeof(how))


def mount_setattr(
    dfd: int, path: str, flags: int, *, attr_set: int = 0, attr_clr: int = 0, propagation: int = 0
) -> None:
    """mount_setattr(2)."""
    attributes = (ctypes.c_uint64 * 4)(attr_set, attr_clr, propagation, 0)
    _mount_setattr(dfd, os.fsencode(path), flags, attributes, ctypes.sizeof(attributes))


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2)."""
    _pivot_root(os.fsencode(new_root), os.fsencode(put_old))


def sethostname(name: str) -> None:
    """sethostname(2)."""
    encoded = os.fsencode(name)
    _sethostname(encoded, len(encoded))


def setdomainname(name: str) -> None:
    """setdomainname(2)."""
    encoded = os.fsencode(name)
    _setdomainname(encoded, len(encoded))


def join_new_session_keyring() -> None:
    """keyctl(KEYCTL_JOIN_SESSION_KEYRING): an anonymous keyring, so that the caller's keys stay out of reach."""
    _keyctl(_KEYCTL_JOIN_SESSION_KEYRING, None)


class _SockFprog(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def seccomp_set_filter(program: bytes) -> None:
    """seccomp(SECCOMP_SET_MODE_FILTER) with `program`, an array of struct sock_filter."""
    fprog = _SockFprog(len(program) // 8, program)
    _seccomp(SECCOMP_SET_MODE_FILTER, 0, ctypes.addressof(fprog))
