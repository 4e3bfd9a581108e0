"""The calls of the language on attributes: modes, owners, times, xattrs, ACLs; and what tells of changes."""

from __future__ import annotations

import os
import stat
import struct

from tests.filesystem import kernel_calls
from tests.filesystem.calls import Answer, Caller, Calls, data, flags, number, path_name, shown, wait_clock_tick

CALLS = Calls()
_XATTR_FLAGS = {"CREATE": os.XATTR_CREATE, "REPLACE": os.XATTR_REPLACE}
_ACL_TAGS = {"u": (1, 2), "g": (4, 8), "m": (16, 16), "o": (32, 32)}
_NO_ID = 0xFFFFFFFF


def _fields(status: os.stat_result, words: str) -> str:
    found = []
    for word in words.split(","):
        match word:
            case "mode":
                found.append(f"{stat.S_IMODE(status.st_mode):04o}")
            case "kind":
                found.append(stat.filemode(status.st_mode)[0])
            case "mtime":
                found.append(f"{status.st_mtime_ns}")
            case "atime":
                found.append(f"{status.st_atime_ns}")
            case "sparse":
                found.append("sparse" if status.st_blocks * 512 < status.st_size else "full")
            case _:
                found.append(str(getattr(status, f"st_{word}")))
    return ",".join(found)


@CALLS.add
def stat_(_: Caller, path: str, words: str) -> Answer:
    return _fields(os.stat(path_name(path)), words)


@CALLS.add
def lstat(_: Caller, path: str, words: str) -> Answer:
    return _fields(os.lstat(path_name(path)), words)


@CALLS.add
def fstat(caller: Caller, fd: str, words: str) -> Answer:
    return _fields(os.fstat(caller.fd(fd)), words)


@CALLS.add
def look(_: Caller, path: str) -> Answer:
    """What lstat(2) says that does not depend on the file system: of a directory neither size nor links."""
    status = os.lstat(path_name(path))
    return _fields(status, "kind,mode,uid,gid" if stat.S_ISDIR(status.st_mode) else "kind,mode,uid,gid,nlink,size")


@CALLS.add
def statx(_: Caller, path: str) -> Answer:
    """Whether statx(2) and lstat(2) say the same, and statx has all of the basic fields."""
    found, status = kernel_calls.statx(path_name(path)), os.lstat(path_name(path))
    same = (found.nlink, found.uid, found.gid, found.mode, found.ino, found.size, os.makedev(*found.dev)) == (
        status.st_nlink, status.st_uid, status.st_gid, status.st_mode, status.st_ino, status.st_size, status.st_dev
    )  # fmt: skip
    return "same" if same and found.mask & 0x7FF == 0x7FF else "different"


@CALLS.add
def same(_: Caller, one: str, other: str) -> Answer:
    """Whether two names are one file."""
    return "yes" if os.path.samestat(os.lstat(path_name(one)), os.lstat(path_name(other))) else "no"


@CALLS.add
def same_device(_: Caller, one: str, other: str) -> Answer:
    return "yes" if os.lstat(path_name(one)).st_dev == os.lstat(path_name(other)).st_dev else "no"


@CALLS.add
def chmod(_: Caller, path: str, mode: str) -> None:
    os.chmod(path_name(path), number(mode))


@CALLS.add
def fchmod(caller: Caller, fd: str, mode: str) -> None:
    os.fchmod(caller.fd(fd), number(mode))


@CALLS.add
def chown(_: Caller, path: str, uid: str, gid: str) -> None:
    os.chown(path_name(path), int(uid), int(gid))


@CALLS.add
def lchown(_: Caller, path: str, uid: str, gid: str) -> None:
    os.chown(path_name(path), int(uid), int(gid), follow_symlinks=False)


@CALLS.add
def fchown(caller: Caller, fd: str, uid: str, gid: str) -> None:
    os.fchown(caller.fd(fd), int(uid), int(gid))


