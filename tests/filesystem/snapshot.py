"""Everything that can be seen of a tree, in a form that compares between file systems."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import NamedTuple


class Seen(NamedTuple):
    """One object. Directories have neither size nor link count: those are the file system's own affair."""

    kind: str
    mode: int
    uid: int
    gid: int
    nlink: int
    size: int
    content: str
    xattrs: tuple[tuple[str, bytes], ...]
    #: 0 for what changed since the epoch of the tests
    mtime_ns: int


def snapshot(root: str, recent_ns: int) -> dict[str, Seen]:
    """Everything below `root` by path, the root as `.`; times after `recent_ns` show as 0.

    What cannot be looked at shows as an errno.
    """
    found: dict[str, Seen] = {}
    _look(root, ".", recent_ns, found)
    return found


def _look(root: str, path: str, recent_ns: int, found: dict[str, Seen]) -> None:
    full = f"{root}/{path}"
    try:
        status = os.lstat(full)
    except OSError as error:
        found[path] = Seen(errno.errorcode.get(error.errno or 0, "?"), 0, 0, 0, 0, 0, "", (), 0)
        return
    kind = stat.filemode(status.st_mode)[0]
    is_directory = kind == "d"
    # what goes through a fifo changes its times in the kernel alone: see differences.py
    mtime = 0 if status.st_mtime_ns > recent_ns or kind == "p" else status.st_mtime_ns
    found[path] = Seen(
        kind, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, 0 if is_directory else status.st_nlink,
        0 if is_directory else status.st_size, _content(full, kind), _xattrs(full), mtime,
    )  # fmt: skip
    if is_directory:
        try:
            names = sorted(os.listdir(full))
        except OSError as error:
            names = []
            found[f"{path}/*"] = Seen(errno.errorcode.get(error.errno or 0, "?"), 0, 0, 0, 0, 0, "", (), 0)
        for name in names:
            _look(root, name if path == "." else f"{path}/{name}", recent_ns, found)


def _content(path: str, kind: str) -> str:
    try:
        if kind == "l":
            return os.readlink(path)
        if kind != "-":
            return ""
        status = os.lstat(path)
        if status.st_size > 1 << 28:
            return "large"
        with open(path, "rb") as file:
            return hashlib.sha1(file.read()).hexdigest()[:12]
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "?")


def _xattrs(path: str) -> tuple[tuple[str, bytes], ...]:
    try:
        names = sorted(os.listxattr(path, follow_symlinks=False))
        return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)
    except OSError as error:
        return ((errno.errorcode.get(error.errno or 0, "?"), b""),)


def differences(expected: dict[str, Seen], found: dict[str, Seen]) -> list[str]:
    """One line for each object that is not the same."""
    lines = []
    for path in sorted(expected.keys() | found.keys()):
        one, other = expected.get(path), found.get(path)
        if one == other:
            continue
        if one is None or other is None:
            lines.append(f"{path}: {'missing' if other is None else 'should not be there'}")
            continue
        fields = [
            f"{name} {there!r} instead of {here!r}"
            for name, here, there in zip(Seen._fields, one, other, strict=True)
            if here != there
        ]
        lines.append(f"{path}: {', '.join(fields)}")
    return lines
