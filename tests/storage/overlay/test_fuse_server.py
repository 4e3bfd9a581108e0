"""The FUSE overlay's server: crashes, limits, what it answers where pyfuse3 has no handler, and its index."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import resource
import signal
import stat
from typing import TYPE_CHECKING, Any

import pytest

from storage.syscalls import MNT_DETACH, umount2
from tests.storage.namespace import call_in_namespace
from tests.storage.overlay.fuse_mount import NEEDS, in_overlay, mounted
from tests.storage.tree import Archive, Tree, found_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.requires(*NEEDS)


def _failure(act: Callable[..., Any], *args: Any, **more: Any) -> str:
    try:
        act(*args, **more)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "none"


def test_what_the_kernel_answers_without_a_handler(tree: Tree) -> None:
    tree.unpack(Archive().file("f", b"data" * 3000).bytes())
    in_overlay(tree.root, tree.layers, _fall_back)


def _fall_back(root: str) -> None:
    assert _failure(os.open, root, os.O_TMPFILE | os.O_RDWR) == "ENOTSUP"
    fd = os.open(f"{root}/f", os.O_RDWR)
    # glibc's posix_fallocate(3) writes where fallocate(2) is EOPNOTSUPP
    os.posix_fallocate(fd, 0, 20000)
    assert os.fstat(fd).st_size == 20000
    os.ftruncate(fd, 12000)
    assert os.lseek(fd, 0, os.SEEK_DATA) == 0
    assert os.lseek(fd, 5, os.SEEK_HOLE) == 12000
    assert _failure(os.lseek, fd, 12000, os.SEEK_DATA) == "ENXIO"
    copy = os.open(f"{root}/copy", os.O_RDWR | os.O_CREAT)
    assert os.copy_file_range(fd, copy, 12000, 0) == 12000
    assert os.pread(copy, 20000, 0) == b"data" * 3000
    assert _failure(fcntl.ioctl, fd, 0x40049409, copy) in ("ENOTSUP", "ENOTTY", "EINVAL")


def test_maps_and_locks(tree: Tree) -> None:
    tree.unpack(Archive().file("f", b"x" * 9000).bytes())
    in_overlay(tree.root, tree.layers, _map_and_lock)


def _map_and_lock(root: str) -> None:
    fd = os.open(f"{root}/f", os.O_RDWR)
    with mmap.mmap(fd, 9000) as shared, mmap.mmap(fd, 9000, access=mmap.ACCESS_COPY) as private:
        private[0:4] = b"priv"
        shared[8000:8004] = b"shar"
        shared.flush()
        assert os.pread(fd, 4, 8000) == b"shar"
        assert os.pread(fd, 4, 0) == b"xxxx"
    other = os.open(f"{root}/f", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert _failure(fcntl.flock, other, fcntl.LOCK_SH | fcntl.LOCK_NB) == "EAGAIN"
    fcntl.lockf(fd, fcntl.LOCK_EX, 10)
    child = os.fork()
    if child == 0:
        os._exit(_failure(fcntl.lockf, fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10) != "EAGAIN")
    assert os.waitpid(child, 0)[1] == 0


def test_a_directory_may_change_while_it_is_read(tree: Tree) -> None:
    archive = Archive()
    for number in range(1000):
        archive.file(f"d/{number}")
    tree.unpack(archive.bytes())
    in_overlay(tree.root, tree.layers, _change_while_reading)


def _change_while_reading(root: str) -> None:
    seen: list[str] = []
    gone: list[str] = []
    with os.scandir(f"{root}/d") as entries:
        for entry in entries:
            seen.append(entry.name)
            if len(seen) == 5:
                gone = [str(number) for number in range(1000) if str(number) not in seen][::3]
                for name in gone:
                    os.unlink(f"{root}/d/{name}")
                os.close(os.open(f"{root}/d/new", os.O_CREAT))
    stays = {str(number) for number in range(1000)} - set(gone)
    assert len(seen) == len(set(seen))
    assert stays <= set(seen)
    assert set(os.listdir(f"{root}/d")) == stays | {"new"}


def test_long_names_and_deep_paths(tree: Tree) -> None:
    tree.unpack(Archive().file("n" * 255, b"long").bytes())
    in_overlay(tree.root, tree.layers, _go_deep)
    in_overlay(tree.root, tree.layers, _look_deep)


def _go_deep(root: str) -> None:
    assert _failure(os.mkdir, f"{root}/{'n' * 256}") == "ENAMETOOLONG"
    with open(f"{root}/{'n' * 255}", "ab") as file:
        file.write(b"er")
    fd = os.open(root, os.O_RDONLY)
    for _ in range(600):
        os.mkdir("directory", dir_fd=fd)
        below = os.open("directory", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("bottom", os.O_CREAT, dir_fd=fd))


def _look_deep(root: str) -> None:
    fd = os.open(root, os.O_RDONLY)
    for _ in range(600):
        below = os.open("directory", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    assert os.listdir(fd) == ["bottom"]


def test_sparse_files_stay_sparse(tree: Tree) -> None:
    tree.unpack(Archive().bytes())
    call_in_namespace(_make_sparse, tree.layers[0])
    in_overlay(tree.root, tree.layers, _append_to_sparse)


def _make_sparse(layer: str) -> None:
    with open(f"{layer}/sparse", "wb") as file:
        file.truncate(5 << 30)
        file.seek(1 << 30)
        file.write(b"island")


def _append_to_sparse(root: str) -> None:
    with open(f"{root}/sparse", "ab") as file:
        file.write(b"end")
    status = os.stat(f"{root}/sparse")
    assert status.st_size == (5 << 30) + 3
    assert status.st_blocks < 1000
    with open(f"{root}/sparse", "rb") as file:
        file.seek(1 << 30)
        assert file.read(6) == b"island"


def test_owners_and_modes_of_what_is_made(tree: Tree) -> None:
    tree.unpack(Archive().directory("open", mode=0o777).directory("group", mode=0o2777, gid=9).bytes())
    in_overlay(tree.root, tree.layers, _as_another)


def _as_another(root: str) -> None:
    assert _as_user(root, _make_things) == 0
    _check_owners(root)


def _as_user(root: str, act: Callable[[], int]) -> int:
    """The exit status of a process of uid 4 and gid 5 that calls `act` in the overlay."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 99
    try:
        # what is above belongs to root alone
        os.chdir(root)
        os.setgroups([])
        os.setresgid(5, 5, 5)
        os.setresuid(4, 4, 4)
        os.umask(0o022)
        status = act()
    finally:
        os._exit(status)


