"""Handlers that change what directories hold: create, mkdir, mknod, symlink, link, unlink, rmdir, rename."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from pyfuse3 import FUSEError

from storage.overlay.fuse.files import Files
from storage.overlay.fuse.nodes import Directory, Handle, Node
from storage.overlay.fuse.serving.errnos import answered
from storage.overlay.fuse.work import mark_directory
from storage.syscalls import RENAME_EXCHANGE, renameat2
from storage.trees.tree import remove_entry
from storage.whiteouts import PREFIX, make_opaque, make_whiteout

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyfuse3 import EntryAttributes, FileInfo, FileNameT, FlagT, InodeT, ModeT, RequestContext

    from storage.overlay.fuse.work import Work

M = TypeVar("M")
T = TypeVar("T")
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_WHITEOUT_DEVICE = 0
#: what a new file may get of its directory's
_HANDED_DOWN = {"system.posix_acl_default", "security.selinux", "security.SMACK64"}


class Changes(Files):
    """Each change happens at once in the upper directory: by one system call, or one rename of what was made aside.

    Each handler raises FUSEError with the errno; what it takes and returns is as pyfuse3 has it.
    """

    @property
    def work(self) -> Work:
        """The work directory. OSError EROFS where the overlay has none."""
        if self.tree.work is None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return self.tree.work

    # ---- making ------------------------------------------------------------------------------------------------------

    @answered
    async def create(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, flags: FlagT, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        directory = self._parent_of_new(parent_inode, name)
        is_plain = not _HANDED_DOWN.intersection(self.xattr_names(directory))

        def make(directory_fd: int, made: bytes) -> int:
            return os.open(made, _CREATE, stat.S_IMODE(mode), dir_fd=directory_fd)

        def settle(fd: int, _directory_fd: int, _made: bytes) -> tuple[int, os.stat_result]:
            try:
                return fd, self._own(fd, directory, ctx, mode)
            except BaseException:
                os.close(fd)
                raise

        fd, status = self._make(directory, name, ctx, make, settle)
        node = self.tree.new(directory, name, status)
        if is_plain:
            # each write(2) asks for capabilities
            node.xattrs = ()
        node.lookups += 1
        return self.hold(Handle(node, fd, True)), node.entry

    @answered
    async def mkdir(self, parent_inode: InodeT, name: FileNameT, mode: ModeT, ctx: RequestContext) -> EntryAttributes:
        directory = self._parent_of_new(parent_inode, name)
        mode = stat.S_IMODE(mode) | directory.entry.st_mode & stat.S_ISGID
        self.tree.upper_fd(directory)
        is_aside = name in self.tree.under(directory)

        def make(directory_fd: int, made: bytes) -> None:
            os.mkdir(made, mode, dir_fd=directory_fd)

        def settle(_made: None, directory_fd: int, made: bytes) -> os.stat_result:
            fd = os.open(made, _READ_DIRECTORY, dir_fd=directory_fd)
            try:
                self._own(fd, directory, ctx, mode)
                if is_aside:
                    make_opaque(fd)
                    if mode & stat.S_ISGID:
                        # mkdir(2) takes it from the parent only, and that is the work directory
                        os.fchmod(fd, mode)
                return os.fstat(fd)
            finally:
                os.close(fd)

        return self._enter(directory, name, self._make(directory, name, ctx, make, settle, is_directory=True))

    @answered
    async def mknod(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, rdev: int, ctx: RequestContext
    ) -> EntryAttributes:
        directory = self._parent_of_new(parent_inode, name)
        if stat.S_ISCHR(mode) and rdev == _WHITEOUT_DEVICE:
            raise FUSEError(errno.EPERM)

        def make(directory_fd: int, made: bytes) -> None:
            os.mknod(made, mode, rdev, dir_fd=directory_fd)

        return self._enter(directory, name, self._make(directory, name, ctx, make, self._settle_name(directory, ctx)))

    @answered
    async def symlink(
        self, parent_inode: InodeT, name: FileNameT, target: FileNameT, ctx: RequestContext
    ) -> EntryAttributes:
        directory = self._parent_of_new(parent_inode, name)

        def make(directory_fd: int, made: bytes) -> None:
            os.symlink(target, made, dir_fd=directory_fd)

        return self._enter(directory, name, self._make(directory, name, ctx, make, self._settle_name(directory, ctx)))

    @answered
    async def link(
        self, inode: InodeT, new_parent_inode: InodeT, new_name: FileNameT, ctx: RequestContext
    ) -> EntryAttributes:
        node, directory = self.node(inode), self._parent_of_new(new_parent_inode, new_name)
        await self.copy_up.node(node)
        if node.parent is None:
            raise FUSEError(errno.ENOENT)
        self.tree.upper_fd(directory)

        def make(directory_fd: int, made: bytes) -> None:
            source_fd, source = self.tree.place(node)
            os.link(source, made, src_dir_fd=source_fd, dst_dir_fd=directory_fd, follow_symlinks=False)

        def settle(_made: None, directory_fd: int, made: bytes) -> os.stat_result:
            return os.stat(made, dir_fd=directory_fd, follow_symlinks=False)

        self._make(directory, new_name, None, make, settle)
        self.tree.add_name(node, directory, new_name)
        with suppress(OSError):
            # else it stays stale, and is looked at when it is asked for
            self.tree.refresh(node)
        node.lookups += 1
        return node.entry

    def _parent_of_new(self, number: InodeT, name: FileNameT) -> Directory:
        directory = self.directory(number)
        if len(name) > 255:
            raise FUSEError(errno.ENAMETOOLONG)
        if name.startswith(PREFIX):
            # it would be a whiteout after the next mount
            raise FUSEError(errno.EINVAL)
        if name in self.tree.children(directory):
            raise FUSEError(errno.EEXIST)
        return directory

    def _make(
        self,
        directory: Directory,
        name: bytes,
        ctx: RequestContext | None,
        make: Callable[[int, bytes], M],
        settle: Callable[[M, int, bytes], T],
        *,
        is_directory: bool = False,
    ) -> T:
        """Make an entry by one call and settle what it is by others; where one of those fails there is no entry.

        In the place of a whiteout at once, by way of the work directory. With `ctx` it will belong to who asked: one
        that has no number here is told before anything is made.
        """
        if ctx is not None:
            self._owner(directory, ctx)
        directory_fd = self.tree.upper_fd(directory)
        if name not in self.tree.under(directory):
            made = make(directory_fd, name)
            try:
                return settle(made, directory_fd, name)
            except BaseException:
                remove_entry(directory_fd, name)
                raise
        with self.work.aside_like(directory_fd) as (aside_fd, aside):
            result = settle(make(aside_fd, aside), aside_fd, aside)
            # a whiteout is no directory, and so none can be renamed over it; what is left aside goes
            flags = RENAME_EXCHANGE if is_directory else 0
            renameat2(aside_fd, aside, self.tree.upper_fd(directory), name, flags)
        return result

    def _settle_name(self, directory: Directory, ctx: RequestContext) -> Callable[[None, int, bytes], os.stat_result]:
        """For what cannot be opened: give it to who asked for it, and look how it is then."""

        def settle(_made: None, directory_fd: int, name: bytes) -> os.stat_result:
            self._own_name(directory_fd, name, directory, ctx)
            return os.stat(name, dir_fd=directory_fd, follow_symlinks=False)

        return settle

    def _enter(self, directory: Directory, name: bytes, status: os.stat_result) -> EntryAttributes:
        """The entry of what was made."""
        node = self.tree.new(directory, name, status)
        node.lookups += 1
        return node.entry

    def _own(self, fd: int, directory: Directory, ctx: RequestContext, mode: int) -> os.stat_result:
        """Give what was made to who asked for it; how it is then."""
        uid, gid = self._owner(directory, ctx)
        status = os.fstat(fd)
        if (status.st_uid, status.st_gid) != (uid, gid):
            os.fchown(fd, uid, gid)
            if mode & (stat.S_ISUID | stat.S_ISGID):
                os.fchmod(fd, stat.S_IMODE(status.st_mode))
            return os.fstat(fd)
        return status

    def _own_name(self, directory_fd: int, name: bytes, directory: Directory, ctx: RequestContext) -> None:
        uid, gid = self._owner(directory, ctx)
        status = os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
        if (status.st_uid, status.st_gid) != (uid, gid):
            os.chown(name, uid, gid, dir_fd=directory_fd, follow_symlinks=False)

    def _owner(self, directory: Directory, ctx: RequestContext) -> tuple[int, int]:
        entry, owners = directory.entry, self.tree.owners
        uid, gid = ctx.uid, entry.st_gid if entry.st_mode & stat.S_ISGID else ctx.gid
        return (uid, gid) if owners is None else (owners.kept_uid(uid), owners.kept_gid(gid))

    # ---- removing ----------------------------------------------------------------------------------------------------

    @answered
    async def unlink(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        directory, node = self._named(parent_inode, name)
        directory_fd = self.tree.upper_fd(directory)
        self.open_before_removal(node)
        if name not in self.tree.under(directory):
            os.unlink(name, dir_fd=directory_fd)
        elif node.upper:
            self.work.put_whiteout(directory_fd, name)
        else:
            make_whiteout_at(directory_fd, name)
        self.tree.drop_name(node, directory, name)

    @answered
    async def rmdir(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        directory, node = self._named(parent_inode, name)
        if not isinstance(node, Directory):
            raise FUSEError(errno.ENOTDIR)
        if self.tree.children(node):
            raise FUSEError(errno.ENOTEMPTY)
        directory_fd = self.tree.upper_fd(directory)
        self.tree.keep_open(node)
        if name in self.tree.under(directory):
            if node.upper:
                self.work.swap_for_whiteout(directory_fd, name)
            else:
                make_whiteout_at(directory_fd, name)
        else:
            self._remove_directory(directory_fd, name)
        self.tree.drop_name(node, directory, name)

    def _remove_directory(self, directory_fd: int, name: bytes) -> None:
        try:
            os.rmdir(name, dir_fd=directory_fd)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            self.work.remove_directory(directory_fd, name)

    def _named(self, number: InodeT, name: FileNameT) -> tuple[Directory, Node]:
        directory = self.directory(number)
        node = self.tree.children(directory).get(name)
        if node is None:
            raise FUSEError(errno.ENOENT)
        return directory, node


def make_whiteout_at(directory_fd: int, name: bytes) -> None:
    """As `make_whiteout`, for an O_PATH descriptor."""
    try:
        os.mknod(name, stat.S_IFCHR, 0, dir_fd=directory_fd)
    except PermissionError:
        mark_directory(directory_fd)
        fd = os.open(".", _READ_DIRECTORY, dir_fd=directory_fd)
        try:
            make_whiteout(fd, name)
        finally:
            os.close(fd)
