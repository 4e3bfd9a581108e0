"""Handlers of extended attributes, POSIX ACLs among them: kept in the upper directory's own, by the same names.

What file systems keep their books in (`user.overlay.` and such) is not there for the container: neither seen nor set.
Names are asked of the layer once for each file, so that the many questions for what most files lack (ACLs, and
`security.capability` at each write) are answered from memory.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from pyfuse3 import FUSEError, get_sup_groups

from storage.overlay.fuse.requests import Requests
from storage.overlay.fuse.serving.errnos import answered, failure
from storage.whiteouts import FORGEABLE_PREFIXES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyfuse3 import InodeT, RequestContext, XAttrNameT

    from storage.overlay.fuse.nodes import Node

_ACCESS_ACL = "system.posix_acl_access"


class Xattrs(Requests):
    """getxattr, listxattr, setxattr, removexattr. Each handler raises FUSEError with the errno."""

    no_xattrs = False

    async def getxattr(self, inode: InodeT, name: XAttrNameT, ctx: RequestContext) -> bytes:
        # asked here too: the kernel asks this of every file it executes or writes, and a call is not for nothing
        if self.no_xattrs:
            self._refuse_without()
        try:
            node = self.nodes[inode]
            names = node.xattrs
            if names is None:
                names = self.xattr_names(node)
            if names and (text := os.fsdecode(name)) in names:
                return os.getxattr(self.place(node), text, follow_symlinks=node.parent is None)
        except Exception as error:  # noqa: BLE001  # see `answered`
            raise failure(error) from None
        raise FUSEError(errno.ENODATA)

    @answered
    async def listxattr(self, inode: InodeT, ctx: RequestContext) -> Sequence[XAttrNameT]:
        self._refuse_without()
        return [os.fsencode(name) for name in self.xattr_names(self.node(inode))]

    @answered
    async def setxattr(self, inode: InodeT, name: XAttrNameT, value: bytes, ctx: RequestContext) -> None:
        self._refuse_without()
        node, text = self.node(inode), os.fsdecode(name)
        if text.startswith(FORGEABLE_PREFIXES):
            raise FUSEError(errno.EPERM)
        await self.copy_up.node(node)
        self._changed(node, text)
        loses_setgid = text == _ACCESS_ACL and self._loses_setgid(node, ctx)
        mode = stat.S_IMODE(os.stat(self.place(node)).st_mode) if loses_setgid else 0
        if loses_setgid:
            os.chmod(self.place(node), mode & ~stat.S_ISGID)
        try:
            os.setxattr(self.place(node), text, value, follow_symlinks=node.parent is None)
        except OSError:
            if loses_setgid:
                os.chmod(self.place(node), mode)
            raise

    @answered
    async def removexattr(self, inode: InodeT, name: XAttrNameT, ctx: RequestContext) -> None:
        self._refuse_without()
        node, text = self.node(inode), os.fsdecode(name)
        if text not in self.xattr_names(node):
            raise FUSEError(errno.ENODATA)
        await self.copy_up.node(node)
        os.removexattr(self.place(node), text, follow_symlinks=node.parent is None)
        self._changed(node, text)

    def _refuse_without(self) -> None:
        if self.no_xattrs:
            # the kernel does not ask again, and says EOPNOTSUPP
            raise FUSEError(errno.ENOSYS)

    def _changed(self, node: Node, name: str) -> None:
        node.xattrs = None
        # its change time, and with an ACL its mode
        node.stale = True

    def _loses_setgid(self, node: Node, ctx: RequestContext) -> bool:
        """Setting an ACL takes the set-group-id bit from who is not in the group; root may keep it."""
        mode, gid = node.entry.st_mode, node.entry.st_gid
        return bool(mode & stat.S_ISGID and ctx.uid and ctx.gid != gid and gid not in get_sup_groups(ctx.pid))
