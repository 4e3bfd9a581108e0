"""Paths inside a root that somebody hostile fills: never a way out, whatever symlinks say, also while they change.

`open_in_root` leaves resolution to openat2 RESOLVE_IN_ROOT: absolute symlinks and `..` stop at the root, as in a
chroot.
"""

from __future__ import annotations

import errno
import os

from storage.syscalls import (
    RESOLVE_BENEATH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    openat2,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_LINKS = 40
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_STRICT = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS


def open_in_root(root_fd: int, path: str | bytes, flags: int, mode: int = 0) -> int:
    """A descriptor of `path` as a process chrooted into `root_fd` would see it; close-on-exec. What is made gets the
    permission bits `mode`.

    OSError as open(2) gives.
    """
    while True:
        try:
            return openat2(root_fd, os.fsencode(path) or b".", flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, mode)
        except BlockingIOError:
            # openat2(2): a rename elsewhere raced with `..`; it says to try again
            continue


def mkdir_in_root(root_fd: int, path: str | bytes, mode: int = 0o755) -> int:
    """A descriptor of the directory at `path` inside the root, made with its missing parents, whose
    permission bits are `mode`; twice is safe.
    """
    return make_directories(root_fd, os.fsencode(path), mode)


def make_directories(root_fd: int, path: bytes, mode: int, made: Callable[[bytes], None] | None = None) -> int:
    """mkdir -p as in a chroot, through symlinks that lead to nothing too; tells `made` each new directory's real path.
    `mode` is the permission bits of each.

    One component at a time, each opened without following: what is a symlink is read and its text walked in its place.
    """
    walk = _Walk(root_fd, path)
    try:
        while (name := walk.next_name()) is not None:
            walk.step(name, mode, made)
    except BaseException:
        os.close(walk.fd)
        raise
    return walk.fd


def path_in_root(root_fd: int, fd: int, base: bytes = b"") -> bytes:
    """The real path below the root of the entry `base` in the directory `fd`, or of what `fd` is."""
    root, here = (os.readlink(b"/proc/self/fd/%d" % known) for known in (root_fd, fd))
    inside = here[len(root.rstrip(b"/")) + 1 :]
    return inside + b"/" + base if inside and base else inside or base


class _Walk:
    """A place inside the root, and the components still to go."""

    def __init__(self, root_fd: int, path: bytes) -> None:
        self._root_fd, self._text = root_fd, path
        self._todo = path.split(b"/")[::-1]
        self._here: list[bytes] = []
        self._links = 0
        self.fd = os.dup(root_fd)

    def next_name(self) -> bytes | None:
        while self._todo:
            name = self._todo.pop()
            if name not in (b"", b"."):
                return name
        return None

    def step(self, name: bytes, mode: int, made: Callable[[bytes], None] | None) -> None:
        if name == b"..":
            del self._here[-1:]
            self._move(openat2(self._root_fd, b"/".join(self._here) or b".", _DIRECTORY, _STRICT))
            return
        try:
            self._enter(name)
        except FileNotFoundError:
            os.mkdir(name, mode, dir_fd=self.fd)
            self._enter(name)
            if made is not None:
                made(b"/".join(self._here))
        except OSError as error:
            # with RESOLVE_NO_SYMLINKS a symlink is ELOOP
            if error.errno != errno.ELOOP:
                raise
            self._follow(os.readlink(name, dir_fd=self.fd))

    def _enter(self, name: bytes) -> None:
        self._move(openat2(self.fd, name, _DIRECTORY, _STRICT))
        self._here.append(name)

    def _follow(self, target: bytes) -> None:
        self._links += 1
        if self._links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fsdecode(self._text))
        self._todo.extend(target.split(b"/")[::-1])
        if target.startswith(b"/"):
            self._here = []
            self._move(os.dup(self._root_fd))

    def _move(self, fd: int) -> None:
        os.close(self.fd)
        self.fd = fd
