"""What was read of an image: which files of its layers were opened, read and listed, written down at the end.

The form is JSON lines, one for each path, in the order of the first use:

    {"path": "/usr/bin/python3.11", "layer": "<chain id>", "kind": "file", "size": 6831736,
     "opened": 2, "read_bytes": 6831736, "listed": 0}

`kind` is file, directory or symlink; `layer` is the directory name of the layer in the store. `read_bytes` is what the
server gave to the kernel, which keeps it: less than what was asked for, more than what was looked at. What the
container wrote itself is not the image's, and not here; a file that was changed counts as read, for it was copied.
"""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

from storage.overlay.fuse.copy_up import CopyUp
from storage.overlay.fuse.nodes import Directory
from storage.overlay.fuse.operations import OverlayOperations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyfuse3 import FileHandleT, FileInfo, FileNameT, FlagT, InodeT, ReaddirToken, RequestContext

    from storage.overlay.fuse.copy_up import Emptied
    from storage.overlay.fuse.nodes import Layer, LowerDirectory, Node


class _Use:
    __slots__ = ("kind", "layer", "listed", "opened", "path", "read_bytes", "size")

    def __init__(self, path: bytes, layer: str, node: Node) -> None:
        self.path = path
        self.layer = layer
        mode = node.entry.st_mode
        self.kind = "directory" if stat.S_ISDIR(mode) else "symlink" if stat.S_ISLNK(mode) else "file"
        self.size = node.entry.st_size
        self.opened = self.read_bytes = self.listed = 0


class Trace:
    """The record. `layers` names each layer by its root's descriptor."""

    def __init__(self, path: str, layers: Mapping[int, str]) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self._layers = layers
        self._uses: dict[int, _Use] = {}

    def use(self, node: Node) -> _Use | None:
        """What is recorded of the node; None for what is not of a layer."""
        found = self._uses.get(node.number)
        if found is None:
            lower = _lower(node)
            if lower is None:
                return None
            found = self._uses[node.number] = _Use(_path(node), self._name(lower.layer), node)
        return found

    def write(self) -> None:
        """Write it down and close the file."""
        with open(self._fd, "w", encoding="utf-8", errors="surrogateescape") as file:
            for use in self._uses.values():
                fields = {
                    name: getattr(use, name) for name in ("layer", "kind", "size", "opened", "read_bytes", "listed")
                }
                file.write(json.dumps({"path": os.fsdecode(use.path), **fields}) + "\n")

    def _name(self, layer: Layer) -> str:
        return self._layers.get(layer.root_fd, "")


class TracedOperations(OverlayOperations):
    """The handlers that record, reads by their bytes. `trace` is set before the first request."""

    trace: Trace
    gives_data = False  # what was asked for is what is recorded

    async def open(self, inode: InodeT, flags: FlagT, ctx: RequestContext) -> FileInfo:
        node = self.nodes.get(inode)
        use = self.trace.use(node) if node is not None and not node.upper else None
        answer = await super().open(inode, flags, ctx)
        if use is not None:
            use.opened += 1
        return answer

    async def read(self, fh: FileHandleT, off: int, size: int) -> bytes:
        node = self.handles[fh].node
        use = None if node.upper else self.trace.use(node)
        # no checkpoint from here on until it is sent
        data = await super().read(fh, off, size)
        if use is not None:
            use.read_bytes += len(data)
        return data

    async def readlink(self, inode: InodeT, ctx: RequestContext) -> FileNameT:
        text = await super().readlink(inode, ctx)
        node = self.nodes[inode]
        use = None if node.upper else self.trace.use(node)
        if use is not None:
            use.opened += 1
            use.read_bytes += len(text)
        return text

    async def readdir(self, fh: FileHandleT, start_id: int, token: ReaddirToken) -> None:
        await super().readdir(fh, start_id, token)
        if start_id == 0:
            use = self.trace.use(self.listings[fh].directory)
            if use is not None:
                use.listed += 1


class TracedCopyUp(CopyUp):
    """Records what is copied from a layer because it changes. `trace` is set before the first request."""

    trace: Trace

    async def _file(self, node: Node, emptied: Emptied | None) -> int:
        use = self.trace.use(node)
        fd = await super()._file(node, emptied)
        if use is not None and emptied is None:
            use.read_bytes += use.size
        return fd


def _lower(node: Node) -> LowerDirectory | None:
    if isinstance(node, Directory):
        return node.lowers[0] if node.lowers else None
    return node.lower


def _path(node: Node) -> bytes:
    names: list[bytes] = []
    above: Node | None = node
    while above is not None and above.parent is not None:
        names.append(above.name)
        above = above.parent
    return b"/" + b"/".join(reversed(names))
