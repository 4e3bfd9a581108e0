"""A bind mount with mapped ids: the host's directory as it is, but for who owns what (see `id_mapping`).

The kernel checks permissions by the owners that are shown (default_permissions); the server acts as the caller, who
is root of its user namespace, and has no more power over the host than that. What the host changes shows at once:
nothing but the page cache is kept, and that is looked after by modification times.

Imports pyfuse3 and trio: in the server's process only.
"""

from __future__ import annotations

import errno
import functools
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import pyfuse3
import trio

from storage.overlay.fuse.mapped.id_mapping import ACL_NAMES, CALLER
from storage.overlay.fuse.mapped.mapped_inodes import Inodes, is_regular
from storage.syscalls import renameat2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from pyfuse3 import (
        EntryAttributes,
        FileHandleT,
        FileInfo,
        FileNameT,
        FlagT,
        InodeT,
        ModeT,
        ReaddirToken,
        RequestContext,
        SetattrFields,
        StatvfsData,
        XAttrNameT,
    )

    from storage.overlay.fuse.mapped.id_mapping import MappedBind
    from storage.overlay.fuse.mapped.mapped_inodes import Inode

    _Handler = TypeVar("_Handler", bound=Callable[..., Awaitable[Any]])

#: of open(2)'s flags those that mean something here; the kernel has seen to the others
_OPEN_FLAGS = os.O_ACCMODE | os.O_TRUNC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_STATVFS = ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_favail", "f_namemax")
_STAT = (
    "st_mode", "st_nlink", "st_rdev", "st_size", "st_blksize", "st_blocks", "st_atime_ns", "st_mtime_ns", "st_ctime_ns",
)  # fmt: skip


def serve_mapped_bind(bind: MappedBind, device_fd: int, on_ready: Callable[[], None]) -> None:
    """Answer the FUSE session of `device_fd` until it is unmounted. Raises OSError for a source that is not there."""
    operations = _MappedOperations(bind)
    operations.on_ready = on_ready
    pyfuse3.init(operations, f"/dev/fd/{device_fd}", set(pyfuse3.default_options))
    try:
        trio.run(pyfuse3.main)
    finally:
        pyfuse3.close(unmount=False)


def _answered(handler: _Handler) -> _Handler:
    """An OSError of a handler is its answer."""

    @functools.wraps(handler)
    async def answer(*arguments: Any, **named: Any) -> Any:
        try:
            return await handler(*arguments, **named)
        except OSError as error:
            raise pyfuse3.FUSEError(error.errno or errno.EIO) from None
        except KeyError:
            raise pyfuse3.FUSEError(errno.ESTALE) from None

    return answer  # type: ignore[return-value]  # of the same signature


class _OpenDirectory:
    """An opened directory: its entries as they were when it was read from its beginning."""

    def __init__(self, number: InodeT, fd: int) -> None:
        self.number = number
        self.fd = fd
        self.names: list[bytes] = []

    def read_again(self) -> None:
        # a descriptor keeps its place: from the beginning
        os.lseek(self.fd, 0, os.SEEK_SET)
        self.names = [os.fsencode(name) for name in os.listdir(self.fd)]


