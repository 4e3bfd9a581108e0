"""Extracts an archive over a tree that is there already, and that somebody hostile may change meanwhile.

Docker's rules: what an entry finds in its way is removed, but a directory takes a directory's content in; owner, mode
and times of directories are set at the end. No entry leaves its root: a name is cut into components, `..` out of the
place is refused, and each directory is entered by openat2(2), without symlinks or as a process chrooted into the root
would follow them; the last component is never followed.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from storage.errors import StorageError, os_failure
from storage.syscalls import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from storage.tar.reader import BLOCK, CHARACTER, DIRECTORY, FIFO, HARD_LINK, REGULAR, SYMLINK, TarEntry, TarReader
from storage.trees.directories import clean_name
from storage.trees.resolve import make_directories, open_in_root
from storage.trees.tree import remove_entry
from storage.whiteouts import FORGEABLE_PREFIXES

if TYPE_CHECKING:
    from collections.abc import Callable

_BLOCK = 512
_KEPT = 32
_MAX_NOTES = 50
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OVERWRITE = os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_STRICT = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
#: what a file system without xattrs, or one that does not let us set this one, answers
_NO_XATTR = (errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.EINVAL)
#: an owner that is not mapped, or that a user cannot give
_NO_OWNER = (errno.EINVAL, errno.EPERM)


class Place(NamedTuple):
    """Where an archive goes: the directory `fd`.

    With `root_fd` and `path` (that of the directory in the root) symlinks in the middle of names are followed, within
    the root; without them they are in the way.
    """

    fd: int
    root_fd: int = -1
    path: bytes = b""


class Rules(NamedTuple):
    """What becomes of the entries."""

    #: a directory and what is none do not replace each other (Docker's noOverwriteDirNonDir)
    keeps_kinds: bool = False
    #: "archive": as its headers say; "caller": whoever extracts; else the ids that everything gets
    owner: tuple[int, int] | str = "archive"
    #: set-id bits, devices and capabilities; without it only what a user may make without harm
    special: bool = True
    #: the first component of names, and what it becomes
    renamed: tuple[bytes, bytes] | None = None


class Extracted(NamedTuple):
    """How long the archive would be with one header for each entry and no holes, as Docker counts; and what was left
    out, a sentence each.
    """

    size_bytes: int
    notes: tuple[str, ...]


class Extraction:
    """The extraction of one archive; `first` looks at its first entry, before anything is written.

    `pipe_fd` as `TarReader` takes it.
    """

    def __init__(self, stream: BinaryIO, pipe_fd: int = -1) -> None:
        self._reader = TarReader(stream, digests=False, pipe_fd=pipe_fd)
        self._first = self._reader.next_entry()

    @property
    def first(self) -> TarEntry | None:
        """The first entry, None of an empty archive."""
        return self._first

    def extract(self, place: Place, rules: Rules) -> Extracted:
        """Extract all of it. StorageError, with the entry's name, where one cannot be; what was written stays."""
        umask = os.umask(0)
        writer = _Writer(self._reader, place, rules)
        entry = self._first
        size = 2 * _BLOCK
        try:
            while entry is not None:
                size += _BLOCK + entry.size + -entry.size % _BLOCK
                writer.take(entry)
                entry = self._reader.next_entry()
            self._reader.finish()
            writer.settle_directories()
        finally:
            writer.close()
            os.umask(umask)
        return Extracted(size, tuple(writer.notes))


