"""Unpacks one layer into a directory of its own, in the form overlayfs takes as a lower layer.

Runs as uid 0 of a mapped user namespace, in a process with one thread (the umask is set to 0 meanwhile).

No entry leaves the root: a name is cut into components first (`..` out of the root is refused), its parent is opened
with openat2 RESOLVE_IN_ROOT, so that symlinks of the same layer lead only to places inside, and the last
component is never followed. What is in the way of an entry is removed first: the last entry of a name wins.
Times and special mode bits of directories are set at the end, after their content stopped changing them.

Answers to what an archive may ask and a user cannot give: a device is passed over with a note; an owner outside
the mapped ids becomes 0, without its set-id bits, with a note and the true one in the layer's book of owners.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from storage.errors import StorageError, os_failure
from storage.layers.foreign_owners import ForeignOwners
from storage.owner_book import LARGEST_ID
from storage.tar.reader import (
    BLOCK,
    CHARACTER,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    REGULAR,
    SYMLINK,
    TarEntry,
    TarReader,
)
from storage.trees.directories import DirectoryCache, clean_name
from storage.trees.tree import remove_entry
from storage.whiteouts import (
    FORGEABLE_PREFIXES,
    META_PREFIX,
    OPAQUE_NAME,
    PREFIX,
    entry_path,
    is_opaque,
    is_whiteout,
    make_opaque,
    make_whiteout,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.digests import Digest
    from storage.owner_book import OwnerBook

_MAX_NOTES = 50
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Limits(NamedTuple):
    """Bounds of one layer; a layer beyond them is refused."""

    entries: int = 2_000_000
    size_bytes: int = 1 << 40
    pending_bytes: int = 96 << 20
    """Memory for what is remembered of directories until the end."""


class UnpackResult(NamedTuple):
    """What was unpacked; `implied` are the directories no entry described (see `inherit_directories`)."""

    diff_id: Digest
    size_bytes: int
    entries: int
    notes: tuple[str, ...]
    implied: tuple[bytes, ...]


def unpack_layer(
    stream: BinaryIO,
    root_fd: int,
    *,
    limits: Limits | None = None,
    lower_roots: Sequence[int] = (),
    plain: bool = False,
    owners: bool = True,
    book: OwnerBook | None = None,
    literal: bool = False,
) -> UnpackResult:
    """Unpack the layer in `stream` (compressed or not) into the empty directory `root_fd`.

    `book` gets the owners that the files cannot have; the caller closes it.

    `lower_roots`, topmost first, are only asked for the target of a hard link that this layer does not have.
    StorageError, with the entry's name, where the archive is malformed, hostile or does not fit; what is in the
    directory is then of no use. Whiteouts become overlay's. `diff_id` is to be compared by the caller.

    A `plain` archive is no layer: what its entries of the root itself say is passed over, as tar(1) users and Docker's
    ADD count on, and a name like a whiteout's is refused. Without `owners` everything is the caller's own. A `literal`
    one is no layer either, and says of the root and of names like whiteouts' what it says of others; what the directory
    has stays, unless an entry takes its place.
    """
    umask = os.umask(0)
    try:
        with DirectoryCache(root_fd) as directories:
            unpacker = _Unpacker(
                stream, directories, limits or Limits(), lower_roots, book, plain=plain, owners=owners, literal=literal
            )  # fmt: skip
            return unpacker.run()
    finally:
        os.umask(umask)


class _Unpacker:
    def __init__(
        self, stream: BinaryIO, directories: DirectoryCache, limits: Limits, lower_roots: Sequence[int],
        book: OwnerBook | None, *, plain: bool, owners: bool, literal: bool,
    ) -> None:  # fmt: skip
        self._reader = TarReader(stream)
        self._directories = directories
        self._limits = limits
        self._lower_roots = lower_roots
        self._foreign = ForeignOwners(directories.root_fd, book)
        self._plain, self._owners, self._literal = plain, owners, literal
        self._pending: dict[bytes, TarEntry] = {}
        self._pending_bytes = 0
        self._entries = 0
        self._notes: dict[str, int] = {}
        self._make = {
            REGULAR: self._make_file,
            DIRECTORY: self._make_directory,
            SYMLINK: self._make_symlink,
            HARD_LINK: self._make_hard_link,
            FIFO: self._make_fifo,
            CHARACTER: self._make_device,
            BLOCK: self._make_device,
        }

    def run(self) -> UnpackResult:
        reader = self._reader
        while (entry := reader.next_entry()) is not None:
            self._check_limits()
            try:
                self._unpack_entry(entry)
            except OSError as error:
                raise os_failure(f"cannot unpack {_shown(entry.name)}", error) from error
        diff_id = reader.finish(self._limits.size_bytes)
        try:
            self._settle_directories()
        except OSError as error:
            raise os_failure("cannot unpack: setting the times of directories failed", error) from error
        implied = tuple(self._directories.implied)
        return UnpackResult(diff_id, reader.size_bytes, self._entries, self._all_notes(), implied)

    def _check_limits(self) -> None:
        self._entries += 1
        self._directories.trim()
        # headers, not entries: a bomb may consist of long names and PAX headers alone
        if self._reader.headers > self._limits.entries:
            raise StorageError(f"the layer has more than {self._limits.entries} entries", cause="refused as a bomb")
        if self._pending_bytes + self._directories.implied_bytes > self._limits.pending_bytes:
            raise StorageError("the layer has too many directories", cause="refused as a bomb")
        if self._reader.size_bytes > self._limits.size_bytes:
            raise StorageError(
                f"the layer unpacks to more than {self._limits.size_bytes} bytes", cause="refused as a bomb"
            )

    def _unpack_entry(self, entry: TarEntry) -> None:
        path = clean_name(entry.name)
        if not path:
            if not self._plain:
                self._describe_root(entry)
            return
        if not self._owners:
            entry = entry._replace(uid=0, gid=0)
        parent_fd, base = self._directories.parent(path)
        if base.startswith(PREFIX) and not self._literal:
            self._apply_whiteout(parent_fd, base, path)
            return
        make = self._make.get(entry.kind)
        if make is None:
            self._note(f"passed over {_shown(path)}: an entry of unknown type {entry.kind!r}")
            return
        make(entry, path, parent_fd, base)

    # --- what an entry becomes

    def _make_file(self, entry: TarEntry, path: bytes, parent_fd: int, base: bytes) -> None:
        mode = entry.mode
        try:
            fd = os.open(base, _CREATE, mode & 0o777, dir_fd=parent_fd)
        except FileExistsError:
            self._clear_way(parent_fd, base)
            fd = os.open(base, _CREATE, mode & 0o777, dir_fd=parent_fd)
        try:
            if entry.segments is not None:
                self._reader.copy_segments(fd, entry.segments, entry.size)
            elif entry.size:
                self._reader.copy_data(fd)
            # after the data and in this order: a write and a change of owner clear set-id bits and capabilities
            if entry.uid or entry.gid:
                mode = self._own(entry, fd)
            if mode & 0o7000:
                os.fchmod(fd, mode)
            if entry.xattrs:
                self._set_xattrs(fd, entry, path)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)

    def _make_directory(self, entry: TarEntry, path: bytes, parent_fd: int, base: bytes) -> None:
        opaque = False
        try:
            os.mkdir(base, entry.mode & 0o777, dir_fd=parent_fd)
        except FileExistsError:
            status = os.stat(base, dir_fd=parent_fd, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                # a whiteout followed by a directory means: this one, and nothing of the lower one's content
                opaque = not self._literal and is_whiteout(parent_fd, base, status)
                self._clear_way(parent_fd, base)
                os.mkdir(base, entry.mode & 0o777, dir_fd=parent_fd)
        if opaque:
            make_opaque(self._directories.open(path))
        self._directories.implied.pop(path, None)
        self._remember(path, entry)

    def _make_symlink(self, entry: TarEntry, path: bytes, parent_fd: int, base: bytes) -> None:
        if not entry.link_name:
            raise StorageError(f"cannot unpack {_shown(path)}", cause="a symbolic link to nothing")
        try:
            os.symlink(entry.link_name, base, dir_fd=parent_fd)
        except FileExistsError:
            self._clear_way(parent_fd, base)
            os.symlink(entry.link_name, base, dir_fd=parent_fd)
        self._finish_special(entry, path, parent_fd, base)

    def _make_fifo(self, entry: TarEntry, path: bytes, parent_fd: int, base: bytes) -> None:
        self._clear_way(parent_fd, base)
        os.mkfifo(base, entry.mode & 0o777, dir_fd=parent_fd)
        self._finish_special(entry, path, parent_fd, base)

    def _make_device(self, entry: TarEntry, path: bytes, parent_fd: int, base: bytes) -> None:
        if entry.kind == CHARACTER and entry.device == (0, 0):
            # the very file overlay reads as a whiteout: a layer hides things by `.wh.` names, not by forging those
            self._note(f"passed over {_shown(path)}: a device 0:0")
            return
        self._clear_way(parent_fd, base)
        kind = stat.S_IFCHR if entry.kind == CHARACTER else stat.S_IFBLK
        try:
            os.mknod(base, kind | (entry.mode & 0o777), os.makedev(*entry.device), dir_fd=parent_fd)
        except (PermissionError, OverflowError):
            self._note(f"passed over device {_shown(path)}: the kernel lets only root make devices")
            return
        self._finish_special(entry, path, parent_fd, base)

    def _make_hard_link(self, entry: TarEntry, path: bytes, parent_fd: int, base: bytes) -> None:
        target = clean_name(entry.link_name)
        if target == path:
            return
        if not target:
            raise StorageError(f"cannot unpack {_shown(path)}", cause="a hard link to the root")
        self._clear_way(parent_fd, base)
        try:
            # without creating parents: a link to nothing leaves nothing behind
            target_parent, target_base = self._directories.parent(target, create=False)
            os.link(target_base, base, src_dir_fd=target_parent, dst_dir_fd=parent_fd, follow_symlinks=False)
            self._foreign.link(target_parent, target_base, parent_fd, base)
        except (FileNotFoundError, NotADirectoryError):
            self._link_to_lower(target, path, parent_fd, base)
        except PermissionError as error:
            raise StorageError(f"cannot link {_shown(path)} to {_shown(target)}", cause="it is a directory") from error

    def _link_to_lower(self, target: bytes, path: bytes, parent_fd: int, base: bytes) -> None:
        """A link across layers cannot exist in a directory per layer: the file is copied from the layer that has it."""
        from storage.trees.copy_tree import copy_file_from_lower  # rare

        found = copy_file_from_lower(self._lower_roots, target, parent_fd, base)
        if found is None:
            raise StorageError(
                f"cannot link {_shown(path)} to {_shown(target)}",
                cause="neither this layer nor the ones below have that file" if self._lower_roots else _NOT_IN_LAYER,
            )
        self._foreign.take_over(found, parent_fd, base)

    def _apply_whiteout(self, parent_fd: int, base: bytes, path: bytes) -> None:
        if self._plain:
            raise StorageError(f"cannot unpack {_shown(path)}", cause="in a layer that name would delete another")
        if base == OPAQUE_NAME:
            make_opaque(parent_fd)
            return
        if base.startswith(META_PREFIX):
            return
        name = base[len(PREFIX) :]
        if name in (b"", b".", b".."):
            raise StorageError(f"cannot unpack {_shown(path)}", cause="a whiteout without a name")
        try:
            status = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
        except FileNotFoundError:
            # where all is hidden already, overlayfs would list a whiteout as an entry that cannot be looked at
            if not is_opaque(parent_fd):
                make_whiteout(parent_fd, name)
            return
        # layer.md: a whiteout hides lower layers only. What this layer has itself hides them already, but a directory
        # would merge
        if stat.S_ISDIR(status.st_mode):
            make_opaque(self._directories.open(path[: -len(base)] + name))

    def _describe_root(self, entry: TarEntry) -> None:
        if entry.kind != DIRECTORY:
            raise StorageError(
                "cannot unpack the layer", cause=f"an entry that is no directory is named {_shown(entry.name)}"
            )
        self._directories.implied.pop(b"", None)
        self._remember(b"", entry)

    # --- what is common to them

    def _clear_way(self, parent_fd: int, base: bytes) -> None:
        """Remove what an earlier entry left under this name; missing is fine."""
        try:
            os.unlink(base, dir_fd=parent_fd)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            remove_entry(parent_fd, base)
        self._foreign.strike_out(parent_fd, base)
        # it may have been a directory we hold, or a symlink on the way to one
        self._directories.forget(keep=parent_fd)

    def _finish_special(self, entry: TarEntry, path: bytes, parent_fd: int, base: bytes) -> None:
        """Owner, xattrs and times of what cannot be opened: symlinks, fifos, devices."""
        if entry.uid or entry.gid:
            self._own(entry, parent_fd, base)
        if entry.xattrs:
            self._set_xattrs(entry_path(parent_fd, base), entry, path)
        os.utime(base, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent_fd, follow_symlinks=False)

    def _own(self, entry: TarEntry, fd: int, base: bytes = b"") -> int:
        """Give what `fd` is, or `base` in that directory, its owner; the mode it may have then."""
        uid, gid = entry.uid, entry.gid
        try:
            if max(uid, gid) > LARGEST_ID:
                # chown(2) takes the next one for "as it is"
                raise OverflowError
            if base:
                os.chown(base, uid, gid, dir_fd=fd, follow_symlinks=False)
            else:
                os.fchown(fd, uid, gid)
        except (OSError, OverflowError) as error:
            if isinstance(error, OSError) and error.errno not in (errno.EINVAL, errno.EPERM):
                raise
            self._foreign.note(entry, fd, base)
            # set-id bits of one owner must not become those of another
            return entry.mode & 0o1777
        return entry.mode

    def _set_xattrs(self, place: int | bytes, entry: TarEntry, path: bytes) -> None:
        for raw_name, value in entry.xattrs.items():
            name = os.fsdecode(raw_name)
            if name.startswith(FORGEABLE_PREFIXES):
                self._note(f"dropped attribute {name} of {_shown(path)}: it is overlay bookkeeping")
                continue
            try:
                if isinstance(place, int):
                    os.setxattr(place, raw_name, value)
                else:
                    os.setxattr(place, raw_name, value, follow_symlinks=False)
            except OSError as error:
                if error.errno not in (
                    errno.EPERM,
                    errno.EACCES,
                    errno.EOPNOTSUPP,
                    errno.EINVAL,
                    errno.ERANGE,
                    errno.E2BIG,
                ):
                    raise
                self._note(f"dropped attribute {_shown(raw_name)} of {_shown(path)}: {os.strerror(error.errno)}")

    def _remember(self, path: bytes, entry: TarEntry) -> None:
        if path not in self._pending:
            self._pending_bytes += len(path) + 700
        self._pending[path] = entry._replace(name=b"", link_name=b"")

    def _settle_directories(self) -> None:
        for path, entry in self._pending.items():
            try:
                fd = self._directories.open_uncached(path)
            except OSError as error:
                # hostile archives alone get here: a directory's path was turned elsewhere by a later symlink
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    continue
                raise
            try:
                mode = self._own(entry, fd) if entry.uid or entry.gid else entry.mode
                os.fchmod(fd, mode)
                if entry.xattrs:
                    self._set_xattrs(fd, entry, path)
                os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
            finally:
                os.close(fd)

    def _note(self, text: str) -> None:
        """Say something the person may want to know; a bounded number of times, for a hostile archive has much to
        say.
        """
        if len(self._notes) < _MAX_NOTES or text in self._notes:
            self._notes[text] = self._notes.get(text, 0) + 1

    def _all_notes(self) -> tuple[str, ...]:
        notes = [f"{note} ({count} times)" if count > 1 else note for note, count in self._notes.items()]
        return (*notes, *self._foreign.texts())


_NOT_IN_LAYER = "this layer does not have that file"


def _shown(name: bytes) -> str:
    """A hostile name, quoted for a terminal."""
    return repr(os.fsdecode(name[:200]))
