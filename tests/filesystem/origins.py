"""The objects that each row of the table finds, and where they come from: a lower layer, the upper one, or both.

Whatever the origin, the merged view is the same.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from storage.whiteouts import make_opaque, make_whiteout

ORIGINS = ("lower", "upper", "merged")
#: long ago, so that a time that was not kept shows
MTIME_NS = 1_000_000_000_123_456_789


class Entry(NamedTuple):
    """One object; `place` is where it lies with the origin *merged*: bottom, top or upper."""

    path: str
    kind: str = "file"
    content: bytes = b""
    mode: int = 0o644
    owner: tuple[int, int] = (0, 0)
    place: str = "bottom"
    xattrs: tuple[tuple[str, bytes], ...] = ()


ENTRIES = (
    Entry("f", content=b"hello world\n"),
    Entry("g", content=b"other\n", mode=0o600, place="upper"),
    Entry("x", content=b"#!/bin/sh\nexit 3\n", mode=0o755, place="top"),
    Entry("su", content=b"suid\n", mode=0o6755, owner=(1000, 1000)),
    Entry("u", content=b"user\n", owner=(1000, 1000), place="top"),
    Entry("big", content=bytes(range(256)) * 1200, owner=(1000, 1000)),
    Entry("xa", content=b"xattrs\n", xattrs=(("user.one", b"1"), ("user.two", b"22"))),
    Entry("h1", content=b"linked\n"),
    Entry("h2", "link", b"h1"),
    Entry("d", "dir", mode=0o755),
    Entry("d/a", content=b"a\n"),
    Entry("d/b", content=b"b\n", place="upper"),
    Entry("d/sub", "dir", mode=0o755),
    Entry("d/sub/c", content=b"c\n", place="top"),
    Entry("e", "dir", mode=0o755),
    Entry("o", "dir", mode=0o755, place="upper"),
    Entry("o/seen", content=b"seen\n", place="upper"),
    Entry("t", "dir", mode=0o1777),
    Entry("t/mine", content=b"mine\n", owner=(1000, 1000)),
    Entry("t/yours", content=b"yours\n", owner=(1001, 1001), place="upper"),
    Entry("sg", "dir", mode=0o2775, owner=(0, 1000)),
    Entry("priv", "dir", mode=0o700, owner=(1001, 1001)),
    Entry("priv/in", content=b"in\n", mode=0o666, owner=(1001, 1001)),
    Entry("w", "dir", mode=0o777),
    Entry("l", "symlink", b"f"),
    Entry("ld", "symlink", b"d", place="upper"),
    Entry("dang", "symlink", b"nowhere"),
    Entry("loop", "symlink", b"loop"),
    Entry("p", "fifo", mode=0o622),
)


def make_whole(directory: str) -> None:
    """All of it in one directory."""
    os.makedirs(directory)
    for entry in ENTRIES:
        _make(directory, entry)
    _age(directory)


def make_merged(bottom: str, top: str, upper: str) -> None:
    """The same view of three directories, with whiteouts and an opaque directory over what is not to be seen."""
    places = {"bottom": bottom, "top": top, "upper": upper}
    for directory in places.values():
        os.makedirs(directory)
    for entry in ENTRIES:
        _make_parents(places[entry.place], entry.path)
        _make(places[entry.place], entry)
    for hidden in ("gone", "d/gone", "e/gone"):
        _make_parents(bottom, hidden)
        _make(bottom, Entry(hidden, content=b"hidden"))
        _make_parents(upper, hidden)
        _in_directory(upper, hidden, make_whiteout)
    _make(bottom, Entry("o", "dir", mode=0o755))
    _make(bottom, Entry("o/hidden", content=b"hidden"))
    _in_directory(upper, "o/.", lambda fd, _name: make_opaque(fd))
    for directory in places.values():
        _age(directory)


def _make_parents(root: str, path: str) -> None:
    """The directories above the path, as the view has them."""
    known = {entry.path: entry for entry in ENTRIES if entry.kind == "dir"}
    parts = path.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        parent = "/".join(parts[:count])
        if not os.path.isdir(f"{root}/{parent}"):
            _make(root, known[parent])


def _in_directory(root: str, path: str, act: object) -> None:
    directory, _, name = path.rpartition("/")
    fd = os.open(f"{root}/{directory}", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert callable(act)
        act(fd, os.fsencode(name))
    finally:
        os.close(fd)


def _make(root: str, entry: Entry) -> None:
    path = f"{root}/{entry.path}"
    match entry.kind:
        case "file":
            with open(path, "wb") as file:
                file.write(entry.content)
        case "dir":
            if os.path.isdir(path):
                return
            os.mkdir(path)
        case "symlink":
            os.symlink(entry.content, path)
        case "link":
            os.link(f"{root}/{os.fsdecode(entry.content)}", path)
            return
        case "fifo":
            os.mkfifo(path)
    os.chown(path, *entry.owner, follow_symlinks=False)
    if entry.kind != "symlink":
        os.chmod(path, entry.mode)
    for name, value in entry.xattrs:
        os.setxattr(path, name, value)


def _age(root: str) -> None:
    for directory, directories, files in os.walk(root, topdown=False):
        for name in (*files, *directories):
            os.utime(f"{directory}/{name}", ns=(MTIME_NS, MTIME_NS), follow_symlinks=False)
    os.utime(root, ns=(MTIME_NS, MTIME_NS))
