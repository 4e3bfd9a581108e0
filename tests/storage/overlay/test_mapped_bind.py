"""Host directories with mapped owners: what is seen, what is made, and that no link leads out."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import stat
import struct
import subprocess
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from storage.overlay.fuse.mapped.id_mapping import OVERFLOW, IdMapping
from tests.storage.namespace import call_in_namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.storage.tree import Tree

USER = IdMapping(1000, 1001)
SERVED = pytest.mark.requires("userns", "subids", "fuse", "pyfuse3")


def test_the_caller_is_the_user_and_others_are_themselves() -> None:
    assert (USER.shown_uid(0), USER.shown_gid(0), USER.shown_uid(33)) == (1000, 1001, 33)
    assert [USER.kept_uid(uid) for uid in (0, 1000, 33)] == [0, 0, 33]
    assert [USER.kept_gid(gid) for gid in (0, 1001, 1000)] == [0, 0, 1000]


def test_set_id_bits_of_nobody_are_not_shown() -> None:
    assert USER.shown_mode(0o106755, OVERFLOW, OVERFLOW) == 0o100755
    assert USER.shown_mode(0o106755, 5, 5) == 0o106755


def test_acls_go_through_the_map() -> None:
    acl = struct.pack("<IHHIHHIHHI", 2, 0x01, 7, 0xFFFFFFFF, 0x02, 6, 0, 0x08, 5, 0)
    shown = USER.shown_acl(acl)
    assert shown == struct.pack("<IHHIHHIHHI", 2, 0x01, 7, 0xFFFFFFFF, 0x02, 6, 1000, 0x08, 5, 1001)
    assert USER.kept_acl(shown) == acl
    assert USER.kept_acl(b"nonsense") == b"nonsense"


@contextmanager
def _mounted(source: str, target: str) -> Iterator[None]:
    from storage.overlay.fuse.mapped.id_mapping import MappedBind
    from storage.overlay.fuse.mapped.mapped_mount import mount_mapped_bind

    mount = mount_mapped_bind(MappedBind(source, USER), target)
    try:
        mount.wait_ready()
        yield
    finally:
        mount.unmount()


def _call(source: str, target: str, act: Callable[..., Any], *arguments: Any) -> Any:
    with _mounted(source, target):
        root = os.open("/", os.O_PATH | os.O_DIRECTORY)
        try:
            return act(*arguments)
        finally:
            # what has its root or its directory there would keep the mount busy
            os.fchdir(root)
            os.chroot(".")
            os.close(root)


class Place:
    """A source directory on the host, and where it is mounted; `inside` runs there as root of the namespace."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.source, self.target = f"{root}/source", f"{root}/target"
        os.mkdir(self.source)

    def inside(self, act: Callable[..., Any], *arguments: Any) -> Any:
        return call_in_namespace(_call, self.source, self.target, act, *arguments)


@pytest.fixture
def place(tree: Tree) -> Place:
    return Place(tree.root)


def _as_user(act: Callable[[], Any]) -> Any:
    os.setegid(USER.gid)
    os.seteuid(USER.uid)
    try:
        return act()
    finally:
        os.seteuid(0)
        os.setegid(0)