class _MappedOperations(pyfuse3.Operations):
    """The handlers. No checkpoint between a system call and what is noted of it: no other task runs in between."""

    supports_dot_lookup = False
    enable_writeback_cache = False
    enable_acl = True

    def __init__(self, bind: MappedBind) -> None:
        super().__init__()
        self._mapping = bind.mapping
        self._inodes = Inodes(bind.source)
        self._directories: dict[int, _OpenDirectory] = {}
        self.on_ready: Callable[[], None] = lambda: None

    def init(self) -> None:
        self.on_ready()

    # -- attributes --------------------------------------------------------------------------------------------------

    def _entry(self, number: int, status: os.stat_result) -> EntryAttributes:
        entry = pyfuse3.EntryAttributes()
        for name in _STAT:
            setattr(entry, name, getattr(status, name))
        mapping = self._mapping
        entry.st_ino = number
        entry.st_uid, entry.st_gid = mapping.shown_uid(status.st_uid), mapping.shown_gid(status.st_gid)
        entry.st_mode = mapping.shown_mode(status.st_mode, status.st_uid, status.st_gid)
        # the host may change anything at any time
        entry.entry_timeout = entry.attr_timeout = 0
        return entry

    @_answered
    async def lookup(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> EntryAttributes:
        return self._entry(*self._inodes.look_up(parent_inode, name))

    async def forget(self, inode_list: Sequence[tuple[InodeT, int]]) -> None:
        for number, times in inode_list:
            self._inodes.forget(number, times)

    @_answered
    async def getattr(self, inode: InodeT, ctx: RequestContext) -> EntryAttributes:
        return self._entry(inode, self._inodes.status(inode))

    @_answered
    async def setattr(
        self, inode: InodeT, attr: EntryAttributes, fields: SetattrFields, fh: FileHandleT | None, ctx: RequestContext
    ) -> EntryAttributes:
        file = self._inodes[inode]
        if fields.update_size:
            if fh is not None:
                os.ftruncate(fh, attr.st_size)
            else:
                os.truncate(file.path, attr.st_size)
        if fields.update_uid or fields.update_gid or fields.update_mode:
            self._set_rights(file, attr, fields)
        if fields.update_atime or fields.update_mtime:
            status = os.fstat(file.fd)
            atime_ns = attr.st_atime_ns if fields.update_atime else status.st_atime_ns
            mtime_ns = attr.st_mtime_ns if fields.update_mtime else status.st_mtime_ns
            os.utime(file.path, ns=(atime_ns, mtime_ns))
        return self._entry(inode, os.fstat(file.fd))

    def _set_rights(self, file: Inode, attr: EntryAttributes, fields: SetattrFields) -> None:
        """Owner and mode, both or neither."""
        before = os.fstat(file.fd)
        uid = self._mapping.kept_uid(attr.st_uid) if fields.update_uid else -1
        gid = self._mapping.kept_gid(attr.st_gid) if fields.update_gid else -1
        owns = fields.update_uid or fields.update_gid
        if owns:
            os.chown(file.path, uid, gid)
        if not fields.update_mode:
            return
        try:
            os.chmod(file.path, stat.S_IMODE(attr.st_mode))
        except OSError:
            if owns:
                os.chown(file.path, before.st_uid, before.st_gid)
                # chown(2) takes set-id bits
                os.chmod(file.path, stat.S_IMODE(before.st_mode))
            raise

    @_answered
    async def readlink(self, inode: InodeT, ctx: RequestContext) -> FileNameT:
        return os.readlink(b"", dir_fd=self._inodes.fd(inode))

    @_answered
    async def statfs(self, ctx: RequestContext) -> StatvfsData:
        found, data = os.fstatvfs(self._inodes.fd(pyfuse3.ROOT_INODE)), pyfuse3.StatvfsData()
        for name in _STATVFS:
            setattr(data, name, getattr(found, name))
        return data

    # -- names -------------------------------------------------------------------------------------------------------

    @contextmanager
    def _creating(self, ctx: RequestContext) -> Iterator[None]:
        # the host's file system heeds a directory's default ACL instead, where it has one, umask(2)
        os.umask(ctx.umask)
        try:
            yield
        finally:
            os.umask(0)

    def _created(self, parent: InodeT, name: bytes, ctx: RequestContext) -> EntryAttributes:
        """The entry of what was just made, which the host has given to the caller; none where it cannot go on."""
        number: InodeT | None = None
        try:
            number, status = self._inodes.look_up(parent, name)
            return self._entry(number, self._give(parent, number, status, ctx))
        except BaseException:
            if number is not None:
                self._inodes.forget(number, 1)
            parent_fd = self._inodes.fd(parent)
            # what somebody has filled meanwhile is theirs
            with suppress(OSError):
                try:
                    os.unlink(name, dir_fd=parent_fd)
                except IsADirectoryError:
                    os.rmdir(name, dir_fd=parent_fd)
            raise

    def _give(self, parent: InodeT, number: InodeT, status: os.stat_result, ctx: RequestContext) -> os.stat_result:
        """Give what was made to who asked for it; how it is then."""
        uid, gid = self._mapping.kept_uid(ctx.uid), self._mapping.kept_gid(ctx.gid)
        # in a set-group-id directory the host has set the group
        inherits = self._inodes.status(parent).st_mode & stat.S_ISGID
        if uid == CALLER and (gid == CALLER or inherits):
            return status
        path = self._inodes[number].path
        os.chown(path, uid, -1 if inherits else gid)
        # chown(2) takes them away
        if not stat.S_ISLNK(status.st_mode) and status.st_mode & (stat.S_ISUID | stat.S_ISGID):
            os.chmod(path, stat.S_IMODE(status.st_mode))
        return self._inodes.status(number)

    @_answered
    async def mknod(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, rdev: int, ctx: RequestContext
    ) -> EntryAttributes:
        with self._creating(ctx):
            os.mknod(name, mode, rdev, dir_fd=self._inodes.fd(parent_inode))
        return self._created(parent_inode, name, ctx)

    @_answered
    async def mkdir(self, parent_inode: InodeT, name: FileNameT, mode: ModeT, ctx: RequestContext) -> EntryAttributes:
        with self._creating(ctx):
            os.mkdir(name, stat.S_IMODE(mode), dir_fd=self._inodes.fd(parent_inode))
        return self._created(parent_inode, name, ctx)

    @_answered
    async def symlink(
        self, parent_inode: InodeT, name: FileNameT, target: FileNameT, ctx: RequestContext
    ) -> EntryAttributes:
        os.symlink(target, name, dir_fd=self._inodes.fd(parent_inode))
        return self._created(parent_inode, name, ctx)

    @_answered
    async def link(
        self, inode: InodeT, new_parent_inode: InodeT, new_name: FileNameT, ctx: RequestContext
    ) -> EntryAttributes:
        parent_fd = self._inodes.fd(new_parent_inode)
        os.link(self._inodes[inode].path, new_name, dst_dir_fd=parent_fd, follow_symlinks=True)
        self._inodes.count_again(inode)
        return self._entry(inode, self._inodes.status(inode))

    @_answered
    async def unlink(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        os.unlink(name, dir_fd=self._inodes.fd(parent_inode))

    @_answered
    async def rmdir(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        os.rmdir(name, dir_fd=self._inodes.fd(parent_inode))

    @_answered
    async def rename(
        self,
        parent_inode_old: InodeT,
        name_old: FileNameT,
        parent_inode_new: InodeT,
        name_new: FileNameT,
        flags: FlagT,
        ctx: RequestContext,
    ) -> None:
        old_fd, new_fd = self._inodes.fd(parent_inode_old), self._inodes.fd(parent_inode_new)
        renameat2(old_fd, name_old, new_fd, name_new, flags)

    # -- extended attributes and ACLs --------------------------------------------------------------------------------

    @_answered
    async def setxattr(self, inode: InodeT, name: XAttrNameT, value: bytes, ctx: RequestContext) -> None:
        if name in ACL_NAMES:
            value = self._mapping.kept_acl(value)
        os.setxattr(self._inodes[inode].path, name, value)

    @_answered
    async def getxattr(self, inode: InodeT, name: XAttrNameT, ctx: RequestContext) -> bytes:
        value = os.getxattr(self._inodes[inode].path, name)
        return self._mapping.shown_acl(value) if name in ACL_NAMES else value

    @_answered
    async def listxattr(self, inode: InodeT, ctx: RequestContext) -> Sequence[XAttrNameT]:
        return [os.fsencode(name) for name in os.listxattr(self._inodes[inode].path)]

    @_answered
    async def removexattr(self, inode: InodeT, name: XAttrNameT, ctx: RequestContext) -> None:
        os.removexattr(self._inodes[inode].path, name)

    # -- files -------------------------------------------------------------------------------------------------------

    @_answered
    async def open(self, inode: InodeT, flags: FlagT, ctx: RequestContext) -> FileInfo:
        # O_APPEND stays with the kernel, which may write back a page through any of the descriptors
        fd = os.open(self._inodes[inode].path, flags & _OPEN_FLAGS | os.O_CLOEXEC | os.O_NONBLOCK)
        return pyfuse3.FileInfo(fh=fd)

    @_answered
    async def create(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, flags: FlagT, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        wanted = flags & os.O_ACCMODE | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        parent_fd = self._inodes.fd(parent_inode)
        try:
            with self._creating(ctx):
                fd = os.open(name, wanted, stat.S_IMODE(mode), dir_fd=parent_fd)
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
            return await self._open_existing(parent_inode, name, flags, ctx)
        try:
            entry = self._created(parent_inode, name, ctx)
        except BaseException:
            os.close(fd)
            raise
        return pyfuse3.FileInfo(fh=fd), entry

    async def _open_existing(
        self, parent: InodeT, name: FileNameT, flags: FlagT, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        # the host has made it since the kernel looked
        number, status = self._inodes.look_up(parent, name)
        try:
            if not is_regular(status):
                raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
            entry = self._entry(number, status)
            return await self.open(entry.st_ino, flags, ctx), entry
        except BaseException:
            self._inodes.forget(number, 1)
            raise

    @_answered
    async def read(self, fh: FileHandleT, off: int, size: int) -> bytes:
        return os.pread(fh, size, off)

    @_answered
    async def write(self, fh: FileHandleT, off: int, buf: bytes) -> int:
        return os.pwrite(fh, buf, off)

    @_answered
    async def flush(self, fh: FileHandleT) -> None:
        # what close(2) of the host says, a full quota of NFS say
        os.close(os.dup(fh))

    @_answered
    async def release(self, fh: FileHandleT) -> None:
        os.close(fh)

    @_answered
    async def fsync(self, fh: FileHandleT, datasync: bool) -> None:
        # the disk may take its time, and the others go on
        await trio.to_thread.run_sync(os.fdatasync if datasync else os.fsync, fh)

    # -- directories -------------------------------------------------------------------------------------------------

    @_answered
    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        fd = os.open(".", _DIRECTORY, dir_fd=self._inodes.fd(inode))
        self._directories[fd] = _OpenDirectory(inode, fd)
        return fd

    @_answered
    async def readdir(self, fh: FileHandleT, start_id: int, token: ReaddirToken) -> None:
        directory = self._directories[fh]
        if start_id == 0:
            directory.read_again()
        for position in range(start_id, len(directory.names)):
            name = directory.names[position]
            try:
                number, status = self._inodes.look_up(directory.number, name)
            except OSError:
                continue  # it went meanwhile, or is not shown
            if not pyfuse3.readdir_reply(token, name, self._entry(number, status), position + 1):
                self._inodes.forget(number, 1)
                return

    @_answered
    async def releasedir(self, fh: FileHandleT) -> None:
        del self._directories[fh]
        os.close(fh)

    @_answered
    async def fsyncdir(self, fh: FileHandleT, datasync: bool) -> None:
        await trio.to_thread.run_sync(os.fsync, fh)
