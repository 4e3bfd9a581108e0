"""The rename handler.

Both ends are first brought to the upper directory whole, so a directory that had lower layers shows none of them when
it is somewhere else: no redirects, which the kernel's overlay refuses in a user namespace. Then nothing awaits: the
names change by one rename, and a whiteout is left where a lower layer would show.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from pyfuse3 import FUSEError

from storage.overlay.fuse.changes import Changes
from storage.overlay.fuse.nodes import Directory, Node
from storage.overlay.fuse.serving.errnos import answered
from storage.overlay.fuse.tree import make_opaque_at
from storage.syscalls import RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT, renameat2
from storage.whiteouts import PREFIX

if TYPE_CHECKING:
    from pyfuse3 import FileNameT, FlagT, InodeT, RequestContext


class _Place:
    """A name in a directory, and what has it."""

    __slots__ = ("directory", "name", "node")

    def __init__(self, directory: Directory, name: bytes, node: Node | None) -> None:
        self.directory = directory
        self.name = name
        self.node = node


class Renames(Changes):
    """rename, with RENAME_NOREPLACE and RENAME_EXCHANGE. Each handler raises FUSEError with the errno."""

    @answered
    async def rename(
        self,
        parent_inode_old: InodeT,
        name_old: FileNameT,
        parent_inode_new: InodeT,
        name_new: FileNameT,
        flags: FlagT,
        ctx: RequestContext,
    ) -> None:
        old = self._look(parent_inode_old, name_old)
        new = self._look(parent_inode_new, name_new)
        _check(old, new, flags)
        assert old.node is not None
        if not flags and isinstance(new.node, Directory) and self.tree.children(new.node):
            # told before all of a tree is copied in vain
            raise FUSEError(errno.ENOTEMPTY)
        await self.copy_up.whole(old.node)
        if flags & RENAME_EXCHANGE and new.node is not None:
            await self.copy_up.whole(new.node)
        # the kernel has both directories locked: the names are what they were
        self.tree.upper_fd(old.directory)
        self.tree.upper_fd(new.directory)
        if flags & RENAME_EXCHANGE:
            self._exchange(old, new)
        else:
            self._move(old, new)

    def _look(self, number: InodeT, name: bytes) -> _Place:
        directory = self.directory(number)
        return _Place(directory, name, self.tree.children(directory).get(name))

    def _exchange(self, old: _Place, new: _Place) -> None:
        assert old.node is not None
        assert new.node is not None
        self._hide_below(old.node, new)
        self._hide_below(new.node, old)
        self._renameat(old, new, RENAME_EXCHANGE)
        self._settle(old.node, old, new)
        self._settle(new.node, new, old)

    def _move(self, old: _Place, new: _Place) -> None:
        node, target = old.node, new.node
        assert node is not None
        leaves_whiteout = old.name in self.tree.under(old.directory)
        covers_whiteout = target is None and new.name in self.tree.under(new.directory)
        self._hide_below(node, new)
        try:
            if target is not None:
                self._prepare_target(target, new)
            if isinstance(node, Directory) and covers_whiteout:
                self._swap_with_whiteout(old, new, leaves_whiteout=leaves_whiteout)
            elif leaves_whiteout:
                self._rename_with_whiteout(old, new, covers_whiteout=covers_whiteout)
            else:
                self._renameat(old, new, 0)
        except BaseException:
            if target is not None:
                self.tree.unkeep(target)
            raise
        if target is not None:
            self.tree.drop_name(target, new.directory, new.name)
        self._settle(node, old, new)
        self.tree.children(old.directory).pop(old.name, None)
        old.directory.listing = None

    def _swap_with_whiteout(self, old: _Place, new: _Place, *, leaves_whiteout: bool) -> None:
        """The whiteout goes where the directory was."""
        self._renameat(old, new, RENAME_EXCHANGE)
        if not leaves_whiteout:
            try:
                os.unlink(old.name, dir_fd=self.tree.upper_fd(old.directory))
            except BaseException:
                self._renameat(old, new, RENAME_EXCHANGE)
                raise

    def _prepare_target(self, target: Node, new: _Place) -> None:
        if not isinstance(target, Directory):
            self.open_before_removal(target)
            return
        if self.tree.children(target):
            raise FUSEError(errno.ENOTEMPTY)
        self.tree.keep_open(target)
        if target.upper and self.tree.under(target):
            self.work.swap_for_empty(self.tree.upper_fd(new.directory), new.name)
            self.tree.descriptors.forget(target)

    def _hide_below(self, node: Node, new: _Place) -> None:
        """A directory must not be merged with what lower layers have where it goes."""
        if isinstance(node, Directory) and new.name in self.tree.under(new.directory):
            make_opaque_at(self.tree.descriptors.upper(node))

    def _rename_with_whiteout(self, old: _Place, new: _Place, *, covers_whiteout: bool) -> None:
        try:
            self._renameat(old, new, RENAME_WHITEOUT)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EPERM, errno.ENOSYS):
                raise
        else:
            return
        old_fd, new_fd = self.tree.upper_fd(old.directory), self.tree.upper_fd(new.directory)
        with self.work.whiteout_aside(old_fd) as made:
            # what has the new name goes to the old one, to be hidden there or to come back
            swaps = new.node is not None or covers_whiteout
            # in this order a crash shows the file by one of its names, or by both
            self._renameat(old, new, RENAME_EXCHANGE if swaps else 0)
            try:
                renameat2(self.work.fd, made, old_fd, old.name, RENAME_EXCHANGE if swaps else 0)
            except BaseException:
                renameat2(new_fd, new.name, old_fd, old.name, RENAME_EXCHANGE if swaps else 0)
                raise

    def _renameat(self, old: _Place, new: _Place, flags: int) -> None:
        old_fd, new_fd = self.tree.upper_fd(old.directory), self.tree.upper_fd(new.directory)
        if flags:
            renameat2(old_fd, old.name, new_fd, new.name, flags)
        else:
            os.rename(old.name, new.name, src_dir_fd=old_fd, dst_dir_fd=new_fd)

    def _settle(self, node: Node, old: _Place, new: _Place) -> None:
        """Record the node's new place."""
        if node.links is not None:
            node.links.remove((old.directory, old.name))
            node.links.append((new.directory, new.name))
        node.parent, node.name = new.directory, new.name
        self.tree.children(new.directory)[new.name] = node
        new.directory.listing = None
        node.stale = old.directory.stale = new.directory.stale = True


def _check(old: _Place, new: _Place, flags: int) -> None:
    if flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE) or new.name.startswith(PREFIX):
        raise FUSEError(errno.EINVAL)
    if len(new.name) > 255:
        raise FUSEError(errno.ENAMETOOLONG)
    if old.node is None or (flags & RENAME_EXCHANGE and new.node is None):
        raise FUSEError(errno.ENOENT)
    if flags & RENAME_NOREPLACE and new.node is not None:
        raise FUSEError(errno.EEXIST)
