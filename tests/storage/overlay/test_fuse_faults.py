"""Each system call of each change to the FUSE overlay fails in turn: what fails as a whole leaves nothing of itself, in
the server's memory and after a new mount alike, and what succeeds all the same is whole.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import tarfile
from contextlib import ExitStack, contextmanager, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from storage.trees.tree import remove_tree
from tests.storage.namespace import call_in_namespace
from tests.storage.overlay.fuse_mount import NEEDS
from tests.storage.tree import Archive, Tree

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from _pytest.mark.structures import ParameterSet

pytestmark = pytest.mark.requires(*NEEDS)

_CALLS = (
    "open", "mkdir", "mknod", "symlink", "link", "rename", "unlink", "rmdir", "chown", "fchown", "chmod", "fchmod",
    "utime", "setxattr", "removexattr", "getxattr", "listxattr", "stat", "fstat", "readlink", "ftruncate", "dup",
    "dup2", "pwrite", "pread", "scandir", "fsync",
)  # fmt: skip
_ALWAYS = (
    "create in a lower directory", "mkdir where a lower one is hidden", "symlink", "link of a lower file of two names",
    "unlink a lower file", "rename a lower directory to where one is hidden", "rename a lower file over another",
    "chown and chmod", "open to be emptied", "open while it is read",
)  # fmt: skip
_ROOT: Any = 1
_MOST_CALLS = 400


class _Overlay:
    """The handlers over `layers` and the upper directory at `place`, called without a mount."""

    def __init__(self, place: str, layers: Sequence[str], stack: ExitStack, **more: Any) -> None:
        from storage.overlay.fuse.config import OverlayConfig
        from storage.overlay.fuse.server import _prepare

        config = OverlayConfig(tuple(layers), f"{place}/upper", f"{place}/work", **more)
        self.handlers, _pump = _prepare(config, stack, 16, lambda: None)
        self.faults = _Faults(0, 0)
        self.context: Any = SimpleNamespace(uid=0, gid=0, pid=os.getpid(), umask=0o022)

    def inode(self, path: str) -> Any:
        node: Any = self.handlers.tree.root
        with self.faults.paused():
            for name in path.split("/") if path else ():
                node = self.handlers.tree.children(node)[name.encode()]
        node.lookups += 1
        return node.number

    def seen(self) -> dict[str, tuple[object, ...]]:
        """All there is to see, but for times."""
        found: dict[str, tuple[object, ...]] = {}
        self._see(self.handlers.tree.root, "", found)
        return found

    def _see(self, directory: Any, path: str, found: dict[str, tuple[object, ...]]) -> None:
        tree = self.handlers.tree
        for name, node in sorted(tree.children(directory).items()):
            tree.refresh(node)
            entry, below = node.entry, f"{path}{name.decode()}"
            content: object = None
            if stat.S_ISREG(entry.st_mode):
                fd = self.handlers.open_node(node, os.O_RDONLY)
                content = os.read(fd, 1 << 20)
                os.close(fd)
            elif stat.S_ISLNK(entry.st_mode):
                content = os.readlink(tree.path(node))
            node.xattrs = None
            xattrs = {
                key: os.getxattr(tree.path(node), key, follow_symlinks=False) for key in self.handlers.xattr_names(node)
            }
            found[below] = (oct(entry.st_mode), entry.st_uid, entry.st_gid, entry.st_rdev, content, xattrs)
            if stat.S_ISDIR(entry.st_mode):
                self._see(node, f"{below}/", found)


class _Faults:
    """Fails the call of this number that one of our modules makes; 0 fails none."""

    def __init__(self, number: int, code: int) -> None:
        self.number, self.code = number, code
        self.count = 0
        self.failed = ""
        self._is_paused = False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While the test itself looks."""
        self._is_paused = True
        yield
        self._is_paused = False

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any, **more: Any) -> Any:
            if not self._is_paused and str(sys._getframe(1).f_globals.get("__name__", "")).startswith("storage."):
                self.count += 1
                if self.count == self.number:
                    self.failed = name
                    raise OSError(self.code, f"injected into {name}")
            return call(*arguments, **more)

        return guarded

    @contextmanager
    def installed(self) -> Iterator[None]:
        import storage.syscalls

        kept = {name: getattr(os, name) for name in _CALLS}
        exchange = storage.syscalls._renameat2
        for name, call in kept.items():
            setattr(os, name, self._wrapped(name, call))
        storage.syscalls._renameat2 = self._wrapped("renameat2", exchange)
        try:
            yield
        finally:
            storage.syscalls._renameat2 = exchange
            for name, call in kept.items():
                setattr(os, name, call)


