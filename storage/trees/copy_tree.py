"""Copies trees with all they have: owners, modes, times, xattrs, hard links, holes; links as links; by descriptors.

Data is shared with the source where the file system can (FICLONE), copied inside the kernel otherwise.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from storage.named_tuple import NamedTuple
from storage.syscalls import FICLONE
from storage.trees.resolve import open_in_root, path_in_root
from storage.trees.tree import remove_content, remove_entry
from storage.trees.walk import FirstNames, Step, Walk
from storage.whiteouts import (
    FORGEABLE_PREFIXES,
    entry_path,
    is_opaque,
    is_opaque_at,
    is_whiteout,
    make_opaque,
    make_whiteout,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: the answers of file systems that never share, or never copy to each other inside the kernel
_NEVER = (errno.EOPNOTSUPP, errno.EXDEV, errno.ENOTTY, errno.ENOSYS)
#: what is read and written in one piece
_PIECE = 1 << 20
_NO_CLONE = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM)
_NO_USER_XATTR = (errno.EOPNOTSUPP, errno.ENODATA)
_NO_XATTR = (errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.EINVAL, errno.ENODATA)


def copy_tree(source_fd: int, target_fd: int) -> None:
    """Copy all below `source_fd` into `target_fd`, and its own owner, mode and times. OSError where something fails.

    What is in the target stays unless an entry of the source takes its place.
    """
    _Copy(source_fd, target_fd, layered=False).run()


def share_tree(source_fd: int, target_fd: int) -> None:
    """As `copy_tree`, with directories of the target's own and links to the source's files: nothing is copied."""
    _Copy(source_fd, target_fd, layered=False, shared=True).run()


def merge_layer(layer_fd: int, target_fd: int) -> None:
    """Lay a layer over what `target_fd` has: as `copy_tree`, with whiteouts and opaque directories carried out."""
    _Copy(layer_fd, target_fd, layered=True).run()


def copy_layer(layer_fd: int, target_fd: int) -> None:
    """Copy a layer, or an upper directory, into the empty `target_fd`: as `copy_tree`, with whiteouts and the marks of
    opaque directories as they are.
    """
    _Copy(layer_fd, target_fd, layered=False, marked=True).run()


def copy_metadata(source_fd: int, target_fd: int) -> None:
    """Give the target the source's owner, mode, xattrs and times; overlay's and our own bookkeeping xattrs stay
    behind.
    """
    status = os.fstat(source_fd)
    os.fchown(target_fd, status.st_uid, status.st_gid)
    os.fchmod(target_fd, stat.S_IMODE(status.st_mode))
    _copy_xattrs(source_fd, target_fd)
    os.utime(target_fd, ns=(status.st_atime_ns, status.st_mtime_ns))


class LowerFile(NamedTuple):
    """Where a file was found: the layer's root, and its real path there."""

    root_fd: int
    path: bytes