class _Writer:
    def __init__(self, reader: TarReader, place: Place, rules: Rules) -> None:
        self._reader = reader
        self._place = place
        self._rules = rules
        self._open: dict[bytes, int] = {}
        #: owner, mode and time of each directory, for the end, and which one that is: another may have its name then
        self._directories: dict[bytes, tuple[TarEntry, tuple[int, int]]] = {}
        self.notes: list[str] = []
        self._make: dict[bytes, Callable[[TarEntry, int, bytes], None]] = {
            REGULAR: self._make_file,
            SYMLINK: self._make_symlink,
            HARD_LINK: self._make_hard_link,
            FIFO: self._make_fifo,
            CHARACTER: self._make_device,
            BLOCK: self._make_device,
        }

    def close(self) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()

    def take(self, entry: TarEntry) -> None:
        """Carry out one entry. StorageError."""
        path = self._renamed(clean_name(entry.name))
        if not path:
            return
        try:
            above, _, base = path.rpartition(b"/")
            parent_fd = self._parent(above)
            if entry.kind == DIRECTORY:
                self._make_directory(entry, path, parent_fd, base)
                return
            make = self._make.get(entry.kind)
            if make is None:
                self._note(f"left out {_shown(path)}: an entry of unknown type {entry.kind!r}")
                return
            self._clear(path, parent_fd, base)
            make(entry, parent_fd, base)
        except OSError as error:
            raise os_failure(f"cannot write {_shown(path)}", error) from error

    def settle_directories(self) -> None:
        """Give directories owner, mode and times, the deepest first. StorageError."""
        for path, (entry, known) in sorted(self._directories.items(), reverse=True):
            try:
                fd = self._enter(path)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV):
                    continue  # another entry, or somebody else, has put something in its place
                raise os_failure(f"cannot write {_shown(path)}", error) from error
            try:
                if _identity(os.fstat(fd)) == known:
                    self._describe(entry, fd)
            except OSError as error:
                raise os_failure(f"cannot write {_shown(path)}", error) from error
            finally:
                os.close(fd)

    def _renamed(self, path: bytes) -> bytes:
        if self._rules.renamed is None:
            return path
        old, new = self._rules.renamed
        if old == b".":
            return new + b"/" + path if path else new
        first, slash, rest = path.partition(b"/")
        return new + slash + rest if first == old else path

    # --- directories

    def _parent(self, path: bytes) -> int:
        """The directory at `path`, kept open; made where missing."""
        if not path:
            return self._place.fd
        fd = self._open.get(path)
        if fd is None:
            if len(self._open) >= _KEPT:
                self.close()
            try:
                fd = self._enter(path)
            except FileNotFoundError:
                fd = self._make_parents(path)
            self._open[path] = fd
        return fd

    def _enter(self, path: bytes) -> int:
        try:
            return openat2(self._place.fd, path, _DIRECTORY, _STRICT)
        except OSError as error:
            if self._place.root_fd < 0 or error.errno not in (errno.ELOOP, errno.EXDEV):
                raise
        return open_in_root(self._place.root_fd, self._place.path + b"/" + path, _DIRECTORY)

    def _make_parents(self, path: bytes) -> int:
        if self._place.root_fd < 0:
            return make_directories(self._place.fd, path, 0o755)
        return make_directories(self._place.root_fd, self._place.path + b"/" + path, 0o755)

    # --- entries

    def _clear(self, path: bytes, parent_fd: int, base: bytes) -> None:
        try:
            status = os.stat(base, dir_fd=parent_fd, follow_symlinks=False)
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(status.st_mode):
            try:
                os.unlink(base, dir_fd=parent_fd)
            except OSError as error:
                # a mount: what is mounted there can be written, and nothing else done with it
                if error.errno != errno.EBUSY:
                    raise
            return
        if self._rules.keeps_kinds:
            raise StorageError(f"cannot overwrite directory {_shown(path)} with non-directory")
        remove_entry(parent_fd, base)
        self._drop(path)

    def _drop(self, path: bytes) -> None:
        inside = path + b"/"
        for known in [known for known in self._open if known == path or known.startswith(inside)]:
            os.close(self._open.pop(known))

    def _make_directory(self, entry: TarEntry, path: bytes, parent_fd: int, base: bytes) -> None:
        try:
            os.mkdir(base, 0o700, dir_fd=parent_fd)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(base, dir_fd=parent_fd, follow_symlinks=False).st_mode):
                if self._rules.keeps_kinds:
                    raise StorageError(f"cannot overwrite non-directory {_shown(path)} with directory") from None
                os.unlink(base, dir_fd=parent_fd)
                os.mkdir(base, 0o700, dir_fd=parent_fd)
        known = _identity(os.stat(base, dir_fd=parent_fd, follow_symlinks=False))
        self._directories[path] = (entry._replace(name=b"", link_name=b""), known)

    def _make_file(self, entry: TarEntry, parent_fd: int, base: bytes) -> None:
        try:
            fd = os.open(base, _CREATE, 0o600, dir_fd=parent_fd)
            made = True
        except FileExistsError:
            fd = os.open(base, _OVERWRITE, dir_fd=parent_fd)
            made = False
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                raise
        try:
            if entry.segments is not None:
                self._reader.copy_segments(fd, entry.segments, entry.size)
            elif entry.size:
                self._reader.copy_data(fd)
            self._describe(entry, fd)
        except BaseException:
            if made:
                # half a file is worse than none
                os.unlink(base, dir_fd=parent_fd)
            raise
        finally:
            os.close(fd)

    def _make_symlink(self, entry: TarEntry, parent_fd: int, base: bytes) -> None:
        os.symlink(entry.link_name, base, dir_fd=parent_fd)
        owner = self._owner(entry)
        if owner is not None:
            self._try_owner(base, lambda: os.chown(base, *owner, dir_fd=parent_fd, follow_symlinks=False))
        os.utime(base, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent_fd, follow_symlinks=False)

    def _make_hard_link(self, entry: TarEntry, parent_fd: int, base: bytes) -> None:
        target = self._renamed(clean_name(entry.link_name))
        above, _, name = target.rpartition(b"/")
        if not name:
            raise StorageError(f"cannot write {_shown(base)}", cause="a hard link to the root")
        source_fd = self._enter(above) if above else os.dup(self._place.fd)
        try:
            os.link(name, base, src_dir_fd=source_fd, dst_dir_fd=parent_fd, follow_symlinks=False)
        finally:
            os.close(source_fd)

    def _make_fifo(self, entry: TarEntry, parent_fd: int, base: bytes) -> None:
        os.mkfifo(base, 0o600, dir_fd=parent_fd)
        self._describe_node(entry, parent_fd, base)

    def _make_device(self, entry: TarEntry, parent_fd: int, base: bytes) -> None:
        if not self._rules.special or (entry.kind == CHARACTER and entry.device == (0, 0)):
            self._note(f"left out {_shown(base)}: a device")
            return
        kind = stat.S_IFCHR if entry.kind == CHARACTER else stat.S_IFBLK
        try:
            os.mknod(base, kind | 0o600, os.makedev(*entry.device), dir_fd=parent_fd)
        except (PermissionError, OverflowError):
            self._note(f"left out {_shown(base)}: the kernel lets only root of the host make devices")
            return
        self._describe_node(entry, parent_fd, base)

    # --- what is common to them

    def _describe_node(self, entry: TarEntry, parent_fd: int, base: bytes) -> None:
        """Owner, mode and times of what cannot be opened without effect."""
        fd = os.open(base, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent_fd)
        try:
            # by descriptor: the name may lead elsewhere by now
            place = b"/proc/self/fd/%d" % fd
            owner = self._owner(entry)
            if owner is not None:
                self._try_owner(base, lambda: os.chown(place, *owner))
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                os.chmod(place, entry.mode & 0o777)
                os.utime(place, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)

    def _describe(self, entry: TarEntry, fd: int) -> None:
        # in this order: a change of owner clears set-id bits and capabilities
        mode = entry.mode if self._rules.special else entry.mode & 0o1777
        owner = self._owner(entry)
        if owner is not None and not self._try_owner(entry.name, lambda: os.fchown(fd, *owner)):
            mode &= 0o1777
        os.fchmod(fd, mode)
        if entry.xattrs:
            self._set_xattrs(entry, fd)
        os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))

    def _owner(self, entry: TarEntry) -> tuple[int, int] | None:
        owner = self._rules.owner
        if owner == "archive":
            return entry.uid, entry.gid
        return None if isinstance(owner, str) else owner

    def _try_owner(self, name: bytes, give: Callable[[], object]) -> bool:
        try:
            give()
        except OverflowError:
            pass
        except OSError as error:
            if error.errno not in _NO_OWNER:
                raise
        else:
            return True
        self._note(f"{_shown(name)} belongs to root now: the container does not have the owner that the archive names")
        return False

    def _set_xattrs(self, entry: TarEntry, fd: int) -> None:
        for name, value in entry.xattrs.items():
            text = os.fsdecode(name)
            if text.startswith(FORGEABLE_PREFIXES) or not text.startswith(self._xattr_prefixes()):
                continue
            try:
                os.setxattr(fd, text, value)
            except OSError as error:
                if error.errno not in _NO_XATTR:
                    raise

    def _xattr_prefixes(self) -> tuple[str, ...]:
        return ("user.", "security.capability") if self._rules.special else ("user.",)

    def _note(self, text: str) -> None:
        if len(self.notes) < _MAX_NOTES:
            self.notes.append(text)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _shown(path: bytes) -> str:
    return repr(os.fsdecode(path[:200]))