def _moment(word: str) -> tuple[int, int]:
    special = {"NOW": (0, kernel_calls.UTIME_NOW), "OMIT": (0, kernel_calls.UTIME_OMIT)}
    seconds, _, nanoseconds = word.partition(".")
    return special.get(word) or (int(seconds), int((nanoseconds or "0").ljust(9, "0")))


@CALLS.add
def utimens(_: Caller, path: str, atime: str, mtime: str, words: str = "0") -> None:
    no_follow = kernel_calls.AT_SYMLINK_NOFOLLOW if words == "NOFOLLOW" else 0
    kernel_calls.utimensat(path_name(path), _moment(atime), _moment(mtime), no_follow)


@CALLS.add
def mark(caller: Caller, path: str) -> Answer:
    """Remember the times of the path; see `changed`."""
    caller.marks[path] = status = os.lstat(path_name(path))
    # not mtime: a test may have set it to a day to come
    wait_clock_tick(status.st_ctime_ns)
    return None


@CALLS.add
def changed(caller: Caller, path: str) -> Answer:
    """Which of mtime and ctime have gone on since `mark`."""
    before, now = caller.marks[path], os.lstat(path_name(path))
    found = [word for word in ("mtime", "ctime") if getattr(now, f"st_{word}_ns") > getattr(before, f"st_{word}_ns")]
    return ",".join(found) or "none"


@CALLS.add
def setxattr(_: Caller, path: str, name: str, words: str, how: str = "0") -> None:
    os.setxattr(path_name(path), name, data(words), flags(how, _XATTR_FLAGS))


@CALLS.add
def lsetxattr(_: Caller, path: str, name: str, words: str) -> None:
    os.setxattr(path_name(path), name, data(words), follow_symlinks=False)


@CALLS.add
def fsetxattr(caller: Caller, fd: str, name: str, words: str) -> None:
    os.setxattr(caller.fd(fd), name, data(words))


@CALLS.add
def getxattr(_: Caller, path: str, name: str) -> Answer:
    return shown(os.getxattr(path_name(path), name))


@CALLS.add
def listxattr(_: Caller, path: str) -> Answer:
    return ",".join(sorted(os.listxattr(path_name(path)))) or "empty"


@CALLS.add
def removexattr(_: Caller, path: str, name: str) -> None:
    os.removexattr(path_name(path), name)


@CALLS.add
def setacl(_: Caller, path: str, words: str, kind: str = "access") -> None:
    """`u::rw-,u:5:r--,g::r--,m::rw-,o::---`, in the kernel's order, acl(5)."""
    raw = struct.pack("<I", 2)
    for entry in words.split(","):
        tag, name, permissions = entry.split(":")
        bits = sum(bit for letter, bit in (("r", 4), ("w", 2), ("x", 1)) if letter in permissions)
        raw += struct.pack("<HHI", _ACL_TAGS[tag][1 if name else 0], bits, int(name) if name else _NO_ID)
    os.setxattr(path_name(path), f"system.posix_acl_{kind}", raw)


@CALLS.add
def getacl(_: Caller, path: str, kind: str = "access") -> Answer:
    raw = os.getxattr(path_name(path), f"system.posix_acl_{kind}")
    letters = {value: letter for letter, values in _ACL_TAGS.items() for value in values}
    found = []
    for tag, bits, name in struct.iter_unpack("<HHI", raw[4:]):
        permissions = "".join(letter if bits & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))
        found.append(f"{letters[tag]}:{'' if name == _NO_ID else name}:{permissions}")
    return ",".join(found)


@CALLS.add
def watch(_: Caller, path: str) -> Answer:
    return kernel_calls.inotify_watch(path_name(path))


@CALLS.add
def events(caller: Caller, fd: str) -> Answer:
    return ",".join(kernel_calls.inotify_read(caller.fd(fd))) or "none"


@CALLS.add
def statfs(_: Caller, path: str) -> Answer:
    """Whether free space and the longest name are those of a file system."""
    found = os.statvfs(path_name(path))
    return f"{found.f_namemax},{'some' if found.f_blocks and found.f_bfree else 'none'}"
