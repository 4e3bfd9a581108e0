"""Whether two layer trees are the same, but for what an archive does not carry.

The trees are walked in step, so that neither is held in memory. Compared are kinds, modes, owners, sizes, times,
content, links (soft and hard), whiteouts, opaque directories and xattrs. Not compared: the root directory itself,
times of directories that no entry of the archive describes, sockets (an archive has none), and overlay's own xattrs.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from storage.trees.walk import FirstNames, Step, Walk
from storage.whiteouts import FORGEABLE_PREFIXES, entry_path, is_opaque_at, is_whiteout

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_READ_SIZE = 1 << 20
_TIME = "modification time"
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Entry(NamedTuple):
    """One path, components apart so that entries sort as a walk meets them, and what is there, each with its name."""

    path: tuple[bytes, ...]
    facts: dict[str, object]


def find_difference(expected_fd: int, found_fd: int, implied: Collection[bytes] = ()) -> str:
    """The first difference of the tree `found_fd` from `expected_fd` in words, or "". OSError where one is unreadable.

    `implied` are the directories whose times say nothing (UnpackResult.implied).
    """
    implied = frozenset(implied)
    # a file that came or went changed its directory's time too: that is told only where there is nothing else
    changed_time = ""
    expected, found = _entries(expected_fd, implied), _entries(found_fd, implied)
    while True:
        wanted, there = next(expected, None), next(found, None)
        if wanted is None and there is None:
            return changed_time
        if there is None or (wanted is not None and wanted.path < there.path):
            assert wanted is not None
            return f"{_shown(wanted.path)} is missing"
        if wanted is None or there.path < wanted.path:
            return f"{_shown(there.path)} does not belong there"
        for name, value in wanted.facts.items():
            if there.facts.get(name) == value:
                continue
            difference = f"{_shown(wanted.path)} has another {name}"
            if name != _TIME:
                return difference
            changed_time = changed_time or difference


def _entries(root_fd: int, implied: frozenset[bytes]) -> Iterator[_Entry]:
    path: list[bytes] = []
    first_names = FirstNames()
    for step in Walk(root_fd):
        if step.leaving:
            path.pop()
        elif not stat.S_ISSOCK(step.status.st_mode):
            here = (*path, step.name)
            yield _Entry(here, _facts(step, b"/".join(here), implied, first_names))
            if stat.S_ISDIR(step.status.st_mode):
                path.append(step.name)


def _facts(step: Step, path: bytes, implied: frozenset[bytes], first_names: FirstNames) -> dict[str, object]:
    status = step.status
    if is_whiteout(step.dir_fd, step.name, status):
        return {"kind": "whiteout"}
    facts: dict[str, object] = {"kind": stat.S_IFMT(status.st_mode), "owner": (status.st_uid, status.st_gid)}
    if not stat.S_ISLNK(status.st_mode):
        facts["mode"] = stat.S_IMODE(status.st_mode)
    if path not in implied:
        facts[_TIME] = status.st_mtime_ns
    facts["attribute"] = _xattrs(entry_path(step.dir_fd, step.name))
    if stat.S_ISDIR(status.st_mode):
        facts["opacity"] = is_opaque_at(step.dir_fd, step.name)
        return facts
    if status.st_nlink > 1:
        facts["hard link"] = first_names.find(status, path) or path
    if stat.S_ISLNK(status.st_mode):
        facts["target"] = os.readlink(step.name, dir_fd=step.dir_fd)
    elif stat.S_ISREG(status.st_mode):
        facts["size"] = status.st_size
        facts["content"] = _content(step)
    return facts


def _content(step: Step) -> bytes:
    digest = hashlib.sha256()
    fd = os.open(step.name, _OPEN_FILE, dir_fd=step.dir_fd)
    try:
        while data := os.read(fd, _READ_SIZE):
            digest.update(data)
    finally:
        os.close(fd)
    return digest.digest()


def _xattrs(path: bytes) -> tuple[tuple[str, bytes], ...]:
    return tuple(
        (name, os.getxattr(path, name, follow_symlinks=False))
        for name in sorted(os.listxattr(path, follow_symlinks=False))
        if not name.startswith((*FORGEABLE_PREFIXES, "security.selinux"))
    )


def _shown(path: tuple[bytes, ...]) -> str:
    return "/" + os.fsdecode(b"/".join(path))[:200]
