"""The work directory: where things are made before they are renamed into the upper directory.

What lies in it when the overlay is mounted was left by a crash, and is removed: nothing in it was ever seen. Its place,
`work` in the given directory, is the one that the kernel's overlay uses and cleans too.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from storage.errors import StorageError
from storage.syscalls import RENAME_EXCHANGE, renameat2
from storage.trees.copy_tree import copy_metadata
from storage.trees.tree import remove_content, remove_entry
from storage.whiteouts import OPAQUE_XATTR, WHITEOUT_XATTR, entry_path, make_opaque

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEFAULT_ACL = "system.posix_acl_default"
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Work:
    """The work directory, locked while this is open: two servers on one upper directory would spoil it."""

    def __init__(self, directory_fd: int) -> None:
        with suppress(FileExistsError):
            os.mkdir("work", 0o700, dir_fd=directory_fd)
        self.fd = os.open("work", _READ, dir_fd=directory_fd)
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.fd)
            raise StorageError("the work directory is in use", cause="another overlay is mounted with it") from None
        remove_content(self.fd)
        self._count = 0

    def close(self) -> None:
        """Give the directory back."""
        os.close(self.fd)

    def name(self) -> bytes:
        """A name in the directory that nothing has."""
        self._count += 1
        return b"#%x" % self._count

    @contextmanager
    def aside(self) -> Iterator[bytes]:
        """A name to make something by; what has it at the end, a tree too, is removed.

        What cannot be removed goes when the overlay is mounted next: what was done by then has been done.
        """
        name = self.name()
        try:
            yield name
        finally:
            with suppress(OSError, StorageError):
                remove_entry(self.fd, name)

    @contextmanager
    def aside_like(self, directory_fd: int) -> Iterator[tuple[int, bytes]]:
        """As `aside`, with the directory the name is in: one that hands down the same ACL as the given one."""
        try:
            acl = os.getxattr(entry_path(directory_fd, b"."), _DEFAULT_ACL)
        except OSError:
            with self.aside() as name:
                yield self.fd, name
            return
        with self.aside() as name:
            os.mkdir(name, 0o700, dir_fd=self.fd)
            fd = os.open(name, _READ, dir_fd=self.fd)
            try:
                os.setxattr(fd, _DEFAULT_ACL, acl)
                yield fd, b"made"
            finally:
                os.close(fd)

    def create(self, name: bytes) -> int:
        """A new file."""
        return os.open(name, _CREATE, 0o600, dir_fd=self.fd)

    @contextmanager
    def whiteout_aside(self, directory_fd: int) -> Iterator[bytes]:
        """As `aside`, with a whiteout that is about to move to `directory_fd`."""
        with self.aside() as made:
            self._make_whiteout(made, directory_fd)
            yield made

    def put_whiteout(self, directory_fd: int, name: bytes) -> None:
        """Put a whiteout in the place of a file that is there, at once."""
        with self.whiteout_aside(directory_fd) as made:
            os.rename(made, name, src_dir_fd=self.fd, dst_dir_fd=directory_fd)

    def swap_for_whiteout(self, directory_fd: int, name: bytes) -> None:
        """Put a whiteout in the place of a directory, at once, and remove the directory."""
        with self.whiteout_aside(directory_fd) as made:
            renameat2(self.fd, made, directory_fd, name, RENAME_EXCHANGE)

    def swap_for_empty(self, directory_fd: int, name: bytes) -> None:
        """Put an empty opaque directory in the place of one that only has whiteouts."""
        with self.aside() as made:
            os.mkdir(made, 0o700, dir_fd=self.fd)
            old = os.open(name, _READ, dir_fd=directory_fd)
            try:
                new = os.open(made, _READ, dir_fd=self.fd)
                try:
                    make_opaque(new)
                    copy_metadata(old, new)
                finally:
                    os.close(new)
            finally:
                os.close(old)
            renameat2(self.fd, made, directory_fd, name, RENAME_EXCHANGE)

    def remove_directory(self, directory_fd: int, name: bytes) -> None:
        """Remove a directory that may hold whiteouts, at once."""
        with self.aside() as taken:
            os.rename(name, taken, src_dir_fd=directory_fd, dst_dir_fd=self.fd)

    def _make_whiteout(self, name: bytes, directory_fd: int) -> None:
        """A whiteout that is about to move to `directory_fd`."""
        try:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=self.fd)
        except PermissionError:
            os.close(self.create(name))
            os.setxattr(entry_path(self.fd, name), WHITEOUT_XATTR, b"y", follow_symlinks=False)
            mark_directory(directory_fd)


def mark_directory(directory_fd: int) -> None:
    """Have the directory's empty files looked at for the whiteout xattr."""
    place = entry_path(directory_fd, b".")
    try:
        if os.getxattr(place, OPAQUE_XATTR) == b"y":
            return
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
    os.setxattr(place, OPAQUE_XATTR, b"x")