def _make_things() -> int:
    os.mkdir("group/d")
    os.symlink("x", "group/s")
    os.mkfifo("open/p", 0o666)
    os.close(os.open("open/f", os.O_CREAT | os.O_WRONLY, 0o4777))
    denied = _failure(os.mkdir, "no"), _failure(os.chown, "open/f", 0, 0)
    return int(denied != ("EACCES", "EPERM"))


def _check_owners(root: str) -> None:
    made = {name: os.lstat(f"{root}/{name}") for name in ("group/d", "group/s", "open/p", "open/f")}
    assert {(status.st_uid, status.st_gid) for status in made.values()} == {(4, 9), (4, 5)}
    assert (made["group/d"].st_gid, made["group/s"].st_gid) == (9, 9)
    assert oct(made["group/d"].st_mode) == oct(stat.S_IFDIR | 0o2755)
    assert oct(made["open/f"].st_mode) == oct(stat.S_IFREG | 0o4755)
    assert oct(made["open/p"].st_mode) == oct(stat.S_IFIFO | 0o644)


def test_what_is_set_on_an_open_file_is_what_the_file_has(tree: Tree) -> None:
    """As an archiver does it: written, then given owner, mode and times, then closed."""
    tree.unpack(Archive().file("below", b"x", mode=0o755).bytes())
    call_in_namespace(_set_while_open, tree.root, tree.layers)


def _set_while_open(place: str, layers: Sequence[str]) -> None:
    with mounted(place, layers) as overlay:
        for name in ("new", "below"):
            path = f"{overlay.root}/{name}"
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            os.write(fd, b"x" * 100_000)
            os.fchown(fd, 4, 5)
            os.fchmod(fd, 0o640)
            os.utime(fd, ns=(10**18, 2 * 10**18))
            within = os.fstat(fd)
            assert _settings(within) == (4, 5, 0o100640, 10**18, 2 * 10**18, 100_000)
            os.fchmod(fd, 0o6751)
            os.fchown(fd, 6, -1)
            assert oct(os.fstat(fd).st_mode) == oct(os.stat(f"{overlay.upper}/{name}").st_mode) == "0o100751"
            os.fchmod(fd, 0o604)
            os.close(fd)
            assert _settings(os.stat(path)) == (6, 5, 0o100604, 10**18, 2 * 10**18, 100_000)
            assert os.stat(path).st_blocks == os.stat(f"{overlay.upper}/{name}").st_blocks > 0
            assert _settings(os.stat(f"{overlay.upper}/{name}")) == _settings(os.stat(path))


