"""The system calls the runtime needs and the standard library lacks; the only module of `sandbox` that binds libc.

Each wrapper has the kernel's name and argument order, so that the man page is its documentation; it raises OSError
with the call's name. Calls newer than the oldest C library in use go through syscall(2) by number: from 424 on the
numbers are the same on every architecture. Calls about mounts and paths stand in `storage.syscalls`; they are offered
here again, so that a reader of the runtime finds all in one place.
"""

from __future__ import annotations

import ctypes
import os

from storage.syscalls import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    AT_SYMLINK_NOFOLLOW,
    CLONE_NEWNS,
    FSCONFIG_CMD_CREATE,
    FSCONFIG_SET_FLAG,
    FSCONFIG_SET_STRING,
    FSMOUNT_CLOEXEC,
    MNT_DETACH,
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_STRICTATIME,
    MOVE_MOUNT_F_EMPTY_PATH,
    MOVE_MOUNT_T_EMPTY_PATH,
    MS_PRIVATE,
    MS_REC,
    MS_SHARED,
    MS_SLAVE,
    OPEN_TREE_CLOEXEC,
    OPEN_TREE_CLONE,
    PR_SET_DUMPABLE,
    RESOLVE_BENEATH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    close_range,
    fsconfig,
    fsmount,
    fsopen,
    mount_setattr,
    move_mount,
    openat2,
    prctl,
    umount2,
    unshare,
)
from storage.syscalls import open_tree as _open_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = (
    "AT_EMPTY_PATH",
    "AT_FDCWD",
    "AT_RECURSIVE",
    "AT_SYMLINK_NOFOLLOW",
    "CGROUP2_SUPER_MAGIC",
    "CLONE_NEWCGROUP",
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "FSCONFIG_CMD_CREATE",
    "FSCONFIG_SET_FLAG",
    "FSCONFIG_SET_STRING",
    "FSMOUNT_CLOEXEC",
    "IN_CREATE",
    "IN_MODIFY",
    "IN_MOVED_TO",
    "MFD_EXEC",
    "MNT_DETACH",
    "MOUNT_ATTR_NOATIME",
    "MOUNT_ATTR_NODEV",
    "MOUNT_ATTR_NODIRATIME",
    "MOUNT_ATTR_NOEXEC",
    "MOUNT_ATTR_NOSUID",
    "MOUNT_ATTR_RDONLY",
    "MOUNT_ATTR_STRICTATIME",
    "MOUNT_ATTR__ATIME",
    "MOVE_MOUNT_F_EMPTY_PATH",
    "MOVE_MOUNT_T_EMPTY_PATH",
    "MQUEUE_MAGIC",
    "MS_PRIVATE",
    "MS_REC",
    "MS_SHARED",
    "MS_SLAVE",
    "NS_GET_PARENT",
    "NS_GET_USERNS",
    "OPEN_TREE_CLOEXEC",
    "OPEN_TREE_CLONE",
    "PID_MAX_LIMIT",
    "PROC_SUPER_MAGIC",
    "PR_CAPBSET_DROP",
    "PR_CAPBSET_READ",
    "PR_CAP_AMBIENT",
    "PR_CAP_AMBIENT_CLEAR_ALL",
    "PR_GET_NO_NEW_PRIVS",
    "PR_SET_CHILD_SUBREAPER",
    "PR_SET_DUMPABLE",
    "PR_SET_KEEPCAPS",
    "PR_SET_NO_NEW_PRIVS",
    "PR_SET_PDEATHSIG",
    "RESOLVE_BENEATH",
    "RESOLVE_IN_ROOT",
    "RESOLVE_NO_MAGICLINKS",
    "RESOLVE_NO_SYMLINKS",
    "SECCOMP_SET_MODE_FILTER",
    "SYSFS_MAGIC",
    "TMPFS_MAGIC",
    "capset",
    "close_range",
    "filesystem_type",
    "fsconfig",
    "fsmount",
    "fsopen",
    "inotify_add_watch",
    "inotify_init1",
    "is_child_subreaper",
    "is_filesystem",
    "join_new_session_keyring",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "openat2",
    "pivot_root",
    "prctl",
    "seccomp_set_filter",
    "setdomainname",
    "sethostname",
    "setns",
    "umount2",
    "unshare",
    "write_memory",
)

_libc = ctypes.CDLL(None, use_errno=True)
_int, _uint, _long, _text, _pointer = (
    ctypes.c_int,
    ctypes.c_uint,
    ctypes.c_long,
    ctypes.c_char_p,
    ctypes.c_void_p,
)

# sched.h
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

# linux/threads.h: a machine has no more processes
PID_MAX_LIMIT = 1 << 22

# linux/magic.h
PROC_SUPER_MAGIC = 0x9FA0
SYSFS_MAGIC = 0x62656572
CGROUP2_SUPER_MAGIC = 0x63677270
TMPFS_MAGIC = 0x01021994
MQUEUE_MAGIC = 0x19800202

# linux/memfd.h
MFD_EXEC = 0x0010

# linux/inotify.h
IN_MODIFY = 0x002
IN_MOVED_TO = 0x080
IN_CREATE = 0x100

# linux/nsfs.h
NS_GET_USERNS = 0xB701
NS_GET_PARENT = 0xB702

# linux/seccomp.h
SECCOMP_SET_MODE_FILTER = 1