def _layers(tree: Tree) -> None:
    lower = Archive().directory("./").directory("d", mode=0o2775, gid=5).file("d/f", b"lower").file("hid", b"hidden")
    lower.file("f", b"lower f", mode=0o4755, uid=7).file("g", b"lower g").link("g2", "g").symlink("s", "f")
    lower.directory("empty").directory("hid-d").file("hid-d/x", b"x").directory("deep").directory("deep/er")
    lower.file("deep/er/f", b"deep", pax_headers={"SCHILY.xattr.user.note": "n"}).file("deep/top", b"t")
    tree.unpack(lower.add("pipe", tarfile.FIFOTYPE).bytes())
    tree.unpack(Archive().directory("./").file(".wh.hid").file(".wh.hid-d").file("deep/.wh.top").bytes())


async def _made_in_upper(overlay: _Overlay) -> None:
    handlers, context = overlay.handlers, overlay.context
    opened, _entry = await handlers.create(_ROOT, b"mine", 0o644, os.O_RDWR, context)
    number = opened.fh
    await handlers.write(number, 0, b"my own")
    await handlers.release(number)
    await handlers.mkdir(_ROOT, b"my-d", 0o755, context)
    await handlers.mkdir(_ROOT, b"full-d", 0o755, context)
    await handlers.symlink(overlay.inode("full-d"), b"x", b"y", context)
    # whiteouts in the upper directory
    await handlers.unlink(overlay.inode("deep/er"), b"f", context)
    await handlers.rmdir(_ROOT, b"empty", context)


def _attr(**values: int) -> tuple[Any, Any]:
    """A setattr request."""
    import pyfuse3

    attr = pyfuse3.EntryAttributes()
    names = ("mode", "uid", "gid", "size", "atime", "mtime")
    for name, value in values.items():
        setattr(attr, f"st_{name}_ns" if name.endswith("time") else f"st_{name}", value)
    return attr, SimpleNamespace(**{f"update_{name}": name in values for name in names}, update_ctime=False)


async def _create(overlay: _Overlay, directory: str, name: bytes, mode: int = 0o640) -> None:
    opened, _entry = await overlay.handlers.create(overlay.inode(directory), name, mode, os.O_RDWR, overlay.context)
    await overlay.handlers.release(opened.fh)


async def _open(overlay: _Overlay, path: str, flags: int) -> None:
    opened = await overlay.handlers.open(overlay.inode(path), flags, overlay.context)
    await overlay.handlers.release(opened.fh)


async def _write_while_read(overlay: _Overlay) -> None:
    """What reads the file must not stay with the lower one."""
    handlers = overlay.handlers
    number = (await handlers.open(overlay.inode("f"), os.O_RDONLY, overlay.context)).fh
    assert await handlers.read(number, 0, 100) == b"lower f"
    try:
        await _open(overlay, "f", os.O_WRONLY)
    finally:
        await handlers.release(number)