def _settings(status: os.stat_result) -> tuple[int, int, int, int, int, int]:
    return status.st_uid, status.st_gid, status.st_mode, status.st_atime_ns, status.st_mtime_ns, status.st_size


def test_what_was_written_has_the_same_times_after_a_new_mount(tree: Tree) -> None:
    tree.unpack(Archive().directory("./").file("below", b"data").bytes())
    written = in_overlay(tree.root, tree.layers, _write_many)
    assert in_overlay(tree.root, tree.layers, _mtimes) == written


def _write_many(root: str) -> dict[str, int]:
    # most of them within one tick of the kernel's clock, and the times that the kernel has are not sent then
    for number in range(30):
        with open(f"{root}/{number}", "wb") as file:
            file.write(b"x" * 100)
        with open(f"{root}/{number}-", "wb") as file:
            file.write(b"once")
            file.flush()
            os.fsync(file.fileno())
            file.write(b"twice")
        with open(f"{root}/{number}-", "wb") as file:
            file.write(b"again")
    with open(f"{root}/below", "ab") as file:
        file.write(b"more")
    return _mtimes(root)


def _mtimes(root: str) -> dict[str, int]:
    times = {name: os.stat(f"{root}/{name}").st_mtime_ns for name in os.listdir(root)}
    # what is released is told in the order of requests
    assert not os.path.exists(f"{root}/none")
    return times


def test_writing_takes_the_set_id_bits(tree: Tree) -> None:
    tree.unpack(
        Archive().file("a", b"x", mode=0o6777).file("b", b"x", mode=0o6777).file("c", b"x", mode=0o6777).bytes()
    )
    in_overlay(tree.root, tree.layers, _write_as_another)


def _write_as_another(root: str) -> None:
    assert _as_user(root, _write_three) == 0
    assert [oct(os.stat(f"{root}/{name}").st_mode & 0o7777) for name in "abc"] == ["0o777"] * 3


def _write_three() -> int:
    fd = os.open("a", os.O_WRONLY)
    os.write(fd, b"y")
    os.close(os.open("b", os.O_WRONLY | os.O_TRUNC))
    os.truncate("c", 0)
    return 0


def _acl(*entries: tuple[int, int, int]) -> bytes:
    """A POSIX ACL's xattr: version 2, then tag, permissions and id of each entry, acl(5)."""
    return b"".join((b"\2\0\0\0", *(b"%c\0%c\0" % entry[:2] + entry[2].to_bytes(4, "little") for entry in entries)))


_NOBODY = 0xFFFFFFFF
ACL = _acl((1, 7, _NOBODY), (2, 6, 12), (4, 5, _NOBODY), (16, 7, _NOBODY), (32, 0, _NOBODY))


def test_access_control_lists(tree: Tree) -> None:
    tree.unpack(Archive().file("f", b"x", mode=0o640).directory("d").file("d/hidden").bytes())
    in_overlay(tree.root, tree.layers, _use_acls)
    in_overlay(tree.root, tree.layers, _acls_are_there)


def _use_acls(root: str) -> None:
    os.setxattr(f"{root}/f", "system.posix_acl_access", ACL)
    assert oct(os.stat(f"{root}/f").st_mode & 0o777) == "0o770"
    os.setxattr(f"{root}/d", "system.posix_acl_default", ACL)
    os.unlink(f"{root}/d/hidden")
    for name in ("d/new", "d/hidden"):
        os.close(os.open(f"{root}/{name}", os.O_CREAT | os.O_WRONLY, 0o666))
    os.mkdir(f"{root}/d/sub")


def _acls_are_there(root: str) -> None:
    assert os.getxattr(f"{root}/f", "system.posix_acl_access") == ACL
    for name in ("d/new", "d/hidden"):
        assert b"\2\0\6\0\x0c\0\0\0" in os.getxattr(f"{root}/{name}", "system.posix_acl_access"), name
    assert os.getxattr(f"{root}/d/sub", "system.posix_acl_default") == ACL


def test_a_killed_server_leaves_the_old_file_or_the_new_one(tree: Tree) -> None:
    tree.unpack(Archive().file("big", b"x" * (96 << 20)).bytes())
    call_in_namespace(_kill_in_copy_up, tree.root, tree.layers)


