"""The merged tree: nodes, read from the layers when they are first asked for, and true from then on.

Nobody but this server changes the upper directory, and layers never change; so a directory is read once, and what the
kernel asks is answered from memory. Nothing here awaits: what one method does no other request sees half done.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from storage.overlay.fuse.descriptors import Descriptors, readable
from storage.overlay.fuse.index import has_xattrs
from storage.overlay.fuse.nodes import (
    Directory,
    Layer,
    LowerDirectory,
    Node,
    fill_entry,
    make_entry,
    make_indexed_entry,
)
from storage.overlay.fuse.numbers import ROOT_NUMBER, Numbers, store_number, stored_number
from storage.overlay.fuse.scan import OPAQUE_NAMES, Content, Found, find_indexed, read_merged
from storage.trees.copy_tree import copy_metadata
from storage.whiteouts import PREFIX, entry_path, is_opaque_at, make_opaque, make_whiteout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyfuse3 import EntryAttributes

    from storage.overlay.fuse.index import IndexedStatus, Record
    from storage.overlay.fuse.owners import Owners
    from storage.overlay.fuse.work import Work

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Tree:
    """All nodes. `layers` come topmost first; without `upper_fd` and `work` nothing can be changed."""

    def __init__(
        self,
        layers: Sequence[Layer],
        upper_fd: int | None,
        work: Work | None,
        kept_fds: int,
        owners: Owners | None = None,
        *,
        static_nlink: bool = False,
    ) -> None:
        self.owners = owners
        self._static_nlink = static_nlink
        self.numbers = Numbers()
        self.work = work
        self._all_read = False
        top = upper_fd if upper_fd is not None else layers[0].root_fd
        self.descriptors = Descriptors(top, kept_fds)
        self.top_fd = top
        for fd in (top, *(layer.root_fd for layer in layers)):
            self.numbers.of(os.fstat(fd))
        self.root = Directory(ROOT_NUMBER, make_entry(os.fstat(top), ROOT_NUMBER), None, b"")
        self.root.upper = upper_fd is not None
        self.root.lowers = tuple(LowerDirectory(layer, None, b"") for layer in layers)
        self.root.lookups = 1
        self.nodes: dict[int, Node] = {ROOT_NUMBER: self.root}
        self.root.stale = True
        self.refresh(self.root)

    # ---- reading -----------------------------------------------------------------------------------------------------

    def children(self, directory: Directory) -> dict[bytes, Node]:
        """What the directory has."""
        if directory.children is None:
            self._read(directory)
            assert directory.children is not None
        return directory.children

    def refresh(self, node: Node) -> None:
        """Bring a stale node's attributes up to date."""
        node.stale = False
        status = self._status(node)
        if status is None:
            return
        fill_entry(node.entry, status)
        if node.kernel_mtime is not None:
            node.entry.st_mtime_ns = node.kernel_mtime
        if self.owners is not None:
            self.owners.show(node.entry)
        if isinstance(node, Directory) and (self._static_nlink or is_merged(node)):
            node.entry.st_nlink = self._directory_links(node)

    def _directory_links(self, directory: Directory) -> int:
        # no part knows of the subdirectories of the others; programs take 1 for "not counted"
        if self._static_nlink:
            return 1
        return 2 + sum(isinstance(child, Directory) for child in self.children(directory).values())

    def place(self, node: Node) -> tuple[int, bytes]:
        """Where a named file or a directory other than the root is: a directory's descriptor and the name in it.

        Raises FileNotFoundError where it has no name any more.
        """
        if node.lower is not None:
            return self.descriptors.lower(node.lower), node.name
        if isinstance(node, Directory) and not node.upper:
            lower = node.lowers[0]
            assert lower.parent is not None
            return self.descriptors.lower(lower.parent), lower.name
        if node.parent is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self.descriptors.upper(node.parent), node.name

    def path(self, node: Node) -> bytes:
        """A path to the node itself for the calls that take nothing else; see `whiteouts.entry_path`."""
        if node is self.root:
            return entry_path(self.top_fd, b".")
        return entry_path(*self.place(node))

    def read_all(self) -> None:
        """Read every directory, so that all names of each file are known."""
        if self._all_read:
            return
        waiting: list[Directory] = [self.root]
        while waiting:
            children = self.children(waiting.pop())
            waiting.extend(child for child in children.values() if isinstance(child, Directory))
        self._all_read = True

    def _status(self, node: Node) -> os.stat_result | None:
        if node.orphan_fd >= 0:
            return os.fstat(node.orphan_fd)
        for handle in node.handles or ():
            if handle.fd >= 0:
                return os.fstat(handle.fd)
        if node is self.root:
            return os.fstat(self.top_fd)
        if node.parent is None:
            return None
        directory_fd, name = self.place(node)
        return os.stat(name, dir_fd=directory_fd, follow_symlinks=False)

    def _read(self, directory: Directory) -> None:
        if directory.parent is None and directory is not self.root:
            directory.children = {}
            return
        if len(directory.lowers) == 1 and not directory.upper and self._read_indexed(directory, directory.lowers[0]):
            return
        content = read_merged(directory, self.descriptors)
        directory.lowers = content.lowers
        if directory.upper:
            directory.under = content.under
            self._replace_dotted(directory, content)
        children: dict[bytes, Node] = {}
        try:
            for name, found in content.found.items():
                children[name] = self._adopt(directory, name, found)
        except BaseException:
            # half a directory is none: it is read again
            for node in children.values():
                if node.links is None and node.lookups <= 0 and node.handles is None:
                    self.nodes.pop(node.number, None)
            raise
        directory.children = children

    def _read_indexed(self, directory: Directory, lower: LowerDirectory) -> bool:
        """Read what one layer alone has, and has nothing to hide with: most directories of an image, in one loop."""
        indexed = lower.layer.indexed
        if indexed is None:
            return False
        place = indexed.directory(lower.place)
        if place.has_whiteouts:
            return False
        children = directory.children = {}
        nodes, number_of, owners = self.nodes, self.numbers.of_inode, self.owners
        device = lower.layer.device
        for name, record in indexed.records(place):
            number = number_of(record[11], device)
            if number in nodes:
                children[name] = self._adopt(directory, name, find_indexed(name, record, lower))
            else:
                node = children[name] = nodes[number] = _indexed_node(number, record, directory, name, lower)
                if owners is not None:
                    owners.show(node.entry)
        return True

    def _replace_dotted(self, directory: Directory, content: Content) -> None:
        """Give whiteouts in an archive's form, which another program left in the upper directory, the usual one."""
        if not content.dotted:
            return
        fd = self.descriptors.upper(directory)
        for dotted in content.dotted:
            hidden = dotted[len(PREFIX) :]
            if dotted in OPAQUE_NAMES:
                make_opaque_at(fd)
            elif hidden in content.under and hidden not in content.found:
                make_whiteout(fd, hidden)
            os.unlink(dotted, dir_fd=fd)

    def _adopt(self, directory: Directory, name: bytes, found: Found) -> Node:
        status = found.status
        is_linked_more = status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode)
        number = self._number(directory, name, found)
        known = self.nodes.get(number)
        if known is not None and known.links is not None and (is_linked_more or known.parent is None):
            if (directory, name) not in known.links:
                known.links.append((directory, name))
            if known.parent is None or (found.in_upper and not known.upper):
                # it lost all names that were known, or a crash left some of its names below
                known.upper, known.lower, known.parent, known.name = found.in_upper, found.source, directory, name
                known.stale = found.in_upper
                self._close_orphan(known)
            return known
        if known is not None:
            number = self.numbers.spare()
        node = self._make(directory, name, found, number)
        if is_linked_more:
            node.links = [(directory, name)]
        self.nodes[number] = node
        return node

    def _entry(self, status: os.stat_result | IndexedStatus, number: int) -> EntryAttributes:
        entry = make_entry(status, number)
        if self.owners is not None:
            self.owners.show(entry)
        return entry

    def _number(self, directory: Directory, name: bytes, found: Found) -> int:
        if found.in_upper:
            stored = stored_number(entry_path(self.descriptors.upper(directory), name))
            if stored is not None:
                return stored
        return self.numbers.of(found.status)

    def _make(self, directory: Directory, name: bytes, found: Found, number: int) -> Node:
        entry = self._entry(found.status, number)
        if not stat.S_ISDIR(found.status.st_mode):
            node = Node(number, entry, directory, name)
            node.upper, node.lower = found.in_upper, found.source
            if not found.may_have_xattrs:
                node.xattrs = ()
            return node
        made = Directory(number, entry, directory, name)
        made.upper = found.in_upper
        if not found.may_have_xattrs:
            made.xattrs = ()
        if found.in_upper and found.lowers and is_opaque_at(self.descriptors.upper(directory), name):
            found.lowers = []
        made.lowers = tuple(found.lowers)
        # counted when somebody asks: it takes reading the directory
        made.stale = self._static_nlink or is_merged(made)
        return made

    # ---- changing ----------------------------------------------------------------------------------------------------

    def new(self, directory: Directory, name: bytes, status: os.stat_result) -> Node:
        """The node of what was just made in the upper directory."""
        number = self.numbers.of(status)
        kind = Directory if stat.S_ISDIR(status.st_mode) else Node
        if number in self.nodes:
            # a removed file's, which the kernel has not let go of yet
            number = self.numbers.spare()
        node = kind(number, self._entry(status, number), directory, name)
        node.upper = True
        if isinstance(node, Directory):
            node.children, node.under = {}, set()
        self.nodes[number] = node
        self.children(directory)[name] = node
        directory.listing = None
        directory.stale = True
        return node

    def add_name(self, node: Node, directory: Directory, name: bytes) -> None:
        """Record one more name of a file."""
        if node.links is None:
            node.links = [] if node.parent is None else [(node.parent, node.name)]
        node.links.append((directory, name))
        if node.parent is None:
            node.parent, node.name = directory, name
        self.children(directory)[name] = node
        directory.listing = None
        node.stale = directory.stale = True

    def drop_name(self, node: Node, directory: Directory, name: bytes) -> None:
        """Record that a name of the node is gone."""
        self.children(directory).pop(name, None)
        directory.listing = None
        directory.stale = True
        if node.links is not None:
            node.links.remove((directory, name))
            if node.links:
                if node.upper:
                    node.parent, node.name = node.links[0]
                    node.entry.st_nlink = max(1, node.entry.st_nlink - 1)
                    node.stale = True
                else:
                    node.parent = node.links[0][0]
                    node.entry.st_nlink = len(node.links) if self._all_read else max(1, node.entry.st_nlink - 1)
                return
        node.parent = None
        left = node.entry.st_nlink - 1 if node.links is not None and not self._all_read else 0
        node.entry.st_nlink = max(0, left)
        if left <= 0:
            node.links = None
        # else names are left in directories that were not read yet
        node.stale = False
        if isinstance(node, Directory):
            node.children, node.listing = {}, None
            self.descriptors.forget(node)
        self.let_go(node)

    def keep_open(self, node: Node) -> None:
        """Keep hold of what is about to lose its name, where no handle of a file does: who has it open may go on."""
        if node.links is not None and len(node.links) > 1:
            return
        if node.upper and node.handles is None and node.orphan_fd < 0 and not stat.S_ISREG(node.entry.st_mode):
            directory_fd, name = self.place(node)
            node.orphan_fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory_fd)

    def let_go(self, node: Node) -> None:
        """Forget a node without a name that nobody asks for any more."""
        if node.lookups <= 0 and node.parent is None and node.handles is None and node is not self.root:
            self.nodes.pop(node.number, None)
            self._close_orphan(node)

    def unkeep(self, node: Node) -> None:
        """Undo `keep_open`, for what kept its name after all."""
        if node.parent is not None:
            self._close_orphan(node)

    def _close_orphan(self, node: Node) -> None:
        if node.orphan_fd >= 0:
            os.close(node.orphan_fd)
            node.orphan_fd = -1

    def unload(self, node: Node) -> None:
        """Forget what a directory has, to be read again, where the kernel has forgotten all of it."""
        directory = node if isinstance(node, Directory) else node.parent
        if directory is None or not directory.children:
            return
        for child in directory.children.values():
            if child.lookups > 0 or child.handles is not None or child.links is not None:
                return
            if isinstance(child, Directory) and child.children is not None:
                return
        for child in directory.children.values():
            self.nodes.pop(child.number, None)
            if isinstance(child, Directory):
                self.descriptors.forget(child)
        directory.children = directory.under = directory.listing = None
        self._all_read = False

    def upper_fd(self, directory: Directory) -> int:
        """A descriptor of the directory's part of the upper directory, made with those above it if it has none."""
        if not directory.upper:
            self._copy_up_directories(directory)
        return self.descriptors.upper(directory)

    def under(self, directory: Directory) -> set[bytes]:
        """Names that lower layers have in a directory of the upper directory."""
        self.children(directory)
        assert directory.under is not None
        return directory.under

    def _copy_up_directories(self, directory: Directory) -> None:
        if self.work is None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        missing = []
        above: Directory | None = directory
        while above is not None and not above.upper:
            missing.append(above)
            above = above.parent
        if above is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        for made in reversed(missing):
            self._copy_up_directory(made)

    def _copy_up_directory(self, directory: Directory) -> None:
        assert self.work is not None
        assert directory.parent is not None
        under = set(self.children(directory))
        with self.work.aside() as made:
            os.mkdir(made, 0o700, dir_fd=self.work.fd)
            target_fd = os.open(made, _OPEN | os.O_NOFOLLOW, dir_fd=self.work.fd)
            try:
                with readable(self.descriptors.lower(directory.lowers[0])) as source_fd:
                    copy_metadata(source_fd, target_fd)
                store_number(target_fd, directory.number)
            finally:
                os.close(target_fd)
            parent_fd = self.descriptors.upper(directory.parent)
            move_unseen(self.work.fd, made, parent_fd, directory.name)
        directory.upper = True
        directory.under = under
        directory.stale = True
        self.descriptors.forget(directory)


