"""What the handlers share: the tree, and what the kernel has open."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pyfuse3
from pyfuse3 import FUSEError

from storage.overlay.fuse.nodes import Directory, Handle, Node
from storage.whiteouts import FORGEABLE_PREFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyfuse3 import FileHandleT, InodeT

    from storage.overlay.fuse.copy_up import CopyUp
    from storage.overlay.fuse.serving.request_loop import RequestLoop
    from storage.overlay.fuse.tree import Tree


class Requests(pyfuse3.Operations):
    """State of one mounted overlay. A handler must wait by way of `loop` only, else nobody reads the next request."""

    def __init__(
        self,
        tree: Tree,
        loop: RequestLoop,
        copy_up: CopyUp,
        *,
        durable: bool,
        writeback: bool,
        ready: Callable[[], None],
    ) -> None:
        super().__init__()
        self.enable_writeback_cache = writeback
        self.enable_acl = True
        self.supports_dot_lookup = True
        self.tree = tree
        self.nodes = tree.nodes
        self.loop = loop
        self.copy_up = copy_up
        self.durable = durable
        self.handles: dict[int, Handle] = {}
        self.listings: dict[int, Listing] = {}
        self._last_handle = 0
        self._ready = ready

    def init(self) -> None:
        self._ready()

    def node(self, number: InodeT) -> Node:
        """The node of this number; FUSEError ESTALE where there is none."""
        try:
            return self.nodes[number]
        except KeyError:
            raise FUSEError(errno.ESTALE) from None

    def directory(self, number: InodeT) -> Directory:
        """The directory of this number; FUSEError where there is none."""
        node = self.node(number)
        if not isinstance(node, Directory):
            raise FUSEError(errno.ENOTDIR)
        return node

    def new_handle(self) -> FileHandleT:
        """A handle that nothing open has."""
        self._last_handle += 1
        return self._last_handle

    def place(self, node: Node) -> bytes:
        """A path to the node; to what is open of it where it has no name, and then a link to be followed."""
        if node.parent is None and node is not self.tree.root:
            if node.orphan_fd >= 0:
                return b"/proc/self/fd/%d" % node.orphan_fd
            for handle in node.handles or ():
                if handle.fd >= 0:
                    return b"/proc/self/fd/%d" % handle.fd
        return self.tree.path(node)

    def is_gone(self, node: Node) -> bool:
        """Whether the node has no name any more, and nobody has it open."""
        if node.parent is not None or node is self.tree.root or node.orphan_fd >= 0:
            return False
        return all(handle.fd < 0 for handle in node.handles or ())

    def xattr_names(self, node: Node) -> Sequence[str]:
        """Names of the extended attributes of a node that are not for the file systems' own books."""
        if node.xattrs is None:
            if node.parent is None and node is not self.tree.root and not node.handles and node.lower is None:
                return ()
            try:
                names = os.listxattr(self.place(node), follow_symlinks=node.parent is None)
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    raise
                names = []
            node.xattrs = tuple(name for name in names if not name.startswith(FORGEABLE_PREFIXES))
        return node.xattrs


class Listing:
    """An open directory. What it lists is settled when it is read from the start, less what was removed since."""

    __slots__ = ("directory", "names")

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.names: list[bytes] | None = None
