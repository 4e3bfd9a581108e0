"""Handlers of open files, and of attributes: open, create's other half, read, write, fsync, setattr."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from pyfuse3 import FileInfo, FUSEError, notify_store

from storage.overlay.fuse.nodes import Handle
from storage.overlay.fuse.requests import Requests
from storage.overlay.fuse.serving.errnos import answered, failure

if TYPE_CHECKING:
    from pyfuse3 import EntryAttributes, FileHandleT, FlagT, InodeT, RequestContext, SetattrFields

    from storage.overlay.fuse.nodes import Node

_CAPABILITY = "security.capability"
_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LARGEST = 1 << 20
_GIVEN_BYTES = 1 << 17  # what the kernel reads ahead of a file that is read from its start


class _Target:
    """How the calls that set attributes are told what to change: a descriptor, or a name in a directory."""

    __slots__ = ("dir_fd", "follow", "place")

    def __init__(self, requests: Requests, node: Node, fd: int) -> None:
        self.place: int | bytes = fd
        self.dir_fd: int | None = None
        self.follow = True
        if fd < 0 and node.parent is not None:
            self.dir_fd, self.place = requests.tree.place(node)
            self.follow = False
        elif fd < 0:
            # the root, or what has no name any more: by a link in /proc, which is to be followed
            self.place = requests.place(node)

    def status(self) -> os.stat_result:
        """Its attributes."""
        return os.stat(self.place, dir_fd=self.dir_fd, follow_symlinks=self.follow)


class Files(Requests):
    """open, read, write, flush, release, fsync, setattr. Each handler raises FUSEError with the errno.

    Offsets and sizes are bytes, as pyfuse3 has them.
    """

    gives_data = True
    """Whether a small file's data is given to the kernel when it is opened. It is not asked for then."""
    #: the answer to each open: pages stay in the cache
    _opened = FileInfo(keep_cache=True)
    _buffer = memoryview(bytearray(_LARGEST))
    _no_wait = os.RWF_NOWAIT

    async def open(self, inode: InodeT, flags: FlagT, ctx: RequestContext) -> FileInfo:
        try:
            node = self.nodes[inode]
            if flags & (os.O_ACCMODE | os.O_TRUNC) == os.O_RDONLY and node.parent is not None:
                if not node.given and node.handles is None and node.lower is not None:
                    self._give(node)
                return self.hold(Handle(node, -1, False))
        except Exception as error:  # noqa: BLE001  # see `answered`
            raise failure(error) from None
        return await self._open(node, flags, ctx)

    @answered
    async def _open(self, node: Node, flags: FlagT, ctx: RequestContext) -> FileInfo:
        if flags & os.O_ACCMODE == os.O_RDONLY and not flags & os.O_TRUNC:
            return self.hold(Handle(node, self.open_node(node, os.O_RDONLY), False))
        truncate = bool(flags & os.O_TRUNC)
        # the copy of what is to be empty comes opened: what could fail has been done before it takes the file's place
        emptied = (lambda copy_fd: self._empty_copy(node, copy_fd, ctx)) if truncate else None
        fd = await self.copy_up.node(node, emptied=emptied)
        if truncate:
            self._keep_mtime(node)
        if fd < 0:
            # the kernel reads pages of what it was told to write only
            fd = self.open_node(node, os.O_RDWR)
            if truncate:
                self._empty(node, fd, ctx)
        node.stale = True
        return self.hold(Handle(node, fd, True))

    def _empty_copy(self, node: Node, fd: int, ctx: RequestContext) -> None:
        self._drop_privileges(node, fd, ctx)
        # of a file that is empty too: the kernel takes set-id bits of whom it would take them of
        os.ftruncate(fd, 0)

    def _empty(self, node: Node, fd: int, ctx: RequestContext) -> None:
        """Truncate what was opened to be empty; closed where that fails, and the file is as it was."""
        try:
            mode = os.fstat(fd).st_mode
            capability = self._drop_privileges(node, fd, ctx)
            try:
                os.ftruncate(fd, 0)
            except BaseException:
                os.fchmod(fd, stat.S_IMODE(mode))
                if capability is not None:
                    os.setxattr(fd, _CAPABILITY, capability)
                raise
        except BaseException:
            os.close(fd)
            raise

    def _give(self, node: Node) -> None:
        """Put a small lower file's data into the kernel's page cache, see FUSE_NOTIFY_STORE in <linux/fuse.h>.

        Only while nobody has it open: the kernel holds pages locked while it waits for a read, and we would wait for
        them. What the kernel has dropped since it asks for.
        """
        node.given = True
        size = node.entry.st_size
        if not 0 < size <= _GIVEN_BYTES or not self.gives_data:
            return
        view = self._buffer[:size]
        try:
            fd = self.open_node(node, os.O_RDONLY)
            try:
                if os.preadv(fd, (view,), 0, self._no_wait) == size:
                    notify_store(node.number, 0, view)  # type: ignore[arg-type]  # any buffer will do
            finally:
                os.close(fd)
        except OSError:
            # what must come from the disk, or cannot be opened, is seen to when it is asked for
            return

    def open_node(self, node: Node, flags: int) -> int:
        """A descriptor of a regular file."""
        for handle in node.handles or ():
            if handle.fd >= 0 and node.parent is None:
                return os.open(b"/proc/self/fd/%d" % handle.fd, flags | os.O_CLOEXEC)
        directory_fd, name = self.tree.place(node)
        try:
            return os.open(name, flags | _OPEN, dir_fd=directory_fd)
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
        # those that are kept to be quick are the first to go
        self.tree.descriptors.close()
        directory_fd, name = self.tree.place(node)
        return os.open(name, flags | _OPEN, dir_fd=directory_fd)

    def hold(self, handle: Handle) -> FileInfo:
        """Give an open file a number."""
        number = self.new_handle()
        self.handles[number] = handle
        node = handle.node
        if node.handles is None:
            node.handles = [handle]
        else:
            node.handles.append(handle)
        # read before anything else runs
        self._opened.fh = number
        return self._opened

    def open_before_removal(self, node: Node) -> None:
        """Open what readers of the node would open later, when it has no name any more."""
        self.tree.keep_open(node)
        for handle in node.handles or ():
            if handle.fd < 0:
                handle.fd = self.open_node(node, os.O_RDONLY)

    async def read(self, fh: FileHandleT, off: int, size: int) -> bytes:
        try:
            handle = self.handles[fh]
            if handle.fd < 0:
                handle.fd = self.open_node(handle.node, os.O_RDONLY)
            view = self._buffer[:size]
            try:
                count = os.preadv(handle.fd, (view,), off, self._no_wait)
            except OSError as error:
                count = self._read_otherwise(handle.fd, view, off, error)
            if count < size and not self._is_at_end(handle, off, count):
                return await self._read_from_disk(handle, off, size)
            # the reply is sent before anything else runs
            return view[:count]  # type: ignore[return-value]  # any buffer will do
        except Exception as error:  # noqa: BLE001  # see `answered`
            raise failure(error) from None

    def _read_otherwise(self, fd: int, view: memoryview, off: int, error: OSError) -> int:
        """What is read where RWF_NOWAIT failed; -1 if it would have to wait for the disk."""
        if error.errno == errno.EAGAIN:
            return -1
        if error.errno != errno.EOPNOTSUPP:
            raise error
        # the file system cannot tell: it is not asked again
        self._no_wait = 0
        return os.preadv(fd, (view,), off)

    def _is_at_end(self, handle: Handle, off: int, count: int) -> bool:
        """Whether a read gave less because there is no more; else it would have had to wait for the disk."""
        if count < 0:
            return False
        if handle.node.lower is not None and off + count == handle.node.entry.st_size:
            return True
        try:
            return os.preadv(handle.fd, (self._buffer[count : count + 1],), off + count, self._no_wait) == 0
        except BlockingIOError:
            return False

    async def _read_from_disk(self, handle: Handle, off: int, size: int) -> bytes:
        # copy-up may put another file behind the descriptor, with the same data; release waits for reads
        return await self.loop.blocking(os.pread, handle.fd, size, off)

    async def write(self, fh: FileHandleT, off: int, buf: bytes) -> int:
        try:
            handle = self.handles[fh]
            node = handle.node
            if node.kernel_mtime is None:
                self._keep_mtime(node)
            count = os.pwrite(handle.fd, buf, off)
            while count < len(buf):
                count += os.pwrite(handle.fd, buf[count:], off + count)
            node.stale = True
            return count
        except Exception as error:  # noqa: BLE001  # see `answered`
            raise failure(error) from None

    def _keep_mtime(self, node: Node) -> None:
        """Remember the modification time that the kernel has, before a write sets the one on the disk.

        The kernel keeps the time of write(2) itself and sends it after pages, but not where the file has it already:
        its clock ticks each few milliseconds, and what was made is often written within the same tick.
        """
        if self.enable_writeback_cache and node.kernel_mtime is None:
            node.kernel_mtime = node.entry.st_mtime_ns

    def _settle_mtime(self, node: Node, fd: int) -> None:
        """Give the file the time that the kernel has, once nobody writes to it any more."""
        if node.kernel_mtime is None or any(handle.writable for handle in node.handles or ()):
            return
        with suppress(OSError):
            os.utime(fd, ns=(os.fstat(fd).st_atime_ns, node.kernel_mtime))
        node.kernel_mtime = None

    async def flush(self, fh: FileHandleT) -> None:
        # the kernel writes back what it has before this, and does not ask again
        raise FUSEError(errno.ENOSYS)

    async def release(self, fh: FileHandleT) -> None:
        handle = self.handles.pop(fh)
        node = handle.node
        if node.handles is not None:
            node.handles.remove(handle)
            if not node.handles:
                node.handles = None
        if handle.writable:
            self._settle_mtime(node, handle.fd)
            node.stale = node.stale or node.parent is not None
        if handle.fd >= 0:
            os.close(handle.fd)
        if node.parent is None and node.lookups <= 0:
            self.tree.let_go(node)

    @answered
    async def fsync(self, fh: FileHandleT, datasync: bool) -> None:
        handle = self.handles[fh]
        if self.durable and handle.fd >= 0:
            await self.loop.blocking(os.fdatasync if datasync else os.fsync, handle.fd)

    @answered
    async def setattr(
        self, inode: InodeT, attr: EntryAttributes, fields: SetattrFields, fh: FileHandleT | None, ctx: RequestContext
    ) -> EntryAttributes:
        node = self.node(inode)
        # of a file that is gone for good the kernel may still write back times, and syncfs(2) would tell of an error
        if _changes(fields) and not self.is_gone(node):
            if not node.upper:
                is_emptied = fields.update_size and attr.st_size == 0
                fd = await self.copy_up.node(node, emptied=(lambda _fd: None) if is_emptied else None)
                if fd >= 0:
                    os.close(fd)
            self._set(node, attr, fields, fh)
            if fields.update_mtime:
                node.kernel_mtime = None
            node.stale = True
            if self._take(node, attr, fields):
                return node.entry
            try:
                self.tree.refresh(node)
            except OSError:
                # it is set, and whoever asked must not hear that it is not; looked at again when it is asked for
                _note(node.entry, attr, fields)
                node.stale = True
            return node.entry
        if node.stale:
            self.tree.refresh(node)
        return node.entry

    def _take(self, node: Node, attr: EntryAttributes, fields: SetattrFields) -> bool:
        """Note what was set, and whether that is all there is to know: else the attributes are read again.

        Of a regular file the kernel keeps size and times itself (FUSE_WRITEBACK_CACHE), and when one that is open is
        closed, it asks how many blocks it has.
        """
        entry = node.entry
        if (
            not self.enable_writeback_cache
            or node.handles is None
            or fields.update_size
            or self.tree.owners is not None
            or not stat.S_ISREG(entry.st_mode)
            or (entry.st_mode | (attr.st_mode if fields.update_mode else 0)) & (stat.S_ISUID | stat.S_ISGID)
        ):
            return False
        _note(entry, attr, fields)
        return True

    def _set(self, node: Node, attr: EntryAttributes, fields: SetattrFields, fh: FileHandleT | None) -> None:
        fd = self._writable_fd(node, fh)
        target = _Target(self, node, fd)
        if fields.update_size:
            self._truncate(node, attr.st_size, fd)
        if fields.update_uid or fields.update_gid or fields.update_mode:
            self._set_rights(node, attr, fields, target)
        if fields.update_atime or fields.update_mtime:
            now = node.entry if fields.update_atime and fields.update_mtime else target.status()
            times = (
                attr.st_atime_ns if fields.update_atime else now.st_atime_ns,
                attr.st_mtime_ns if fields.update_mtime else now.st_mtime_ns,
            )
            os.utime(target.place, ns=times, dir_fd=target.dir_fd, follow_symlinks=target.follow)

    def _set_rights(self, node: Node, attr: EntryAttributes, fields: SetattrFields, target: _Target) -> None:
        """Owner and mode, both or neither."""
        uid = attr.st_uid if fields.update_uid else -1
        gid = attr.st_gid if fields.update_gid else -1
        owns = fields.update_uid or fields.update_gid
        if owns and self.tree.owners is not None:
            uid, gid = self.tree.owners.kept_uid(uid), self.tree.owners.kept_gid(gid)
        # not of a symlink: the upper directory is ours alone
        has_mode = fields.update_mode and not stat.S_ISLNK(node.entry.st_mode)
        before = target.status() if owns and has_mode else None
        if owns:
            os.chown(target.place, uid, gid, dir_fd=target.dir_fd, follow_symlinks=target.follow)
        if not has_mode:
            return
        try:
            os.chmod(target.place, stat.S_IMODE(attr.st_mode), dir_fd=target.dir_fd)
        except OSError:
            if before is not None:
                own = before.st_uid, before.st_gid
                os.chown(target.place, *own, dir_fd=target.dir_fd, follow_symlinks=target.follow)
                # chown(2) takes set-id bits
                os.chmod(target.place, stat.S_IMODE(before.st_mode), dir_fd=target.dir_fd)
            raise

    def _writable_fd(self, node: Node, fh: FileHandleT | None) -> int:
        """What the file is open for writing with, or -1."""
        handle = self.handles.get(fh) if fh is not None else None
        if handle is not None and handle.writable:
            return handle.fd
        for handle in node.handles or ():
            if handle.writable:
                return handle.fd
        return -1

    def _truncate(self, node: Node, size: int, fd: int) -> None:
        if fd >= 0:
            os.ftruncate(fd, size)
            return
        fd = self.open_node(node, os.O_WRONLY)
        try:
            os.ftruncate(fd, size)
        finally:
            os.close(fd)

    def _drop_privileges(self, node: Node, fd: int, ctx: RequestContext) -> bytes | None:
        """What truncation takes of set-id bits and capabilities: open with O_TRUNC leaves it to the file system.

        The capabilities that the file had are returned. Where one cannot be done, none is.
        """
        mode = os.fstat(fd).st_mode
        capability = None
        try:
            capability = os.getxattr(fd, _CAPABILITY)
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
                raise
        if ctx.uid and mode & (stat.S_ISUID | stat.S_ISGID):
            kept = mode & ~stat.S_ISUID
            if mode & stat.S_IXGRP:
                kept &= ~stat.S_ISGID
            os.fchmod(fd, stat.S_IMODE(kept))
        if capability is not None:
            try:
                os.removexattr(fd, _CAPABILITY)
            except BaseException:
                os.fchmod(fd, stat.S_IMODE(mode))
                raise
            node.xattrs = None
        return capability


def _note(entry: EntryAttributes, attr: EntryAttributes, fields: SetattrFields) -> None:
    """Take what was set, as it was asked for."""
    if fields.update_mode:
        entry.st_mode = stat.S_IFMT(entry.st_mode) | stat.S_IMODE(attr.st_mode)
    if fields.update_uid:
        entry.st_uid = attr.st_uid
    if fields.update_gid:
        entry.st_gid = attr.st_gid
    if fields.update_size:
        entry.st_size = attr.st_size
    if fields.update_atime:
        entry.st_atime_ns = attr.st_atime_ns
    if fields.update_mtime:
        entry.st_mtime_ns = attr.st_mtime_ns


def _changes(fields: SetattrFields) -> bool:
    """Whether there is more to set than the change time, which nobody can set."""
    return (
        fields.update_size
        or fields.update_mode
        or fields.update_uid
        or fields.update_gid
        or fields.update_atime
        or fields.update_mtime
    )