def _indexed_node(number: int, record: Record, directory: Directory, name: bytes, lower: LowerDirectory) -> Node:
    entry = make_indexed_entry(record, number)
    node: Node
    if stat.S_ISDIR(record[3]):
        node = made = Directory(number, entry, directory, name)
        made.lowers = (LowerDirectory(lower.layer, lower, name, record[7]),)
    else:
        node = Node(number, entry, directory, name)
        node.lower = lower
        if record[4] > 1:
            node.links = [(directory, name)]
    if not has_xattrs(record):
        node.xattrs = ()
    return node


def is_merged(directory: Node) -> bool:
    """Whether the directory has more than one part."""
    assert isinstance(directory, Directory)
    return directory.upper + len(directory.lowers) > 1


def make_opaque_at(directory_fd: int) -> None:
    """As `make_opaque`, for an O_PATH descriptor."""
    with readable(directory_fd) as fd:
        make_opaque(fd)


def move_unseen(source_fd: int, source: bytes, directory_fd: int, name: bytes) -> None:
    """Rename into a directory whose times are to stay: for whoever looks nothing changes."""
    before = os.fstat(directory_fd)
    os.rename(source, name, src_dir_fd=source_fd, dst_dir_fd=directory_fd)
    with suppress(OSError):
        # it is there now, and whoever asked for it must not hear that it is not
        os.utime(".", ns=(before.st_atime_ns, before.st_mtime_ns), dir_fd=directory_fd)
