"""Whom a process runs as, read from the container's own /etc/passwd and /etc/group.

The text is read, never asked of NSS: getpwnam(3) after a change of root would load the container's libraries into a
process of ours (CVE-2019-14271). The files are the image's: only regular ones of bounded size count, and a line that
cannot be read is skipped. Called inside the container's root.
"""

from __future__ import annotations

import os
import stat

from sandbox.errors import StartError
from sandbox.named_tuple import NamedTuple
from sandbox.runtime.syscalls import AT_FDCWD, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2

#: some 30,000 accounts; every byte may cost thirty of ours once it is read into lines
_SIZE_LIMIT_BYTES = 2 * 1024 * 1024
_LAST_ID = (1 << 31) - 1


class PasswdLine(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class GroupLine(NamedTuple):
    name: str
    gid: int
    members: tuple[str, ...]


class Identity(NamedTuple):
    """Uid, gid and supplementary groups of a process, and the home directory that HOME defaults to."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def read_identity(user: str, additional_groups: tuple[str, ...] = ()) -> Identity:
    """The identity `user` ("", "name", "uid", "user:group") names in the root of the calling process.

    Raises StartError for a name that is not there.
    """
    return resolve_identity(user, additional_groups, read_account_file("/etc/passwd"), read_account_file("/etc/group"))


def resolve_identity(user: str, additional_groups: tuple[str, ...], passwd_text: str, group_text: str) -> Identity:
    """`read_identity` on given file texts.

    A number is a uid or gid and never a name (CVE-2016-3697). `root` is 0 also where the files do not name it, as in
    images without any. Without a group, the user's own of passwd and its
    memberships apply; with one, it is the only group beside `additional_groups`, as in Docker.
    """
    user_part, colon, group_part = user.partition(":")
    users, groups = parse_passwd(passwd_text), parse_group(group_text)
    account, uid = _find_user(user_part or "0", users)
    if colon and group_part:
        gid, memberships = _find_group(group_part, groups), []
    else:
        gid = account.gid if account else 0
        memberships = [group.gid for group in groups if account and account.name in group.members]
    memberships += [_find_group(name, groups) for name in additional_groups]
    home = account.home if account and account.home else "/"
    return Identity(uid, gid, tuple(dict.fromkeys((*memberships, gid))), home)


def read_account_file(path: str) -> str:
    """The text of a regular file in the current root, "" where there is none; never blocks on a FIFO or device."""
    return read_account_text(AT_FDCWD, path)


def read_account_text(root_fd: int, path: str) -> str:
    """As `read_account_file`, in the root that `root_fd` is."""
    try:
        fd = openat2(root_fd, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    except OSError:
        return ""
    try:
        # looked at before it becomes a file object: that refuses a directory with an error
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _SIZE_LIMIT_BYTES:
            return ""
        with open(fd, "rb", closefd=False) as file:
            # None from a file of procfs that would have waited
            return (file.read(_SIZE_LIMIT_BYTES) or b"").decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(fd)


def parse_passwd(text: str) -> tuple[PasswdLine, ...]:
    """The readable lines of passwd(5)."""
    lines = []
    for line in text.split("\n"):
        fields = line.strip().split(":")
        # a home with a NUL could not be put into an environment
        if len(fields) < 4 or not fields[0] or fields[0].startswith("#") or "\0" in line:
            continue
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is not None and gid is not None:
            lines.append(PasswdLine(fields[0], uid, gid, fields[5] if len(fields) > 5 else ""))
    return tuple(lines)


def parse_group(text: str) -> tuple[GroupLine, ...]:
    """The readable lines of group(5)."""
    lines = []
    for line in text.split("\n"):
        fields = line.strip().split(":")
        if len(fields) < 3 or not fields[0] or fields[0].startswith("#"):
            continue
        gid = _number(fields[2])
        if gid is not None:
            members = fields[3].split(",") if len(fields) > 3 else []
            lines.append(GroupLine(fields[0], gid, tuple(member for member in members if member)))
    return tuple(lines)


def _check_range(name: str) -> None:
    """Raise StartError for a number that no id can have, as which no file names it."""
    digits = name.removeprefix("-")
    if digits.isascii() and digits.isdecimal():
        raise StartError(
            f"id {name[:40]} is out of range",
            cause=f"uids and gids must be in range 0-{_LAST_ID}",
            mend="--user UID[:GID]",
        )


def _find_user(name: str, users: tuple[PasswdLine, ...]) -> tuple[PasswdLine | None, int]:
    uid = _number(name)
    if uid is not None:
        return next((user for user in users if user.uid == uid), None), uid
    for user in users:
        if user.name == name:
            return user, user.uid
    if name == "root":
        return None, 0
    _check_range(name)
    raise StartError(
        f"unable to find user {name}: no matching entries in passwd file",
        cause="the container's /etc/passwd does not name it",
        mend="give a number instead: --user UID[:GID]",
    )


def _find_group(name: str, groups: tuple[GroupLine, ...]) -> int:
    gid = _number(name)
    if gid is not None:
        return gid
    for group in groups:
        if group.name == name:
            return group.gid
    if name == "root":
        return 0
    _check_range(name)
    raise StartError(
        f"unable to find group {name}: no matching entries in group file",
        cause="the container's /etc/group does not name it",
        mend="give a number instead",
    )


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdecimal()) or len(text) > 10:
        return None
    number = int(text)
    return number if number <= _LAST_ID else None
