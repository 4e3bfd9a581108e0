"""COPY and ADD: files from a source into the merged tree of a step, by descriptors.

The target is resolved inside the step's root, where symlinks may lie in wait; below it nothing is followed. The rules
of what replaces what are BuildKit's: a directory is laid over a directory, anything else takes the place of anything
but a directory.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from sandbox.builder.sources.copy_sources import ALL, Found, Selection, Source, StepError, walk_visible
from storage.trees.copy_tree import DataCopy
from storage.trees.resolve import make_directories, open_in_root
from storage.trees.tree import remove_entry
from storage.whiteouts import FORGEABLE_PREFIXES, PREFIX, entry_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.trees.walk import Step

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: directories kept open for further names of a hard link; beyond that a link is copied as a file
_KEPT_MOST = 200
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Changes(NamedTuple):
    """What becomes of owner (uid, gid) and mode (permission bits) on the way; None leaves them."""

    owner: tuple[int, int] | None = None
    mode: Callable[[int], int] | None = None
    #: of directories made above the target
    directory_mode: int = 0o755
    #: as tar(1): what is in the way goes, a directory too; the target directory itself stays as it is
    replaces: bool = False


class Target(NamedTuple):
    """Where a step copies to: `path` absolute in the root; `into` means that it is a directory, by its text."""

    root_fd: int
    path: str
    into: bool


def is_directory(target: Target) -> bool:
    """Whether a directory is there already."""
    try:
        fd = open_in_root(target.root_fd, target.path, os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return False
    os.close(fd)
    return True


class Copier:
    """One COPY or ADD; closed before the tree it copies to is unmounted, for it keeps directories of that open."""

    def __init__(self, target: Target, changes: Changes) -> None:
        self._target = target
        self._changes = changes
        self._linked: dict[tuple[int, int], tuple[int, bytes]] = {}
        self._kept: list[int] = []
        self._data = DataCopy()

    def close(self) -> None:
        for fd in self._kept:
            os.close(fd)
        self._kept.clear()

    def copy(self, source: Source, found: Found, selection: Selection | None = None) -> None:
        """A file to the target or into it, the content of a directory into it. Raises StepError."""
        selection = selection or ALL
        try:
            if found.is_directory:
                self._copy_content(source, found, selection)
            elif not selection.hides(found.name):
                self._copy_single(source, found)
        except OSError as error:
            raise StepError(f"cannot copy {'/' + found.real_path!r}", cause=error.strerror or str(error)) from error

    def write(self, name: str, content: bytes) -> None:
        """A file written in the Dockerfile. Raises StepError."""
        dir_fd, base = self._place(name)
        try:
            self._clear(dir_fd, base)
            fd = os.open(base, _CREATE, 0o600, dir_fd=dir_fd)
            with os.fdopen(fd, "wb") as file:
                file.write(content)
                # before owner and mode: a write takes set-id bits away
                file.flush()
                mode = stat.S_IFREG | 0o644
                os.fchown(fd, *(self._changes.owner or (0, 0)))
                os.fchmod(fd, self._changes.mode(mode) if self._changes.mode else 0o644)
        except OSError as error:
            raise StepError(f"cannot write {name!r}", cause=error.strerror or str(error)) from error
        finally:
            os.close(dir_fd)

    def _make(self, path: str) -> int:
        """A descriptor of the target directory, made with what is missing above it."""
        made: list[bytes] = []
        try:
            fd = make_directories(self._target.root_fd, os.fsencode(path), 0o755, made.append)
        except NotADirectoryError as error:
            raise StepError(f"cannot make the directory {path}", cause="a file is in its way") from error
        for directory in made:
            new = open_in_root(self._target.root_fd, directory, os.O_RDONLY | os.O_DIRECTORY)
            if self._changes.owner is not None:
                os.fchown(new, *self._changes.owner)
            if self._changes.directory_mode != 0o755:
                os.fchmod(new, self._changes.directory_mode)
            os.close(new)
        return fd

    def _place(self, name: str) -> tuple[int, bytes]:
        """The directory and the name a single file is copied to; symlinks at the target itself are followed."""
        path, into = self._target.path, self._target.into
        if not into:
            try:
                fd = open_in_root(self._target.root_fd, path, os.O_PATH)
            except OSError:
                pass
            else:
                into = stat.S_ISDIR(os.fstat(fd).st_mode)
                if not into:
                    root = os.readlink(f"/proc/self/fd/{self._target.root_fd}")
                    path = os.readlink(f"/proc/self/fd/{fd}")[len(root.rstrip("/")) :]
                os.close(fd)
        directory, base = (path, name) if into else os.path.split(path)
        _refuse_whiteout(os.fsencode(base))
        return self._make(directory), os.fsencode(base)

    def _copy_single(self, source: Source, found: Found) -> None:
        dir_fd, base = self._place(found.name)
        try:
            if not stat.S_ISREG(found.status.st_mode):
                self._clear(dir_fd, base)
                self._make_special(source, dir_fd, base, found.status)
                return
            data_fd = os.open(f"/proc/self/fd/{found.fd}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._write_file(source, data_fd, found.status, dir_fd, base)
            finally:
                os.close(data_fd)
        finally:
            os.close(dir_fd)

    def _copy_content(self, source: Source, found: Found, selection: Selection) -> None:
        created = not _exists(self._target)
        top_fd = self._make(self._target.path)
        self._kept.append(top_fd)
        directory = os.open(f"/proc/self/fd/{found.fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._walk(source, found, selection, directory, top_fd)
            if self._changes.replaces:
                return
            if created:
                self._describe(source, top_fd, found.status, directory)
            else:
                # as BuildKit: its owner and mode stay, and it does not get the time of this moment
                os.utime(top_fd, ns=(found.status.st_mtime_ns, found.status.st_mtime_ns))
        finally:
            os.close(directory)

    def _walk(self, source: Source, found: Found, selection: Selection, directory: int, top_fd: int) -> None:
        # names and statuses of the directories we are in, and their copies as far as those are made
        names: list[bytes] = []
        copies: list[int] = [top_fd]
        try:
            for step, _path, hidden in walk_visible(directory, found.real_path, source.rules, selection):
                if step.leaving:
                    if len(copies) > len(names):
                        copy_fd = copies.pop()
                        from_fd = os.open(step.name, _DIRECTORY, dir_fd=step.dir_fd)
                        self._describe(source, copy_fd, step.status, from_fd)
                        os.close(from_fd)
                        os.close(copy_fd)
                    names.pop()
                elif stat.S_ISDIR(step.status.st_mode):
                    names.append(step.name)
                    if not hidden:
                        self._enter(names, copies)
                elif not hidden:
                    self._enter(names, copies)
                    self._copy_entry(source, step, copies[-1])
        finally:
            for fd in copies[1:]:
                os.close(fd)

    def _enter(self, names: list[bytes], copies: list[int]) -> None:
        """Make the copies of the directories we are in."""
        while len(copies) <= len(names):
            name, above = names[len(copies) - 1], copies[-1]
            _refuse_whiteout(name)
            try:
                fd = os.open(name, _DIRECTORY, dir_fd=above)
            except FileNotFoundError:
                os.mkdir(name, 0o700, dir_fd=above)
                fd = os.open(name, _DIRECTORY, dir_fd=above)
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                if self._changes.replaces:
                    remove_entry(above, name)
                    continue
                raise StepError(f"cannot copy to non-directory: {os.fsdecode(b'/'.join(names))}") from error
            copies.append(fd)

    def _copy_entry(self, source: Source, step: Step, dir_fd: int) -> None:
        _refuse_whiteout(step.name)
        status = step.status
        inode = (status.st_dev, status.st_ino)
        known = self._linked.get(inode) if status.st_nlink > 1 else None
        if known is not None:
            self._clear(dir_fd, step.name)
            os.link(known[1], step.name, src_dir_fd=known[0], dst_dir_fd=dir_fd, follow_symlinks=False)
            return
        if stat.S_ISREG(status.st_mode):
            data_fd = os.open(step.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=step.dir_fd)
            try:
                self._write_file(source, data_fd, status, dir_fd, step.name)
            finally:
                os.close(data_fd)
        elif stat.S_ISLNK(status.st_mode):
            self._clear(dir_fd, step.name)
            os.symlink(os.readlink(step.name, dir_fd=step.dir_fd), step.name, dir_fd=dir_fd)
            os.chown(step.name, *self._owner(source, status), dir_fd=dir_fd, follow_symlinks=False)
            times = (status.st_mtime_ns, status.st_mtime_ns)
            os.utime(step.name, ns=times, dir_fd=dir_fd, follow_symlinks=False)
        else:
            self._clear(dir_fd, step.name)
            self._make_special(source, dir_fd, step.name, status)
        if status.st_nlink > 1 and len(self._kept) < _KEPT_MOST:
            kept = os.dup(dir_fd)
            self._kept.append(kept)
            self._linked[inode] = (kept, step.name)

    def _make_special(self, source: Source, dir_fd: int, name: bytes, status: os.stat_result) -> None:
        """A fifo or a socket, which as a file is nothing but its name."""
        if stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode):
            raise StepError(f"cannot copy {os.fsdecode(name)!r}", cause="it is a device")
        os.mknod(name, stat.S_IFMT(status.st_mode) | 0o600, 0, dir_fd=dir_fd)
        os.chown(name, *self._owner(source, status), dir_fd=dir_fd, follow_symlinks=False)
        mode = self._changes.mode(status.st_mode) if self._changes.mode else stat.S_IMODE(status.st_mode)
        # by its path: fchmodat(2) takes no flags, and the name was made here just now
        os.chmod(entry_path(dir_fd, name), mode)
        times = (status.st_mtime_ns, status.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=dir_fd, follow_symlinks=False)

    def _write_file(self, source: Source, data_fd: int, status: os.stat_result, dir_fd: int, name: bytes) -> None:
        try:
            fd = os.open(name, _CREATE, 0o600, dir_fd=dir_fd)
        except FileExistsError:
            self._clear(dir_fd, name)
            fd = os.open(name, _CREATE, 0o600, dir_fd=dir_fd)
        try:
            self._data.copy(data_fd, fd)
            self._describe(source, fd, status, data_fd)
        finally:
            os.close(fd)

    def _describe(self, source: Source, fd: int, status: os.stat_result, from_fd: int) -> None:
        os.fchown(fd, *self._owner(source, status))
        mode = stat.S_IMODE(status.st_mode)
        os.fchmod(fd, self._changes.mode(status.st_mode) if self._changes.mode else mode)
        for xattr in os.listxattr(from_fd):
            # after the owner: chown(2) takes file capabilities away
            if not xattr.startswith((*FORGEABLE_PREFIXES, "security.selinux")):
                try:
                    os.setxattr(fd, xattr, os.getxattr(from_fd, xattr))
                except OSError as error:
                    if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL):
                        raise
        os.utime(fd, ns=(status.st_mtime_ns, status.st_mtime_ns))

    def _owner(self, source: Source, status: os.stat_result) -> tuple[int, int]:
        if self._changes.owner is not None:
            return self._changes.owner
        return (status.st_uid, status.st_gid) if source.keeps_owners else (0, 0)

    def _clear(self, dir_fd: int, name: bytes) -> None:
        if self._changes.replaces:
            remove_entry(dir_fd, name)
            return
        try:
            os.unlink(name, dir_fd=dir_fd)
        except FileNotFoundError:
            pass
        except IsADirectoryError:
            raise StepError(f"cannot replace to directory {os.fsdecode(name)} with file") from None


def _refuse_whiteout(name: bytes) -> None:
    if name.startswith(PREFIX):
        raise StepError(
            f"cannot copy {os.fsdecode(name)!r}", cause="in a layer that name would remove another",
            mend="rename it, or name it in .dockerignore",
        )  # fmt: skip


def _exists(target: Target) -> bool:
    try:
        os.close(open_in_root(target.root_fd, target.path, os.O_PATH))
    except OSError:
        return False
    return True
