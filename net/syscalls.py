"""The kernel calls of this package that Python 3.11 does not have; each keeps its man page's name and constants."""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# <linux/sched.h>, <linux/prctl.h>
CLONE_NEWUSER = 0x10000000
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37
PR_SET_NO_NEW_PRIVS = 38
# <sys/mount.h>
MS_REC = 0x4000
MS_SLAVE = 1 << 19
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _failure(name: str, code: int) -> OSError:
    error = OSError(code, os.strerror(code))
    # for who reads a traceback: a person is told what was being done, not by which call
    error.add_note(f"{name}(2)")
    return error


def _bind(name: str, *argtypes: Any) -> Callable[..., int]:
    def check(result: int, _func: object, _args: object) -> int:
        if result == -1:
            code = ctypes.get_errno()
            raise _failure(name, code)
        return result

    call = getattr(_libc, name)
    call.argtypes, call.restype, call.errcheck = argtypes, ctypes.c_int, check
    bound: Callable[..., int] = call
    return bound


_setns = _bind("setns", ctypes.c_int, ctypes.c_int)
_unshare = _bind("unshare", ctypes.c_int)
_mount = _bind("mount", *(ctypes.c_char_p,) * 3, ctypes.c_ulong, ctypes.c_char_p)
_umount2 = _bind("umount2", ctypes.c_char_p, ctypes.c_int)
_prctl = _bind("prctl", *(ctypes.c_int, *(ctypes.c_ulong,) * 4))


def setns(fd: int, nstype: int) -> None:
    """Move this thread into the namespace behind `fd`, setns(2)."""
    _setns(fd, nstype)


def prctl(option: int, argument: int) -> None:
    """prctl(2) for the options that take one number."""
    _prctl(option, argument, 0, 0, 0)


def unshare(flags: int) -> None:
    """Move this process into new namespaces of the kinds in `flags`, unshare(2)."""
    _unshare(flags)


def is_child_subreaper() -> bool:
    """prctl(PR_GET_CHILD_SUBREAPER)."""
    answer = ctypes.c_int()
    prctl(_PR_GET_CHILD_SUBREAPER, ctypes.addressof(answer))
    return bool(answer.value)


def change_propagation(target: bytes, flags: int) -> None:
    """mount(2) for what events of mounts below `target` go where, mount_namespaces(7)."""
    _mount(None, target, None, flags, None)


def umount2(target: bytes, flags: int) -> None:
    """Unmount what is mounted at `target`, umount2(2)."""
    _umount2(target, flags)