def _changes() -> dict[str, Callable[[_Overlay], Awaitable[object]]]:
    acl = bytes.fromhex("02000000" + "01000700ffffffff" + "02000700" + "e8030000" + "04000500ffffffff")
    acl += bytes.fromhex("10000700ffffffff" + "20000500ffffffff")

    def rename(old: str, new: str, flags: int = 0) -> Callable[[_Overlay], Awaitable[object]]:
        above = [path.rpartition("/")[0] for path in (old, new)]
        names = [os.path.basename(path).encode() for path in (old, new)]
        return lambda o: o.handlers.rename(o.inode(above[0]), names[0], o.inode(above[1]), names[1], flags, o.context)

    def setattr_(path: str, **values: int) -> Callable[[_Overlay], Awaitable[object]]:
        return lambda o: o.handlers.setattr(o.inode(path), *_attr(**values), None, o.context)

    return {
        "create": lambda o: _create(o, "", b"new"),
        "create where a lower file is hidden": lambda o: _create(o, "", b"hid"),
        "create where one was removed": lambda o: _create(o, "deep/er", b"f"),
        "create in a lower directory": lambda o: _create(o, "d", b"new", 0o2755),
        "mkdir": lambda o: o.handlers.mkdir(_ROOT, b"new", 0o755, o.context),
        "mkdir where a lower one is hidden": lambda o: o.handlers.mkdir(_ROOT, b"hid-d", 0o2755, o.context),
        "mkdir where one was removed": lambda o: o.handlers.mkdir(_ROOT, b"empty", 0o700, o.context),
        "mkdir in a lower directory": lambda o: o.handlers.mkdir(o.inode("d"), b"new", 0o755, o.context),
        "mknod": lambda o: o.handlers.mknod(o.inode("d"), b"new", stat.S_IFIFO | 0o644, 0, o.context),
        "mknod where one was removed": lambda o: o.handlers.mknod(_ROOT, b"empty", stat.S_IFIFO | 0o644, 0, o.context),
        "symlink": lambda o: o.handlers.symlink(o.inode("d"), b"new", b"target", o.context),
        "symlink where one is hidden": lambda o: o.handlers.symlink(_ROOT, b"hid", b"target", o.context),
        "link": lambda o: o.handlers.link(o.inode("mine"), o.inode("d"), b"new", o.context),
        "link of a lower file": lambda o: o.handlers.link(o.inode("f"), o.inode("deep/er"), b"f", o.context),
        "link of a lower file of two names": lambda o: o.handlers.link(o.inode("g"), _ROOT, b"new", o.context),
        "unlink": lambda o: o.handlers.unlink(_ROOT, b"mine", o.context),
        "unlink a lower file": lambda o: o.handlers.unlink(o.inode("d"), b"f", o.context),
        "unlink a lower symlink": lambda o: o.handlers.unlink(_ROOT, b"s", o.context),
        "rmdir": lambda o: o.handlers.rmdir(_ROOT, b"my-d", o.context),
        "rmdir one with whiteouts": lambda o: o.handlers.rmdir(o.inode("deep"), b"er", o.context),
        "rename": rename("mine", "d/new"),
        "rename a lower file": rename("f", "new"),
        "rename a lower file over another": rename("f", "g"),
        "rename a lower file to where one was removed": rename("f", "deep/er/f"),
        "rename over a lower file": rename("mine", "d/f"),
        "rename one of two names": rename("g2", "d/g2"),
        "rename a special file": rename("pipe", "d/pipe"),
        "rename a directory": rename("my-d", "d/my-d"),
        "rename a directory to where one was removed": rename("my-d", "empty"),
        "rename a lower directory": rename("deep", "d/deep"),
        "rename a lower directory to where one is hidden": rename("deep", "hid-d"),
        "rename a lower directory over an empty one": rename("d", "my-d"),
        "rename a directory over one with whiteouts": rename("full-d", "deep/er"),
        "exchange": rename("deep", "f", 2),
        "exchange with our own": rename("mine", "d", 2),
        "chown": setattr_("f", uid=3, gid=4),
        "chown and chmod": setattr_("f", uid=3, mode=0o4711),
        "chown and chmod our own": setattr_("mine", uid=3, gid=3, mode=0o600),
        "chmod a directory": setattr_("deep/er", mode=0o700),
        "set times": setattr_("g", atime=1, mtime=2),
        "truncate": setattr_("f", size=3),
        "open for writing": lambda o: _open(o, "f", os.O_WRONLY),
        "open to be emptied": lambda o: _open(o, "f", os.O_WRONLY | os.O_TRUNC),
        "open one of two names": lambda o: _open(o, "g2", os.O_RDWR),
        "open while it is read": _write_while_read,
        "set an attribute": lambda o: o.handlers.setxattr(o.inode("d/f"), b"user.x", b"v", o.context),
        "set an ACL": lambda o: o.handlers.setxattr(o.inode("f"), b"system.posix_acl_access", acl, o.context),
        "remove an attribute": lambda o: o.handlers.removexattr(o.inode("noted"), b"user.note", o.context),
    }