def copy_file_from_lower(lower_roots: Sequence[int], path: bytes, dir_fd: int, name: bytes) -> LowerFile | None:
    """Copy the file `path` has in the topmost of `lower_roots` to `name` in `dir_fd`; None where none has it."""
    above, _, base = path.rpartition(b"/")
    for root_fd in lower_roots:
        try:
            source_fd = open_in_root(root_fd, above, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            status = os.stat(base, dir_fd=source_fd, follow_symlinks=False)
            if is_whiteout(source_fd, base, status) or stat.S_ISDIR(status.st_mode):
                return None
            _copy_entry(Step(source_fd, base, status, False, 0), dir_fd, name, DataCopy())
        except FileNotFoundError:
            if is_opaque(source_fd):
                return None
            continue
        else:
            return LowerFile(root_fd, path_in_root(root_fd, source_fd, base))
        finally:
            os.close(source_fd)
    return None


class _Copy:
    """One copy in progress: the walk over the source, and where that is in the target."""

    def __init__(
        self, source_fd: int, target_fd: int, *, layered: bool, marked: bool = False, shared: bool = False
    ) -> None:
        self._source_fd, self._target_fd = source_fd, target_fd
        self._layered, self._marked, self._shared = layered, marked, shared
        self._fd = os.open(".", _OPEN_DIRECTORY, dir_fd=target_fd)
        self._path: list[bytes] = []
        self._first_names = FirstNames()
        self._data = DataCopy()

    def run(self) -> None:
        try:
            if self._layered and is_opaque(self._source_fd):
                remove_content(self._fd)
            walk = Walk(self._source_fd)
            for step in walk:
                self._take(step)
            self._finish(self._source_fd, self._target_fd)
        finally:
            os.close(self._fd)

    def _take(self, step: Step) -> None:
        if step.leaving:
            self._leave(step)
        elif (self._layered or self._marked) and is_whiteout(step.dir_fd, step.name, step.status):
            remove_entry(self._fd, step.name)
            if self._marked:
                make_whiteout(self._fd, step.name)
        elif stat.S_ISDIR(step.status.st_mode):
            self._enter(step)
        else:
            remove_entry(self._fd, step.name)
            if not self._link(step):
                _copy_entry(step, self._fd, step.name, self._data)

    def _enter(self, step: Step) -> None:
        try:
            fd = os.open(step.name, _OPEN_DIRECTORY, dir_fd=self._fd)
        except FileNotFoundError:
            fd = -1
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            remove_entry(self._fd, step.name)
            fd = -1
        if fd < 0:
            os.mkdir(step.name, 0o700, dir_fd=self._fd)
            fd = os.open(step.name, _OPEN_DIRECTORY, dir_fd=self._fd)
        elif self._layered and is_opaque_at(step.dir_fd, step.name):
            remove_content(fd)
        os.close(self._fd)
        self._fd = fd
        self._path.append(step.name)

    def _leave(self, step: Step) -> None:
        source_fd = os.open(step.name, _OPEN_DIRECTORY, dir_fd=step.dir_fd)
        try:
            self._finish(source_fd, self._fd)
        finally:
            os.close(source_fd)
        above = os.open("..", _OPEN_DIRECTORY, dir_fd=self._fd)
        os.close(self._fd)
        self._fd = above
        self._path.pop()

    def _finish(self, source_fd: int, target_fd: int) -> None:
        """Give a directory that has its entries what the source has itself."""
        if self._marked and is_opaque(source_fd):
            make_opaque(target_fd)
        copy_metadata(source_fd, target_fd)

    def _link(self, step: Step) -> bool:
        """Link to what was copied of the same file before, or to itself; false where it is to be copied."""
        if self._shared:
            return self._link_to(step.name, step.dir_fd, step.name)
        known = self._first_names.find(step.status, b"/".join((*self._path, step.name)))
        return known is not None and self._link_to(known, self._target_fd, step.name)

    def _link_to(self, known: bytes, known_fd: int, name: bytes) -> bool:
        try:
            os.link(known, name, src_dir_fd=known_fd, dst_dir_fd=self._fd, follow_symlinks=False)
        except OSError as error:
            # too many links, or a path too long to name: then a copy
            if error.errno not in (errno.EMLINK, errno.ENAMETOOLONG, errno.ENOENT):
                raise
            return False
        return True


def _copy_entry(step: Step, dir_fd: int, name: bytes, data: DataCopy) -> None:
    """Copy what is no directory."""
    mode = step.status.st_mode
    if stat.S_ISREG(mode):
        _copy_file(step, dir_fd, name, data)
        return
    if stat.S_ISLNK(mode):
        os.symlink(os.readlink(step.name, dir_fd=step.dir_fd), name, dir_fd=dir_fd)
    else:
        os.mknod(name, mode, step.status.st_rdev, dir_fd=dir_fd)
    os.chown(name, step.status.st_uid, step.status.st_gid, dir_fd=dir_fd, follow_symlinks=False)
    if not stat.S_ISLNK(mode):
        # by its path: fchmodat(2) takes no flags, and the name was made here just now; mknod(2) heeds the umask
        os.chmod(entry_path(dir_fd, name), stat.S_IMODE(mode))
    _copy_xattrs(entry_path(step.dir_fd, step.name), entry_path(dir_fd, name))
    times = (step.status.st_atime_ns, step.status.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=dir_fd, follow_symlinks=False)


def _copy_file(step: Step, dir_fd: int, name: bytes, data: DataCopy) -> None:
    source_fd = os.open(step.name, _OPEN_FILE, dir_fd=step.dir_fd)
    try:
        target_fd = os.open(name, _CREATE, 0o600, dir_fd=dir_fd)
        try:
            data.copy(source_fd, target_fd)
            copy_metadata(source_fd, target_fd)
        finally:
            os.close(target_fd)
    finally:
        os.close(source_fd)


def copy_data(source_fd: int, target_fd: int) -> None:
    """Share or copy the data of one regular file to an empty one, holes kept."""
    DataCopy().copy(source_fd, target_fd)


class DataCopy:
    """Copies the data of many files into one file system: what the kernel cannot do there is asked for once."""

    def __init__(self) -> None:
        #: devices of sources whose files cannot be shared, and those that the kernel does not copy from itself
        self._unshared: set[int] = set()
        self._unranged: set[int] = set()

    def copy(self, source_fd: int, target_fd: int) -> None:
        """Share or copy the data of one regular file to an empty one, holes kept."""
        status = os.fstat(source_fd)
        size, device = status.st_size, status.st_dev
        if not size or (device not in self._unshared and self._share(source_fd, target_fd, device)):
            return
        # what has all its blocks has no holes to look for
        if size <= _PIECE and status.st_blocks * 512 >= size and device in self._unranged:
            data = os.pread(source_fd, size, 0)
            if len(data) == size == os.pwrite(target_fd, data, 0):
                return
        for start, end in extents(source_fd, size):
            self._copy_range(source_fd, target_fd, start, end, device)
        os.ftruncate(target_fd, size)

    def _share(self, source_fd: int, target_fd: int, device: int) -> bool:
        try:
            fcntl.ioctl(target_fd, FICLONE, source_fd)
        except OSError as error:
            if error.errno not in _NO_CLONE:
                raise
            if error.errno in _NEVER:
                self._unshared.add(device)
            return False
        return True

    def _copy_range(self, source_fd: int, target_fd: int, start: int, end: int, device: int) -> None:
        while start < end:
            count = 0
            if device not in self._unranged:
                try:
                    count = os.copy_file_range(source_fd, target_fd, end - start, start, start)
                except OSError as error:
                    if error.errno not in _NO_CLONE:
                        raise
                    if error.errno in _NEVER:
                        self._unranged.add(device)
            count = count or os.pwrite(target_fd, os.pread(source_fd, min(end - start, _PIECE), start), start)
            if count == 0:
                return
            start += count


def extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """The pieces of a file of `size` bytes that are not holes: from where to where, in bytes."""
    position = 0
    while position < size:
        try:
            start = os.lseek(fd, position, os.SEEK_DATA)
            end = os.lseek(fd, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            start, end = position, size
        yield start, end
        position = end


def _copy_xattrs(source: int | bytes, target: int | bytes) -> None:
    try:
        names = _list_xattrs(source)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return
    for name in names:
        if name.startswith(FORGEABLE_PREFIXES):
            continue
        try:
            if isinstance(source, int):
                os.setxattr(target, name, os.getxattr(source, name))
            else:
                value = os.getxattr(source, name, follow_symlinks=False)
                os.setxattr(target, name, value, follow_symlinks=False)
        except OSError as error:
            # what the kernel lets nobody but root set (trusted, security labels) is not ours to carry; what anybody
            # may set is not left behind
            if error.errno not in (_NO_USER_XATTR if name.startswith("user.") else _NO_XATTR):
                raise


def _list_xattrs(place: int | bytes) -> list[str]:
    return os.listxattr(place) if isinstance(place, int) else os.listxattr(place, follow_symlinks=False)
