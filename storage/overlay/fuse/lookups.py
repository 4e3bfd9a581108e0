"""Handlers that look: names, attributes, directory listings. Answered from memory once a directory was read."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pyfuse3
from pyfuse3 import FUSEError

from storage.overlay.fuse.nodes import Directory, Node, negative_entry
from storage.overlay.fuse.requests import Listing, Requests
from storage.overlay.fuse.serving.errnos import answered, failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyfuse3 import EntryAttributes, FileHandleT, FileNameT, InodeT, ReaddirToken, RequestContext, StatvfsData

_ABSENT = negative_entry()
#: from how many known inodes on what the kernel has forgotten is forgotten here too, and read again when needed
_MANY_NODES = 100_000


class Lookups(Requests):
    """lookup, forget, getattr, readlink, opendir, readdir, releasedir, fsyncdir, statfs.

    Each handler raises FUSEError with the errno.
    """

    async def lookup(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> EntryAttributes:
        try:
            children = self.nodes[parent_inode].children  # type: ignore[attr-defined]  # the kernel asks directories only
            if children is None:
                children = self.tree.children(self.directory(parent_inode))
            node = children.get(name)
            if node is None:
                return self._special_name(parent_inode, name)
            if node.stale:
                self.tree.refresh(node)
            node.lookups += 1
            return node.entry  # type: ignore[no-any-return]
        except Exception as error:  # noqa: BLE001  # see `answered`
            raise failure(error) from None

    def _special_name(self, number: InodeT, name: FileNameT) -> EntryAttributes:
        if name not in (b".", b".."):
            if len(name) > 255:
                raise FUSEError(errno.ENAMETOOLONG)
            return _ABSENT
        node: Node = self.directory(number)
        if name == b"..":
            node = node.parent or node
        node.lookups += 1
        return node.entry

    async def forget(self, inode_list: Sequence[tuple[InodeT, int]]) -> None:
        nodes = self.nodes
        for number, count in inode_list:
            node = nodes.get(number)
            if node is not None:
                node.lookups -= count
                if node.lookups <= 0:
                    node.given = False
                    if node.parent is None:
                        self.tree.let_go(node)
                    elif len(nodes) > _MANY_NODES:
                        self.tree.unload(node)

    async def getattr(self, inode: InodeT, ctx: RequestContext) -> EntryAttributes:
        try:
            node = self.nodes[inode]
            if node.stale:
                self.tree.refresh(node)
            return node.entry
        except Exception as error:  # noqa: BLE001  # see `answered`
            raise failure(error) from None

    @answered
    async def readlink(self, inode: InodeT, ctx: RequestContext) -> FileNameT:
        directory_fd, name = self.tree.place(self.node(inode))
        return os.readlink(name, dir_fd=directory_fd)

    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        try:
            # the kernel asks directories only
            listing = Listing(self.nodes[inode])  # type: ignore[arg-type]
        except KeyError as error:
            raise failure(error) from None
        handle = self.new_handle()
        self.listings[handle] = listing
        return handle

    async def readdir(self, fh: FileHandleT, start_id: int, token: ReaddirToken) -> None:
        listing = self.listings[fh]
        try:
            names = listing.names
            if names is None or start_id == 0:
                names = listing.names = self._names_in(listing.directory)
            if start_id < len(names) + 2:
                self._list(listing.directory, names, start_id, token)
        except Exception as error:  # noqa: BLE001  # see `answered`
            raise failure(error) from None

    def _names_in(self, directory: Directory) -> list[bytes]:
        if directory.listing is None:
            directory.listing = list(self.tree.children(directory))
        return directory.listing

    def _list(self, directory: Directory, names: list[bytes], start: int, token: ReaddirToken) -> None:
        reply, refresh = pyfuse3.readdir_reply, self.tree.refresh
        children = self.tree.children(directory)
        # `.` and `..` are not counted as looked up
        if start == 0 and not reply(token, b".", directory.entry, 1):
            return
        if start <= 1 and not reply(token, b"..", (directory.parent or directory).entry, 2):
            return
        first = max(start - 2, 0)
        place = first + 2
        for name in names[first:] if first else names:
            place += 1
            node = children.get(name)
            if node is None:
                continue
            if node.stale:
                refresh(node)
            if not reply(token, name, node.entry, place):
                return
            node.lookups += 1

    async def releasedir(self, fh: FileHandleT) -> None:
        self.listings.pop(fh, None)

    @answered
    async def fsyncdir(self, fh: FileHandleT, datasync: bool) -> None:
        directory = self.listings[fh].directory
        if self.durable and directory.upper and (directory.parent is not None or directory is self.tree.root):
            fd = os.open(".", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.tree.descriptors.upper(directory))
            try:
                await self.loop.blocking(os.fsync, fd)
            finally:
                os.close(fd)

    @answered
    async def statfs(self, ctx: RequestContext) -> StatvfsData:
        found = os.fstatvfs(self.tree.top_fd)
        answer = pyfuse3.StatvfsData()
        answer.f_bsize, answer.f_frsize, answer.f_blocks = found.f_bsize, found.f_frsize, found.f_blocks
        answer.f_bfree, answer.f_bavail = found.f_bfree, found.f_bavail
        answer.f_files, answer.f_ffree, answer.f_favail = found.f_files, found.f_ffree, found.f_favail
        answer.f_namemax = 255
        return answer