def _cases() -> Iterator[ParameterSet]:
    """All of them take minutes; those of each kind are tried each time."""
    for change in sorted(_changes()):
        for code in (errno.EIO, errno.EPERM):
            marks = [] if change in _ALWAYS and code == errno.EIO else [pytest.mark.long]
            yield pytest.param(change, code, id=f"{change}: {errno.errorcode[code]}", marks=marks)


@pytest.mark.parametrize(("change", "code"), list(_cases()))
def test_a_change_that_fails_at_any_call_is_undone(tree: Tree, change: str, code: int) -> None:
    _layers(tree)
    tree.unpack(Archive().file("noted", pax_headers={"SCHILY.xattr.user.note": "n"}).bytes())
    assert call_in_namespace(_try_each_call, tree.root, tree.layers, change, code) == []


def _try_each_call(root: str, layers: Sequence[str], change: str, code: int) -> list[str]:
    act = _changes()[change]
    before = _once(root, layers, None, _Faults(0, code))
    without = _Faults(0, code)
    after = _once(root, layers, act, without)
    wrong = []
    if after[0] or after[1] != after[2]:
        wrong.append(f"{change}: does not work: {after[0]}")
    assert 0 < without.count < _MOST_CALLS
    for number in range(1, without.count + 1):
        faults = _Faults(number, code)
        error, live, mounted = _once(root, layers, act, faults)
        wanted = before[2] if error else after[2]
        said = f"{change}, {faults.failed} as call {number}: {error or 'succeeds'}"
        wrong += [f"{said}; {_difference(wanted, live)} in memory"] if live != wanted else []
        wrong += [f"{said}; {_difference(wanted, mounted)} after a new mount"] if mounted != wanted else []
    return wrong


def _once(root: str, layers: Sequence[str], act: Callable[[Any], Awaitable[object]] | None, faults: _Faults) -> Any:
    """How the change ended, what is seen then, and what after a new mount."""
    import trio
    from pyfuse3 import FUSEError

    place = f"{root}/changing"
    remove_tree(place)
    for name in ("upper", "work"):
        os.makedirs(f"{place}/{name}")
    with ExitStack() as stack:
        trio.run(_made_in_upper, _Overlay(place, layers, stack))
    error = ""
    with ExitStack() as stack:
        overlay = _Overlay(place, layers, stack)
        overlay.faults = faults
        with faults.installed():
            try:
                if act is not None:
                    trio.run(act, overlay)
            except FUSEError as failed:
                error = errno.errorcode[failed.errno]
        live = overlay.seen()
        # what it has open it lets go
        for handle in overlay.handlers.handles.values():
            with suppress(OSError):
                os.close(handle.fd)
    with ExitStack() as stack:
        mounted = _Overlay(place, layers, stack).seen()
    return error, live, mounted


def _difference(wanted: dict[str, tuple[object, ...]], found: dict[str, tuple[object, ...]]) -> str:
    paths = [path for path in sorted(wanted.keys() | found.keys()) if wanted.get(path) != found.get(path)]
    return ", ".join(f"{path} is {found.get(path)}, not {wanted.get(path)}" for path in paths[:3])


def test_an_owner_without_a_number_leaves_nothing(tree: Tree) -> None:
    _layers(tree)
    assert call_in_namespace(_make_unmapped, tree.root, tree.layers) == []


def _make_unmapped(root: str, layers: Sequence[str]) -> list[str]:
    import trio
    from pyfuse3 import FUSEError

    from storage.overlay.fuse.owners import IdRange, Owners

    for name in ("upper", "work"):
        os.makedirs(f"{root}/changing/{name}")
    wrong = []
    with ExitStack() as stack:
        # kept on the disk as an id that the namespace has not
        ranges = (IdRange(0, 3_000_000_000, 10),)
        overlay = _Overlay(f"{root}/changing", layers, stack, owners=Owners(ranges, ranges))
        before = overlay.seen()
        for name in ("create", "mkdir", "mknod", "symlink", "mkdir where a lower one is hidden"):
            for _ in range(2):
                with pytest.raises(FUSEError) as failed:
                    trio.run(_changes()[name], overlay)
                if failed.value.errno != errno.EINVAL or overlay.seen() != before:
                    wrong.append(name)
    return wrong
