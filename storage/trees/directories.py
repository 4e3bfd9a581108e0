"""Directories below one root, by their paths: opened, made where missing, and kept open for the next use.

A path here is one that `clean_name` gave: components joined by single slashes, none of them `..`, no slash in front.
Symlinks in the middle are followed as a process chrooted into the root would, by openat2 RESOLVE_IN_ROOT.
"""

from __future__ import annotations

import os

from storage.errors import StorageError
from storage.trees.resolve import make_directories, open_in_root

_KEPT = 32
_OPEN = os.O_RDONLY | os.O_DIRECTORY


def clean_name(name: bytes) -> bytes:
    """An archive's name as a path below the root; empty for the root itself. StorageError where `..` would leave it."""
    if name.endswith(b"/"):
        name = name.rstrip(b"/")
    if name.startswith(b"./"):
        name = name[2:]
    if name and b"//" not in name and b"/." not in name and name[0] not in b"./":
        return name
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise StorageError(f"refused the name {os.fsdecode(name[:200])!r}", cause="it leads out of the root")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


class DirectoryCache:
    """Open directories below `root_fd`. The descriptors it gives are its own, and good until `trim` or `forget`."""

    def __init__(self, root_fd: int) -> None:
        self.root_fd = root_fd
        self.implied: dict[bytes, None] = {b"": None}
        """Directories made because something lies in them, and the root until an entry describes it."""
        self.implied_bytes = 0
        self._open: dict[bytes, int] = {b"": root_fd}
        self._spare = -1

    def __enter__(self) -> DirectoryCache:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.forget()

    def parent(self, path: bytes, *, create: bool = True) -> tuple[int, bytes]:
        """The directory an entry lies in, and the entry's last component."""
        slash = path.rfind(b"/")
        if slash < 0:
            return self.root_fd, path
        directory = path[:slash]
        fd = self._open.get(directory)
        if fd is None:
            fd = self.open(directory, create=create)
        return fd, path[slash + 1 :]

    def open(self, path: bytes, *, create: bool = True) -> int:
        """The directory at `path`, kept open; made with mode 0755 and owner 0 where missing."""
        known = self._open.get(path)
        if known is not None:
            return known
        try:
            fd = open_in_root(self.root_fd, path, _OPEN)
        except FileNotFoundError:
            if not create:
                raise
            fd = make_directories(self.root_fd, path, 0o755, self._imply)
        self._open[path] = fd
        return fd

    def open_uncached(self, path: bytes) -> int:
        """A descriptor of the directory at `path`, the last component not followed; the caller closes it."""
        return open_in_root(self.root_fd, path, _OPEN | os.O_NOFOLLOW)

    def trim(self) -> None:
        """Close what is kept when it is much."""
        if len(self._open) > _KEPT:
            self.forget()

    def forget(self, keep: int = -1) -> None:
        """Close what is kept: a path may lead elsewhere now.

        `keep` stays open for its user, but is not found any more.
        """
        held = {fd for fd in (*self._open.values(), self._spare) if fd not in (-1, self.root_fd)}
        self._open = {b"": self.root_fd}
        self._spare = keep if keep in held else -1
        for fd in held - {keep}:
            os.close(fd)

    def _imply(self, path: bytes) -> None:
        self.implied[path] = None
        self.implied_bytes += len(path) + 200
