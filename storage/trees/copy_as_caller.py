"""Copies a tree of somebody else's into a directory of the caller's, as the caller's own files.

Owners, set-id bits, xattrs and device nodes stay behind: what was root's in an image must not become a program that
runs as the caller for everybody. Nothing is written but below the target: each directory is entered without following,
and what stands in an entry's way is replaced, never written through.
"""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING

from storage.errors import StorageError, os_failure
from storage.trees.copy_tree import DataCopy
from storage.trees.resolve import open_in_root
from storage.trees.walk import FirstNames, Step, Walk

if TYPE_CHECKING:
    from collections.abc import Callable

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_as_caller(source_fd: int, target_fd: int) -> tuple[str, ...]:
    """Copy all below `source_fd` into `target_fd`; notes on what was left out. What else is in the target stays.

    StorageError where something cannot be written, or where a directory stands in a file's way; what was copied until
    then stays.
    """
    giving = _Giving(target_fd)
    try:
        for step in Walk(source_fd):
            giving.take(step)
    except OSError as error:
        raise os_failure(f"cannot write {giving.shown}", error) from error
    finally:
        giving.close()
    return tuple(giving.notes)


class _Giving:
    def __init__(self, target_fd: int) -> None:
        self._root_fd = target_fd
        self._fd = os.open(".", _DIRECTORY, dir_fd=target_fd)
        #: the way down: names, and which directories they were
        self._path: list[bytes] = []
        self._above: list[tuple[int, int]] = []
        self._first_names = FirstNames()
        self._name = b""
        self._data = DataCopy()
        self.notes: list[str] = []

    @property
    def shown(self) -> str:
        """The path that is being written."""
        return os.fsdecode(b"/".join((*self._path, self._name))) or "."

    def close(self) -> None:
        os.close(self._fd)

    def take(self, step: Step) -> None:
        self._name = step.name
        mode = step.status.st_mode
        if step.leaving:
            self._leave(step)
        elif stat.S_ISDIR(mode):
            self._enter(step.name)
        elif not self._link(step):
            if stat.S_ISREG(mode):
                self._write_file(step)
            elif stat.S_ISLNK(mode):
                target = os.readlink(step.name, dir_fd=step.dir_fd)
                self._put(step, lambda name: os.symlink(target, name, dir_fd=self._fd))
            elif stat.S_ISFIFO(mode):
                self._put(step, lambda name: self._make_fifo(name, stat.S_IMODE(mode) & 0o777))
            else:
                self.notes.append(f"left out {self.shown!r}: device nodes and sockets cannot be given to a user")

    def _make_fifo(self, name: bytes, mode: int) -> None:
        os.mkfifo(name, 0o600, dir_fd=self._fd)
        # by its path: fchmodat(2) takes no flags, and the name was made here just now; mkfifo(3) heeds the umask
        os.chmod(self._here(name), mode)

    def _enter(self, name: bytes) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=self._fd)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=self._fd)
                os.mkdir(name, 0o700, dir_fd=self._fd)
        here = os.fstat(self._fd)
        self._move(os.open(name, _DIRECTORY, dir_fd=self._fd))
        self._above.append((here.st_dev, here.st_ino))
        self._path.append(name)

    def _leave(self, step: Step) -> None:
        os.fchmod(self._fd, stat.S_IMODE(step.status.st_mode) & 0o1777)
        os.utime(self._fd, ns=(step.status.st_atime_ns, step.status.st_mtime_ns))
        self._path.pop()
        self._move(os.open("..", _DIRECTORY, dir_fd=self._fd))
        found = os.fstat(self._fd)
        if (found.st_dev, found.st_ino) != self._above.pop():
            raise StorageError(f"{self.shown} was moved while it was written")

    def _move(self, fd: int) -> None:
        os.close(self._fd)
        self._fd = fd

    def _link(self, step: Step) -> bool:
        """Whether the entry is another name of one given before, and now is so in the target too."""
        first = self._first_names.find(step.status, b"/".join((*self._path, step.name)))
        if first is None:
            return False
        fd = open_in_root(self._root_fd, first, os.O_PATH | os.O_NOFOLLOW)
        try:
            place = b"/proc/self/fd/%d" % fd
            self._put(step, lambda name: os.link(place, name, dst_dir_fd=self._fd, follow_symlinks=True))
        finally:
            os.close(fd)
        return True

    def _write_file(self, step: Step) -> None:
        def write(name: bytes) -> None:
            source_fd = os.open(step.name, _READ, dir_fd=step.dir_fd)
            try:
                fd = os.open(name, _CREATE, 0o600, dir_fd=self._fd)
                try:
                    self._data.copy(source_fd, fd)
                    os.fchmod(fd, stat.S_IMODE(step.status.st_mode) & 0o1777)
                finally:
                    os.close(fd)
            finally:
                os.close(source_fd)

        self._put(step, write)

    def _put(self, step: Step, make: Callable[[bytes], None]) -> None:
        """Make the entry aside and let it take the name: a symlink that has it is not followed."""
        aside = b".sandbox-" + secrets.token_hex(8).encode()
        make(aside)
        try:
            times = (step.status.st_atime_ns, step.status.st_mtime_ns)
            os.utime(aside, ns=times, dir_fd=self._fd, follow_symlinks=False)
            os.rename(aside, step.name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
            # rename(2) of two names of one file does nothing and leaves both
            if step.status.st_nlink > 1 and os.path.lexists(self._here(aside)):
                os.unlink(aside, dir_fd=self._fd)
        except BaseException:
            os.unlink(aside, dir_fd=self._fd)
            raise

    def _here(self, name: bytes) -> bytes:
        return b"/proc/self/fd/%d/%b" % (self._fd, name)