def _kill_in_copy_up(place: str, layers: Sequence[str]) -> None:
    with mounted(place, layers) as overlay:
        child = os.fork()
        if child == 0:
            try:
                os.open(f"{overlay.root}/big", os.O_WRONLY)
            finally:
                os._exit(0)
        while not os.listdir(f"{overlay.work}/work") and not os.listdir(overlay.upper):
            pass
        overlay.kill_server()
        os.waitpid(child, 0)
        assert _failure(os.stat, f"{overlay.root}/other") == "ENOTCONN"
    with mounted(place, layers) as overlay:
        assert os.listdir(f"{overlay.work}/work") == []
        assert os.stat(f"{overlay.root}/big").st_size == 96 << 20


SIZES = (0, 1, 4095, 4096, 4097, 100_000, 1 << 17)


def test_a_small_file_is_given_to_the_kernel_when_it_is_opened(tree: Tree) -> None:
    archive = Archive()
    for size in (*SIZES, (1 << 17) + 1):
        archive.file(f"f{size}", _data(size))
    tree.unpack(archive.bytes())
    call_in_namespace(_read_without_server, tree.root, tree.layers)


def _data(size: int) -> bytes:
    return (b"%09d\n" % size * (size // 10 + 1))[:size]


def _read_without_server(place: str, layers: Sequence[str]) -> None:
    with mounted(place, layers) as overlay:
        fds = {size: os.open(f"{overlay.root}/f{size}", os.O_RDONLY) for size in (*SIZES, (1 << 17) + 1)}
        assert os.read(os.open(f"{overlay.root}/f4097", os.O_RDONLY), 4098) == _data(4097)
        overlay.kill_server()
        for size in SIZES:
            assert os.read(fds[size], size + 1) == _data(size), size
        # a large one is asked for when it is read
        assert _failure(os.read, fds[(1 << 17) + 1], 10) == "ENOTCONN"


def test_a_file_is_not_given_while_somebody_reads_it(tree: Tree) -> None:
    tree.unpack(Archive().file("f", _data(5000)).bytes())
    call_in_namespace(_drop_and_open, tree.root, tree.layers)


def _drop_and_open(place: str, layers: Sequence[str]) -> None:
    with mounted(place, layers) as overlay:
        first = os.open(f"{overlay.root}/f", os.O_RDONLY)
        os.posix_fadvise(first, 0, 0, os.POSIX_FADV_DONTNEED)
        second = os.open(f"{overlay.root}/f", os.O_RDONLY)
        assert os.pread(second, 6000, 0) == _data(5000)
        os.posix_fadvise(first, 0, 0, os.POSIX_FADV_DONTNEED)
        third = os.open(f"{overlay.root}/f", os.O_RDONLY)
        overlay.kill_server()
        assert _failure(os.read, third, 10) == "ENOTCONN"


def test_the_server_ends_with_its_mount(tree: Tree) -> None:
    tree.unpack(Archive().file("f").bytes())
    call_in_namespace(_unmount, tree.root, tree.layers)


def _unmount(place: str, layers: Sequence[str]) -> None:
    with mounted(place, layers) as overlay:
        os.listdir(overlay.root)
        umount2(overlay.root, 0)
        assert os.waitpid(overlay.server, 0)[1] == 0
        # the context manager takes off what is mounted
        from storage.syscalls import MS_BIND, mount

        mount(place, overlay.root, None, MS_BIND, None)


def test_the_server_ends_on_sigterm_while_it_sleeps_for_requests(tree: Tree) -> None:
    tree.unpack(Archive().file("f").bytes())
    for _ in range(10):
        call_in_namespace(_terminate, tree.root, tree.layers)


def _terminate(place: str, layers: Sequence[str]) -> None:
    with mounted(place, layers) as overlay:
        # it is about to sleep, or asleep, in read(2)
        os.listdir(overlay.root)
        os.kill(overlay.server, signal.SIGTERM)
        assert os.waitpid(overlay.server, 0)[1] == 0


def test_two_servers_do_not_share_an_upper_directory(tree: Tree) -> None:
    tree.unpack(Archive().file("f").bytes())
    call_in_namespace(_mount_twice, tree.root, tree.layers)


def _mount_twice(place: str, layers: Sequence[str]) -> None:
    from storage.errors import StorageError
    from storage.overlay.fuse.work import Work

    with mounted(place, layers) as overlay:
        fd = os.open(overlay.work, os.O_RDONLY)
        with pytest.raises(StorageError, match="in use"):
            Work(fd)


def _few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def test_few_descriptors_are_enough(tree: Tree) -> None:
    archive = Archive()
    for number in range(200):
        archive.file(f"d{number}/e/f", b"%d" % number)
    tree.unpack(archive.bytes())
    call_in_namespace(_with_few_descriptors, tree.root, tree.layers)


def _with_few_descriptors(place: str, layers: Sequence[str]) -> None:
    with mounted(place, layers, _few_descriptors) as overlay:
        for number in range(200):
            with open(f"{overlay.root}/d{number}/e/f", "r+b") as file:
                assert file.read() == b"%d" % number
                file.write(b"!")
        opened = []
        while (failure := _failure(lambda: opened.append(os.open(f"{overlay.root}/d1/e/f", os.O_RDWR)))) == "none":
            pass
        assert failure == "EMFILE"
        for fd in opened:
            os.close(fd)
        # the host's side of it stays well
        assert len(os.listdir(overlay.root)) == 200
        os.close(os.open(f"{overlay.root}/new", os.O_CREAT | os.O_RDWR))


def _indexed(tree: Tree) -> dict[str, Any]:
    return {"indexes": tuple(f"{tree.root}/index{number}" for number in range(len(tree.layers)))}


def test_an_index_says_the_same_as_the_layers(tree: Tree) -> None:
    lower = Archive().directory("d", mode=0o700, uid=3).file("d/a", b"a", gid=8).link("d/b", "d/a").file("d/gone")
    tree.unpack(lower.symlink("s", "d").file("only/below/x", b"x").directory("o").file("o/hidden").bytes())
    tree.unpack(Archive().file("d/.wh.gone").file("d/c").directory("o").file("o/.wh..wh..opq").file("o/n").bytes())
    plain = in_overlay(tree.root, tree.layers, _all)
    for _ in range(2):
        assert in_overlay(tree.root, tree.layers, _all, **_indexed(tree)) == plain
    in_overlay(tree.root, tree.layers, _rename_below, **_indexed(tree))
    assert set(in_overlay(tree.root, tree.layers, _all, **_indexed(tree))) == (
        set(plain) - {"only/below", "only/below/x", "d/a"} | {"below", "below/x"}
    )


def _all(root: str) -> dict[str, Any]:
    return {
        path: (entry, os.lstat(f"{root}/{path}").st_ino, os.lstat(f"{root}/{path}").st_nlink)
        for path, entry in found_in(root).items()
    }


def _rename_below(root: str) -> None:
    os.rename(f"{root}/only/below", f"{root}/below")
    os.unlink(f"{root}/d/a")


def test_a_damaged_index_is_made_anew(tree: Tree) -> None:
    tree.unpack(Archive().file("a").file("d/b").bytes())
    path = _indexed(tree)["indexes"][0]
    names = in_overlay(tree.root, tree.layers, _all, **_indexed(tree))
    whole = call_in_namespace(_read, path)
    for damaged in (b"", whole[:40], b"x" * len(whole), whole + b"more", whole[: len(whole) // 2]):
        call_in_namespace(_write, path, damaged)
        assert in_overlay(tree.root, tree.layers, _all, **_indexed(tree)) == names
        # but for the times of access
        assert len(call_in_namespace(_read, path)) == len(whole)


def test_an_index_of_other_content_is_made_anew(tree: Tree) -> None:
    tree.unpack(Archive().file("a").bytes())
    assert set(in_overlay(tree.root, tree.layers, _all, **_indexed(tree))) == {".", "a"}
    call_in_namespace(_write, f"{tree.layers[0]}/b", b"by a repair")
    assert set(in_overlay(tree.root, tree.layers, _all, **_indexed(tree))) == {".", "a", "b"}


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def test_an_entry_of_an_index_takes_few_bytes(tree: Tree) -> None:
    archive = Archive()
    for number in range(2000):
        archive.file(f"usr/share/directory{number // 20}/a-file-of-usual-length-{number}.txt")
    tree.unpack(archive.bytes())
    in_overlay(tree.root, tree.layers, os.listdir, **_indexed(tree))
    assert os.stat(_indexed(tree)["indexes"][0]).st_size < 2100 * 150


def test_a_mount_that_is_only_read(tree: Tree) -> None:
    tree.unpack(Archive().file("f", b"x").bytes())
    call_in_namespace(_read_only, tree.root, tree.layers)


def _read_only(place: str, layers: Sequence[str]) -> None:
    from storage.overlay.fuse.command import main

    target = f"{place}/merged"
    os.makedirs(target)
    assert main(["-o", f"lowerdir={layers[0]}", target]) == 0
    try:
        assert os.listdir(target) == ["f"]
        assert _failure(os.mkdir, f"{target}/d") == "EROFS"
        assert _failure(os.open, f"{target}/f", os.O_WRONLY) == "EROFS"
    finally:
        umount2(target, MNT_DETACH)