_PR_GET_CHILD_SUBREAPER = 37
_KEYCTL_JOIN_SESSION_KEYRING = 1
_MACHINE_NUMBERS = {
    "x86_64": {"pivot_root": 155, "keyctl": 250, "seccomp": 317, "timer_create": 222, "timer_settime": 223},
    "aarch64": {"pivot_root": 41, "keyctl": 219, "seccomp": 277, "timer_create": 107, "timer_settime": 110},
}
_NUMBERS = _MACHINE_NUMBERS.get(os.uname().machine, {})


def _failure(name: str, code: int) -> OSError:
    error = OSError(code, os.strerror(code))
    # for who reads a traceback: a person is told what was being done, not by which call
    error.add_note(f"{name}(2)")
    return error


def _check(result: int, function: Any, _arguments: object) -> int:  # Any: ctypes types no function object
    if result == -1:
        code = ctypes.get_errno()
        raise _failure(function.kernel_name, code)
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
        return call
    return lambda *arguments: call(number, *arguments)


_setns = _bind("setns", _int, _int)
_capset = _bind("capset", _pointer, _pointer)
_fstatfs = _bind("fstatfs", _int, _pointer)
_pivot_root = _bind("pivot_root", _text, _text)
_sethostname = _bind("sethostname", _text, ctypes.c_size_t)
_setdomainname = _bind("setdomainname", _text, ctypes.c_size_t)
_inotify_init1 = _bind("inotify_init1", _int)
_inotify_add_watch = _bind("inotify_add_watch", _int, _text, ctypes.c_uint32)
_keyctl = _bind("keyctl", _int, _text)
_seccomp = _bind("seccomp", _uint, _uint, _pointer)
_signalfd = _bind("signalfd", _int, _pointer, _int)
_timer_create = _bind("timer_create", _int, _pointer, _pointer)
_timer_settime = _bind("timer_settime", _int, _int, _pointer, _pointer)


def setns(fd: int, nstype: int) -> None:
    """setns(2)."""
    _setns(fd, nstype)


def is_child_subreaper() -> bool:
    """prctl(PR_GET_CHILD_SUBREAPER)."""
    answer = ctypes.c_int()
    prctl(_PR_GET_CHILD_SUBREAPER, ctypes.addressof(answer))
    return bool(answer.value)


def write_memory(address: int, data: bytes) -> None:
    """Overwrite this process's memory from `address` on; it must be there, and writable."""
    ctypes.memmove(address, data, len(data))


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) for the calling process; each set is a mask of 64 bits."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    words = [part for shift in (0, 32) for part in (effective >> shift, permitted >> shift, inheritable >> shift)]
    data = (ctypes.c_uint32 * 6)(*(word & 0xFFFFFFFF for word in words))
    _capset(header, data)


def filesystem_type(fd: int) -> int:
    """fstatfs(2)'s f_type: a magic number such as PROC_SUPER_MAGIC."""
    buffer = (ctypes.c_long * 32)()  # struct statfs is 120 bytes where a long has 64 bits
    _fstatfs(fd, buffer)
    return int(buffer[0])


def is_filesystem(path: str, magic: int) -> bool:
    """Whether `path` lies on a file system of this type; False where there is nothing."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return filesystem_type(fd) == magic
    finally:
        os.close(fd)


def open_tree(dir_fd: int, path: str, flags: int) -> int:
    """open_tree(2), close-on-exec."""
    return _open_tree(dir_fd, path, flags | OPEN_TREE_CLOEXEC)


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


def inotify_init1(flags: int) -> int:
    """inotify_init1(2)."""
    return _inotify_init1(flags)


def inotify_add_watch(fd: int, path: str, mask: int) -> int:
    """inotify_add_watch(2)."""
    return _inotify_add_watch(fd, os.fsencode(path), mask)


class _SockFprog(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def seccomp_set_filter(program: bytes) -> None:
    """seccomp(SECCOMP_SET_MODE_FILTER) with `program`, an array of struct sock_filter."""
    fprog = _SockFprog(len(program) // 8, program)
    _seccomp(SECCOMP_SET_MODE_FILTER, 0, ctypes.addressof(fprog))


def signalfd(fd: int, signals: Iterable[int], flags: int) -> int:
    """signalfd(2): a descriptor that is readable while one of these, blocked, is pending; -1 makes a new one."""
    mask = (ctypes.c_uint64 * 16)(sum(1 << (number - 1) for number in signals))  # sigset_t of the C library
    return _signalfd(fd, ctypes.addressof(mask), flags)


def timer_create(clock: int, signal_number: int) -> int:
    """timer_create(2): a timer, not running yet, that sends this process a signal (SIGEV_SIGNAL); a child has none."""
    event = (ctypes.c_int * 16)()  # struct sigevent: a value of 8 bytes, the signal, how to notify (0), padding
    event[2] = signal_number
    timer = ctypes.c_int()
    _timer_create(clock, ctypes.addressof(event), ctypes.addressof(timer))
    return timer.value


def timer_settime(timer: int, nanoseconds: int) -> None:
    """timer_settime(2): once, so long from now."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    spec = (ctypes.c_long * 4)(0, 0, seconds, rest)  # struct itimerspec: the interval, the value
    _timer_settime(timer, 0, ctypes.addressof(spec), None)