def _owner(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_uid, status.st_gid


@SERVED
def test_both_ways(place: Place) -> None:
    with open(f"{place.source}/mine", "w") as file:
        file.write("from the caller")
    os.chmod(f"{place.source}/mine", 0o600)

    def act() -> tuple[Any, ...]:
        os.chdir(place.target)
        shown = _owner("mine"), _owner(".")

        def work() -> str:
            with open("mine") as file:
                text = file.read()
            os.mkdir("made", 0o750)
            with open("made/file", "w") as file:
                file.write("from inside")
            os.symlink("mine", "link")
            os.link("mine", "again")
            os.mkfifo("made/fifo")
            os.rename("again", "made/renamed")
            return text

        text = _as_user(work)
        with open("by-root", "w"):
            pass
        return (*shown, text, _owner("made/file"), _owner("link"), _owner("by-root"))

    user = (USER.uid, USER.gid)
    assert place.inside(act) == (user, user, "from the caller", user, user, user)
    ours = os.getuid(), os.getgid()
    for name in ("made", "made/file", "made/fifo", "link", "made/renamed", "by-root"):
        assert _owner(f"{place.source}/{name}") == ours, name
    assert stat.S_IMODE(os.stat(f"{place.source}/made").st_mode) == 0o750
    assert os.readlink(f"{place.source}/link") == "mine"
    assert os.stat(f"{place.source}/mine").st_nlink == 2


@SERVED
def test_other_owners_modes_and_times(place: Place) -> None:
    def act() -> tuple[Any, ...]:
        path = f"{place.target}/file"
        with open(path, "w"):
            pass
        os.truncate(path, 100)
        os.chown(path, 33, 34)
        os.chmod(path, 0o4711)
        os.utime(path, ns=(1_000_000_001, 2_000_000_002))
        status = os.stat(path)
        os.chown(path, 0, 0)
        return status.st_uid, status.st_gid, status.st_mode & 0o7777, status.st_atime_ns, status.st_size, _owner(path)

    assert place.inside(act) == (33, 34, 0o4711, 1_000_000_001, 100, (USER.uid, USER.gid))
    assert _owner(f"{place.source}/file") == (os.getuid(), os.getgid())


@SERVED
def test_permissions_are_those_of_the_user(place: Place) -> None:
    os.mkdir(f"{place.source}/closed", 0o700)

    def act() -> tuple[str, str]:
        # the directories above are closed to other users
        os.chdir(place.target)

        def stranger() -> str:
            os.setegid(77)
            os.seteuid(77)
            try:
                os.listdir("closed")
            except PermissionError:
                return "refused"
            finally:
                os.seteuid(0)
                os.setegid(0)
            return "let in"

        return stranger(), _as_user(lambda: str(os.listdir("closed")))

    os.chmod(place.source, 0o755)
    assert place.inside(act) == ("refused", "[]")


@SERVED
def test_acls_umask_and_group_directories(place: Place) -> None:
    def act() -> tuple[int, bool, int, int]:
        path = f"{place.target}/file"
        os.umask(0o027)
        with open(path, "w"):
            pass
        mode = os.stat(path).st_mode & 0o777
        acl = struct.pack(
            "<I" + "HHI" * 5,
            2,
            1,
            6,
            0xFFFFFFFF,
            2,
            6,
            USER.uid,
            4,
            4,
            0xFFFFFFFF,
            16,
            6,
            0xFFFFFFFF,
            32,
            0,
            0xFFFFFFFF,
        )
        os.setxattr(path, "system.posix_acl_access", acl)
        os.mkdir(f"{place.target}/handed", 0o700)
        os.setxattr(f"{place.target}/handed", "system.posix_acl_default", acl)
        with open(f"{place.target}/handed/child", "w"):
            pass
        os.mkdir(f"{place.target}/grouped")
        os.chown(f"{place.target}/grouped", -1, 55)
        os.chmod(f"{place.target}/grouped", 0o2775)
        with open(f"{place.target}/grouped/child", "w"):
            pass
        return (
            mode,
            os.getxattr(path, "system.posix_acl_access") == acl,
            os.stat(f"{place.target}/handed/child").st_mode & 0o777,
            os.stat(f"{place.target}/grouped/child").st_gid,
        )

    assert place.inside(act) == (0o640, True, 0o660, 55)
    if shown := subprocess.run(["getfacl", "-nc", f"{place.source}/file"], capture_output=True, text=True).stdout:
        assert f"user:{os.getuid()}:rw-" in shown


@SERVED
def test_mmap_inotify_and_open_files_without_a_name(place: Place) -> None:
    libc = ctypes.CDLL(None)

    def act() -> tuple[bytes, bytes, bool]:
        path = f"{place.target}/mapped"
        watch = libc.inotify_init1(os.O_NONBLOCK)
        libc.inotify_add_watch(watch, os.fsencode(place.target), 0x100)
        with open(path, "w+b") as file:
            file.truncate(8192)
            with mmap.mmap(file.fileno(), 8192) as view:
                view[4096:4101] = b"seen!"
            os.unlink(path)
            file.seek(4096)
            return file.read(5), b"mapped" if b"mapped" in os.read(watch, 4096) else b"", os.path.exists(path)

    assert place.inside(act) == (b"seen!", b"mapped", False)


@SERVED
def test_what_the_host_changes_shows_at_once(place: Place) -> None:
    path = f"{place.source}/file"

    def act() -> list[str]:
        seen = []
        for text in ("one", "second", "3"):
            with open(path, "w") as file:
                file.write(text)
            with open(f"{place.target}/file") as file:
                seen.append(file.read())
        os.unlink(path)
        return [*seen, *os.listdir(place.target)]

    assert place.inside(act) == ["one", "second", "3"]


@SERVED
def test_no_link_leads_the_server_out(place: Place) -> None:
    outside = f"{place.root}/outside"
    os.mkdir(outside)
    with open(f"{outside}/marker", "w") as file:
        file.write("untouched")
    os.symlink(outside, f"{place.source}/escape")
    os.symlink(f"{outside}/marker", f"{place.source}/file")

    def act() -> tuple[str, list[str]]:
        os.mkdir(f"{place.target}/swapped")
        directory_fd = os.open(f"{place.target}/swapped", os.O_RDONLY | os.O_DIRECTORY)
        # on the host, behind the server's back
        os.rename(f"{place.source}/swapped", f"{place.source}/moved")
        os.symlink(outside, f"{place.source}/swapped")
        os.close(os.open("made", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=directory_fd))
        os.close(directory_fd)
        # a link is followed by the kernel, in the container's tree: here that is the test's own
        os.chroot(place.target)
        found = []
        for path in ("/escape/marker", "/file", "/swapped/marker", "/escape/../../outside/marker"):
            try:
                with open(path):
                    found.append(path)
            except FileNotFoundError:
                continue
        return os.readlink("/escape"), found

    assert place.inside(act) == (outside, [])
    assert os.listdir(f"{place.source}/moved") == ["made"]
    assert os.listdir(outside) == ["marker"]


@SERVED
def test_processes_are_not_shown(place: Place) -> None:
    """Through /proc/PID/mem a container would be the server."""

    def act() -> list[str]:
        from storage.syscalls import MS_BIND, MS_REC, mount

        os.mkdir(f"{place.source}/proc")
        mount("/proc", f"{place.source}/proc", None, MS_BIND | MS_REC, None)
        with _mounted(place.source, f"{place.root}/other"):
            return [name for name in os.listdir(f"{place.root}/other") if name != "target"]

    assert call_in_namespace(act) == []


@SERVED
def test_a_single_file(place: Place) -> None:
    path = f"{place.root}/only"
    with open(path, "w") as file:
        file.write("hello")

    def act() -> tuple[str, tuple[int, int]]:
        with _mounted(path, f"{place.root}/file-target"):
            with open(f"{place.root}/file-target", "r+") as file:
                text = file.read()
                file.write(" back")
            return text, _owner(f"{place.root}/file-target")

    assert call_in_namespace(act) == ("hello", (USER.uid, USER.gid))
    with open(path) as file:
        assert file.read() == "hello back"


@SERVED
def test_a_missing_source_is_a_clear_error(place: Place) -> None:
    from storage.errors import StorageError

    with pytest.raises(StorageError, match=r"cannot mount .*/none with mapped owners"):
        call_in_namespace(_call, f"{place.root}/none", f"{place.root}/other", os.getuid)


def test_restrictions_of_the_source_hold(tmp_path: Path) -> None:
    from storage.overlay.fuse.mapped import mapped_mount

    assert mapped_mount._KEPT_FLAGS == os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC


@pytest.mark.requires("userns", "subids", "pyfuse3")
def test_what_cannot_be_given_to_its_owner_is_not_left(tree: Tree) -> None:
    assert call_in_namespace(_make_for_nobody, tree.root) == []


def _make_for_nobody(source: str) -> list[str]:
    import trio
    from pyfuse3 import ROOT_INODE, FUSEError

    from storage.overlay.fuse.mapped.id_mapping import MappedBind
    from storage.overlay.fuse.mapped.mapped_bind import _MappedOperations

    handlers = _MappedOperations(MappedBind(source, USER))
    nobody: Any = SimpleNamespace(uid=3_000_000_000, gid=3_000_000_000, umask=0, pid=1)
    makes: tuple[Callable[[], Any], ...] = (
        lambda: handlers.create(ROOT_INODE, b"f", 0o644, os.O_RDWR, nobody),
        lambda: handlers.mkdir(ROOT_INODE, b"f", 0o755, nobody),
        lambda: handlers.mknod(ROOT_INODE, b"f", stat.S_IFIFO | 0o644, 0, nobody),
        lambda: handlers.symlink(ROOT_INODE, b"f", b"target", nobody),
    )
    for make in makes * 2:
        with pytest.raises(FUSEError) as failed:
            trio.run(make)
        assert failed.value.errno == errno.EINVAL
    return os.listdir(source)


@pytest.mark.requires("userns", "subids", "pyfuse3")
def test_owner_and_mode_are_set_both_or_neither(tree: Tree) -> None:
    assert call_in_namespace(_set_half, tree.root) == (0o104755, 0, 0)


def _set_half(source: str) -> tuple[int, int, int]:
    import pyfuse3
    import trio

    from storage.overlay.fuse.mapped.id_mapping import MappedBind
    from storage.overlay.fuse.mapped.mapped_bind import _MappedOperations

    with open(f"{source}/f", "w"):
        os.chmod(f"{source}/f", 0o4755)
    handlers = _MappedOperations(MappedBind(source, USER))
    context: Any = SimpleNamespace(uid=0, gid=0, umask=0, pid=1)
    attr = pyfuse3.EntryAttributes()
    attr.st_mode, attr.st_uid, attr.st_gid = 0o600, 5, 6
    fields: Any = SimpleNamespace(
        update_size=False, update_mode=True, update_uid=True, update_gid=True, update_atime=False, update_mtime=False
    )
    chmod = os.chmod

    def refused(path: Any, mode: int) -> None:
        if mode == 0o600:
            raise PermissionError(errno.EPERM, "refused")
        chmod(path, mode)

    async def change() -> None:
        entry = await handlers.lookup(pyfuse3.ROOT_INODE, b"f", context)
        await handlers.setattr(entry.st_ino, attr, fields, None, context)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "chmod", refused)
        with pytest.raises(pyfuse3.FUSEError):
            trio.run(change)
    status = os.stat(f"{source}/f")
    return status.st_mode, status.st_uid, status.st_gid
