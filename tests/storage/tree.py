"""What the tests of unpacking share: archives made by Python's tarfile, and a tree they go to."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from storage.layers.unpack import Limits, UnpackResult, unpack_layer
from storage.overlay.kernel import KernelDriver
from storage.owner_book import owner_book_beside
from storage.syscalls import MNT_DETACH, umount2
from storage.trees.tree import remove_tree
from tests.storage.namespace import call_in_namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storage.owner_book import TrueOwner


class Found(NamedTuple):
    """One entry of an unpacked tree."""

    kind: str
    mode: int
    uid: int
    gid: int
    content: bytes
    mtime_ns: int


class Archive:
    """Builds a tar in memory, member by member."""

    def __init__(self, format: int = tarfile.PAX_FORMAT) -> None:
        self._file = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._file, mode="w", format=format)

    def add(self, name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **fields: Any) -> Archive:
        """Add a member; fields are TarInfo's (mode, uid, linkname, pax_headers, …)."""
        info = tarfile.TarInfo(name)
        info.type, info.size, info.mtime = kind, len(data), 1_000_000_000
        info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
        for field, value in fields.items():
            setattr(info, field, value)
        self._tar.addfile(info, io.BytesIO(data))
        return self

    def file(self, name: str, data: bytes = b"", **fields: Any) -> Archive:
        return self.add(name, data=data, **fields)

    def directory(self, name: str, **fields: Any) -> Archive:
        return self.add(name, tarfile.DIRTYPE, **fields)

    def symlink(self, name: str, target: str, **fields: Any) -> Archive:
        return self.add(name, tarfile.SYMTYPE, linkname=target, **fields)

    def link(self, name: str, target: str, **fields: Any) -> Archive:
        return self.add(name, tarfile.LNKTYPE, linkname=target, **fields)

    def bytes(self) -> bytes:
        """The finished archive."""
        self._tar.close()
        return self._file.getvalue()


class Tree:
    """A directory with one `layerN` for each unpacked archive; whatever touches it runs in a mapped namespace."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.layers: list[str] = []

    def unpack(self, archive: bytes, limits: Limits | None = None, lower: bool = False) -> UnpackResult:
        """Unpack into a new layer; `lower` offers the layers before it for links."""
        path = f"{self.root}/layer{len(self.layers)}/diff"
        os.makedirs(path, 0o755)
        self.layers.append(path)
        return call_in_namespace(_unpack, archive, path, limits, self.layers[-2::-1] if lower else ())

    def owners(self, layer: int = -1) -> dict[bytes, TrueOwner]:
        """What a layer's book of owners has, by path."""
        with closing(owner_book_beside(self.layers[layer])) as book:
            return dict(book.entries())

    def found(self, layer: int = -1) -> dict[str, Found]:
        """Everything in a layer, by path."""
        return call_in_namespace(found_in, self.layers[layer])

    def merged(self, look: Callable[[str], Any] | None = None) -> Any:
        """What `look` (default: everything by path) finds in a real overlay mount of all layers."""
        return call_in_namespace(_look_merged, self.layers, self.root, look or found_in)

    def clear(self) -> None:
        """Remove it all; called in the namespace."""
        remove_tree(self.root)


def _unpack(archive: bytes, path: str, limits: Limits | None, lower: Sequence[str]) -> UnpackResult:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    lower_fds = [os.open(name, os.O_RDONLY | os.O_DIRECTORY) for name in lower]
    with closing(owner_book_beside(path)) as book:
        return unpack_layer(io.BytesIO(archive), fd, limits=limits, lower_roots=lower_fds, book=book)


def found_in(root: str) -> dict[str, Found]:
    """Everything below `root`, by path; the root itself as `.`."""
    found = {".": _found(root)}
    for directory, directories, files in os.walk(root):
        for name in directories + files:
            path = os.path.join(directory, name)
            found[os.path.relpath(path, root)] = _found(path)
    return found


def _found(path: str) -> Found:
    status = os.lstat(path)
    kind = stat.filemode(status.st_mode)[0]
    content = b""
    if kind == "-":
        with open(path, "rb") as file:
            content = file.read()
    elif kind == "l":
        content = os.fsencode(os.readlink(path))
    elif kind in "cb":
        content = b"%d:%d" % (os.major(status.st_rdev), os.minor(status.st_rdev))
    return Found(kind, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, content, status.st_mtime_ns)


def _look_merged(layers: Sequence[str], root: str, look: Callable[[str], Any]) -> Any:
    upper, target = f"{root}/upper", f"{root}/merged"
    os.makedirs(target, exist_ok=True)
    driver = KernelDriver()
    driver.prepare(upper)
    driver.mount_root(layers, upper, target)
    try:
        return look(target)
    finally:
        umount2(target, MNT_DETACH)
