"""Copy-up: what is to change is first brought from its lower layer to the upper directory.

A copy is made in the work directory, and renamed into place when it is whole and on the disk: a crash leaves the lower
file or the copy. Large data is copied in a thread, while the tree may change; everything that looks at the tree comes
after it, without awaiting. A file with several names gets them all in the upper directory, so that it stays one file.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import trio

from storage.overlay.fuse.nodes import Directory, Node
from storage.overlay.fuse.numbers import store_number
from storage.overlay.fuse.tree import make_opaque_at, move_unseen
from storage.trees.copy_tree import copy_data, copy_metadata
from storage.whiteouts import FORGEABLE_PREFIXES, entry_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storage.overlay.fuse.serving.request_loop import RequestLoop
    from storage.overlay.fuse.tree import Tree
    from storage.overlay.fuse.work import Work

    #: settles what a copy without its data is to be, by its descriptor
    Emptied = Callable[[int], object]

_AT_ONCE = 8
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class CopyUp:
    """Does it for one tree; `durable` says whether copies are written to the disk before they are used."""

    def __init__(self, tree: Tree, loop: RequestLoop, *, durable: bool) -> None:
        self._tree = tree
        self._pump = loop
        self._durable = durable
        self._busy: dict[Node, trio.Event] = {}

    async def node(self, node: Node, *, emptied: Emptied | None = None) -> int:
        """Bring the node to the upper directory; with `emptied` a file without its data, for it is to be truncated.

        That is called with the copy before it takes the file's place, and then a descriptor of the copy is returned,
        for the caller to close; else -1.
        """
        while not node.upper:
            busy = self._busy.get(node)
            if busy is not None:
                await self._pump.until(busy)
            elif isinstance(node, Directory):
                self._tree.upper_fd(node)
            elif stat.S_ISREG(node.entry.st_mode):
                fd = await self._file(node, emptied)
                if fd >= 0:
                    return fd
            else:
                self._special(node)
        return -1

    async def whole(self, node: Node) -> None:
        """Bring the node and all below it to the upper directory, and have nothing of lower layers show through.

        The tree looks the same after each step: directories first get all that is visible in them, then become opaque.
        """
        if not isinstance(node, Directory):
            await self.node(node)
            return
        while lower := self._lower_nodes(node):
            await self._all(lower)
        self._detach(node)

    async def _all(self, nodes: list[Node]) -> None:
        """Copy up several at a time: each waits for the disk, which takes several at once as well as one."""
        waiting = iter(nodes)
        failures: list[OSError] = []

        async def work() -> None:
            for node in waiting:
                if failures:
                    return
                try:
                    if node.is_linked():
                        await self.node(node)
                except OSError as error:
                    failures.append(error)

        with self._pump.waiting():
            async with trio.open_nursery() as nursery:
                for _ in range(_AT_ONCE):
                    nursery.start_soon(work)
        if failures:
            raise failures[0]

    def _lower_nodes(self, directory: Directory) -> list[Node]:
        """What in and below the directory is not in the upper one."""
        found: list[Node] = []
        waiting: list[Node] = [directory]
        while waiting:
            node = waiting.pop()
            if not node.upper:
                found.append(node)
            if isinstance(node, Directory):
                waiting.extend(self._tree.children(node).values())
        return found

    def _detach(self, directory: Directory) -> None:
        """Make opaque, from below, what is all in the upper directory."""
        order = [directory]
        for above in order:
            order.extend(child for child in self._tree.children(above).values() if isinstance(child, Directory))
        for below in reversed(order):
            if not below.lowers:
                continue
            fd = self._tree.descriptors.upper(below)
            before = os.fstat(fd)
            make_opaque_at(fd)
            # from here on only whiteouts that are left are in the way of anything
            children = self._tree.children(below).keys()
            left = below.under = self._tree.under(below) - children
            below.lowers = ()
            below.stale = True
            for name in tuple(left):
                os.unlink(name, dir_fd=fd)
                left.discard(name)
            with suppress(OSError):
                os.utime(".", ns=(before.st_atime_ns, before.st_mtime_ns), dir_fd=fd)

    async def _file(self, node: Node, emptied: Emptied | None) -> int:
        work = self._writable()
        if node.links is not None:
            # all its names must be known before it can keep them
            self._tree.read_all()
        directory_fd, name = self._tree.place(node)
        source_fd = os.open(name, _READ, dir_fd=directory_fd)
        try:
            with work.aside() as made:
                target_fd = work.create(made)
                try:
                    if emptied is None and os.fstat(source_fd).st_size:
                        await self._data(node, source_fd, target_fd)
                    copy_metadata(source_fd, target_fd)
                    store_number(target_fd, node.number)
                    if emptied is not None:
                        emptied(target_fd)
                    with _reopened(node, target_fd) as reopen:
                        kept = os.dup(target_fd) if emptied is not None else -1
                        try:
                            self._install(node, made)
                        except BaseException:
                            if kept >= 0:
                                os.close(kept)
                            raise
                        reopen()
                    return kept
                finally:
                    os.close(target_fd)
        finally:
            os.close(source_fd)

    async def _data(self, node: Node, source_fd: int, target_fd: int) -> None:
        event = self._busy[node] = trio.Event()
        try:
            await self._pump.blocking(self._copy, source_fd, target_fd)
        finally:
            del self._busy[node]
            event.set()

    def _copy(self, source_fd: int, target_fd: int) -> None:
        # in a thread: touches the two descriptors and nothing else
        copy_data(source_fd, target_fd)
        if self._durable:
            os.fsync(target_fd)

    def _special(self, node: Node) -> None:
        """A symlink, device, fifo or socket."""
        work = self._writable()
        if node.links is not None:
            self._tree.read_all()
        directory_fd, name = self._tree.place(node)
        status = os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
        with work.aside() as made:
            if stat.S_ISLNK(status.st_mode):
                os.symlink(os.readlink(name, dir_fd=directory_fd), made, dir_fd=work.fd)
            else:
                os.mknod(made, status.st_mode, status.st_rdev, dir_fd=work.fd)
            target = entry_path(work.fd, made)
            os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
            if not stat.S_ISLNK(status.st_mode):
                os.chmod(target, stat.S_IMODE(status.st_mode))
            _copy_xattrs(entry_path(directory_fd, name), target)
            store_number(target, node.number)
            os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)
            self._install(node, made)

    def _install(self, node: Node, made: bytes) -> None:
        """Give what was made aside the node's names; one that lost its last name meanwhile gets none."""
        work = self._writable()
        names = list(node.links) if node.links is not None else []
        if not names and node.parent is not None:
            names = [(node.parent, node.name)]
        for directory, name in names[1:]:
            target_fd = self._tree.upper_fd(directory)
            with work.aside() as linked:
                os.link(made, linked, src_dir_fd=work.fd, dst_dir_fd=work.fd, follow_symlinks=False)
                move_unseen(work.fd, linked, target_fd, name)
        if names:
            directory, name = names[0]
            move_unseen(work.fd, made, self._tree.upper_fd(directory), name)
            node.parent, node.name = directory, name
        node.upper, node.lower = True, None
        node.stale = node.parent is not None

    def _writable(self) -> Work:
        if self._tree.work is None:
            raise OSError(30, os.strerror(30))
        return self._tree.work


@contextmanager
def _reopened(node: Node, target_fd: int) -> Iterator[Callable[[], None]]:
    """What has those who read the lower file go on with the copy; it cannot fail, for all is opened before."""
    handles = list(node.handles or ())
    fds: list[int] = []

    def reopen() -> None:
        while handles:
            handle, fd = handles.pop(), fds.pop()
            if handle.fd < 0:
                handle.fd = fd
            else:
                os.dup2(fd, handle.fd, inheritable=False)
                os.close(fd)

    try:
        for _ in handles:
            fds.append(os.open(b"/proc/self/fd/%d" % target_fd, os.O_RDONLY | os.O_CLOEXEC))
        yield reopen
    finally:
        for fd in fds:
            os.close(fd)


def _copy_xattrs(source: bytes, target: bytes) -> None:
    for name in os.listxattr(source, follow_symlinks=False):
        if not name.startswith(FORGEABLE_PREFIXES):
            os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
