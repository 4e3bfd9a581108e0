"""The FUSE overlay: what a container sees of its layers and of its own changes."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from storage.syscalls import MNT_DETACH, RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT, renameat2, umount2
from storage.whiteouts import make_opaque
from tests.storage.namespace import call_in_namespace
from tests.storage.overlay.fuse_mount import NEEDS, in_overlay, mounted
from tests.storage.tree import Archive, Tree, found_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.requires(*NEEDS)


def _layers(tree: Tree) -> None:
    lower = Archive().directory("./").directory("d").file("d/a", b"lower a").file("d/b", b"lower b").link("d/c", "d/a")
    lower.directory("d/sub").file("d/sub/deep", b"deep").directory("o").file("o/hidden").file("gone").file("f", b"file")
    tree.unpack(lower.symlink("s", "d/a").file("suid", b"#!", mode=0o4755, uid=7).bytes())
    upper = Archive().directory("./").directory("d").file("d/top", b"top").file(".wh.gone").directory("o")
    tree.unpack(upper.file("o/.wh..wh..opq").file("o/new", b"new").bytes())


def _contents(root: str) -> dict[str, bytes]:
    return {path: entry.content for path, entry in found_in(root).items() if entry.kind != "d"}


def _failure(act: Callable[..., Any], *args: Any, **more: Any) -> str:
    try:
        act(*args, **more)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "none"


MERGED = {
    "d/a": b"lower a",
    "d/b": b"lower b",
    "d/c": b"lower a",
    "d/sub/deep": b"deep",
    "d/top": b"top",
    "o/new": b"new",
    "f": b"file",
    "s": b"d/a",
    "suid": b"#!",
}


def test_layers_merge(tree: Tree) -> None:
    _layers(tree)
    assert in_overlay(tree.root, tree.layers, _contents) == MERGED


def test_whiteouts_in_three_forms(tree: Tree) -> None:
    tree.unpack(Archive().file("device").file("name").file("xattr").file("kept").directory("o").file("o/x").bytes())
    tree.unpack(Archive().bytes())
    call_in_namespace(_hide, tree.layers[1])
    assert in_overlay(tree.root, tree.layers, _names) == {".", "kept", "o"}


def _names(root: str) -> set[str]:
    return set(found_in(root))


def _hide(layer: str) -> None:
    os.mknod(f"{layer}/device", stat.S_IFCHR, 0)
    for name in (".wh.name", "xattr", "o/.wh..wh..opq"):
        os.makedirs(os.path.dirname(f"{layer}/{name}"), exist_ok=True)
        os.close(os.open(f"{layer}/{name}", os.O_CREAT))
    os.setxattr(f"{layer}/xattr", "user.overlay.whiteout", b"y")
    os.setxattr(layer, "user.overlay.opaque", b"x")


def _change(root: str) -> None:
    with open(f"{root}/d/b", "ab") as file:
        file.write(b" and more")
    os.unlink(f"{root}/d/top")
    os.rename(f"{root}/d/sub", f"{root}/moved")
    os.mkdir(f"{root}/d/sub")
    os.rename(f"{root}/o", f"{root}/o2")
    os.unlink(f"{root}/f")
    os.mkdir(f"{root}/f")
    os.link(f"{root}/d/a", f"{root}/linked")


CHANGED = {
    "d/a": b"lower a",
    "d/b": b"lower b and more",
    "d/c": b"lower a",
    "linked": b"lower a",
    "moved/deep": b"deep",
    "o2/new": b"new",
    "s": b"d/a",
    "suid": b"#!",
}


def test_changes_last_and_layers_stay(tree: Tree) -> None:
    _layers(tree)
    before = [tree.found(0), tree.found(1)]
    in_overlay(tree.root, tree.layers, _change)
    assert in_overlay(tree.root, tree.layers, _contents) == CHANGED
    assert [tree.found(0), tree.found(1)] == before


@pytest.mark.requires("overlay")
def test_the_kernels_overlay_reads_what_was_changed(tree: Tree) -> None:
    _layers(tree)
    in_overlay(tree.root, tree.layers, _change)
    assert call_in_namespace(_in_kernel_overlay, tree.layers, tree.root, _contents) == CHANGED


@pytest.mark.requires("overlay")
def test_what_the_kernels_overlay_changed_is_read(tree: Tree) -> None:
    _layers(tree)
    call_in_namespace(_in_kernel_overlay, tree.layers, tree.root, _change_without_directories)
    found = in_overlay(tree.root, tree.layers, _contents)
    assert found["d/b"] == b"changed"
    assert set(found) == (set(MERGED) - {"f", "o/new"}) | {"o/x"}


def _change_without_directories(root: str) -> None:
    with open(f"{root}/d/b", "wb") as file:
        file.write(b"changed")
    os.unlink(f"{root}/f")
    os.unlink(f"{root}/o/new")
    os.rmdir(f"{root}/o")
    os.mkdir(f"{root}/o")
    os.close(os.open(f"{root}/o/x", os.O_CREAT))


def _in_kernel_overlay(layers: Sequence[str], place: str, act: Callable[[str], Any]) -> Any:
    from storage.overlay.kernel import mount_overlay

    for name in ("fuse-upper", "fuse-work", "kernel"):
        os.makedirs(f"{place}/{name}", exist_ok=True)
    mount_overlay(layers[::-1], f"{place}/fuse-upper", f"{place}/fuse-work", f"{place}/kernel")
    try:
        return act(f"{place}/kernel")
    finally:
        umount2(f"{place}/kernel", MNT_DETACH)


def test_a_linked_file_stays_one_file(tree: Tree) -> None:
    _layers(tree)
    before = in_overlay(tree.root, tree.layers, _write_linked)
    after = in_overlay(tree.root, tree.layers, _look_at_links)
    assert before == after
    assert len({number for number, _, _ in after}) == 1
    assert after[0][1:] == (2, b"through c")


def _look_at_links(root: str) -> list[tuple[int, int, bytes]]:
    found = []
    for name in ("a", "c"):
        status = os.stat(f"{root}/d/{name}")
        with open(f"{root}/d/{name}", "rb") as file:
            found.append((status.st_ino, status.st_nlink, file.read()))
    return found


def _write_linked(root: str) -> list[tuple[int, int, bytes]]:
    before = os.stat(f"{root}/d/a")
    with open(f"{root}/d/c", "wb") as file:
        file.write(b"through c")
    assert os.stat(f"{root}/d/a").st_ino == before.st_ino
    return _look_at_links(root)


@pytest.mark.parametrize("layer", ["lower", "upper"])
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR, os.O_PATH], ids=["read", "written", "path"])
def test_a_file_loses_one_name_before_the_other_is_known(tree: Tree, layer: str, flags: int) -> None:
    archive = Archive().directory("./").directory("d").directory("e")
    tree.unpack((archive.file("d/x", b"hello").link("e/y", "d/x") if layer == "lower" else archive).bytes())
    if layer == "upper":
        in_overlay(tree.root, tree.layers, _link_in_two)
    in_overlay(tree.root, tree.layers, _lose_a_name, flags)


def _link_in_two(root: str) -> None:
    with open(f"{root}/d/x", "wb") as file:
        file.write(b"hello")
    os.link(f"{root}/d/x", f"{root}/e/y")


def _lose_a_name(root: str, flags: int) -> None:
    fd = os.open(f"{root}/d/x", flags)
    os.unlink(f"{root}/d/x")
    assert os.fstat(fd).st_nlink == 1
    if flags == os.O_RDWR:
        os.write(fd, b"HE")
    with open(f"{root}/e/y", "r+b") as file:
        assert file.read() == (b"HEllo" if flags == os.O_RDWR else b"hello")
        file.write(b" more")
    os.chmod(f"{root}/e/y", 0o600)
    os.link(f"{root}/e/y", f"{root}/d/z")
    kept, named = os.fstat(fd), os.stat(f"{root}/e/y")
    assert (kept.st_ino, kept.st_nlink, kept.st_size, kept.st_mode) == (named.st_ino, 2, 10, 0o100600)
    if flags != os.O_PATH:
        assert os.pread(fd, 100, 5) == b" more"
    os.close(fd)


def test_names_of_a_symlink_come_and_go(tree: Tree) -> None:
    tree.unpack(Archive().directory("./").bytes())
    call_in_namespace(_relink, tree.root, tree.layers)


def _relink(place: str, layers: Sequence[str]) -> None:
    with mounted(place, layers) as found:
        os.symlink("nowhere", f"{found.root}/0")
        before = len(os.listdir(f"/proc/{found.server}/fd"))
        for number in range(20):
            os.link(f"{found.root}/{number}", f"{found.root}/{number + 1}", follow_symlinks=False)
            os.unlink(f"{found.root}/{number}")
            os.symlink("nowhere", f"{found.root}/same")
            os.link(f"{found.root}/same", f"{found.root}/{number}-", follow_symlinks=False)
            os.unlink(f"{found.root}/same")
        assert len(os.listdir(f"/proc/{found.server}/fd")) == before


def test_inode_numbers_stay(tree: Tree) -> None:
    _layers(tree)
    first = in_overlay(tree.root, tree.layers, _numbers)
    changed = in_overlay(tree.root, tree.layers, _touch_all)
    assert in_overlay(tree.root, tree.layers, _numbers) == changed
    # a symlink can have no xattr that keeps its number, and is not copied up by this
    assert first == changed


def _numbers(root: str) -> dict[str, int]:
    assert len({os.lstat(os.path.join(root, path)).st_dev for path in found_in(root)}) == 1
    return {path: os.lstat(os.path.join(root, path)).st_ino for path in found_in(root)}


def _touch_all(root: str) -> dict[str, int]:
    for path, entry in found_in(root).items():
        if entry.kind != "l":
            os.chmod(f"{root}/{path}", 0o755)
    return _numbers(root)


def test_renames(tree: Tree) -> None:
    _layers(tree)
    in_overlay(tree.root, tree.layers, _rename)


def _rename(root: str) -> None:
    def rename(old: str, new: str, flags: int = 0) -> None:
        renameat2(-100, f"{root}/{old}", -100, f"{root}/{new}", flags)

    assert _failure(rename, "d", "o", RENAME_NOREPLACE) == "EEXIST"
    assert _failure(rename, "d", "none", RENAME_EXCHANGE) == "ENOENT"
    assert _failure(rename, "d", "o") == "ENOTEMPTY"
    assert _failure(rename, "f", "e", RENAME_WHITEOUT) == "EINVAL"
    rename("d", "f", RENAME_EXCHANGE)
    assert sorted(os.listdir(f"{root}/f")) == ["a", "b", "c", "sub", "top"]
    assert os.stat(f"{root}/d").st_size == 4
    rename("f", "d2", RENAME_NOREPLACE)
    assert _failure(os.stat, f"{root}/f") == "ENOENT"
    # a directory over one that is empty but for whiteouts
    os.unlink(f"{root}/o/new")
    rename("d2", "o")
    assert sorted(os.listdir(f"{root}/o")) == ["a", "b", "c", "sub", "top"]
    assert _failure(rename, "o", "o/sub/x") == "EINVAL"


def test_open_files_outlive_their_names(tree: Tree) -> None:
    _layers(tree)
    in_overlay(tree.root, tree.layers, _unlink_open)


def _unlink_open(root: str) -> None:
    reader = os.open(f"{root}/d/b", os.O_RDONLY)
    writer = os.open(f"{root}/new", os.O_RDWR | os.O_CREAT)
    os.write(writer, b"new")
    again = os.open(f"{root}/new", os.O_RDONLY)
    directory = os.open(f"{root}/o", os.O_RDONLY)
    for name in ("d/b", "new", "o/new"):
        os.unlink(f"{root}/{name}")
    os.rmdir(f"{root}/o")
    assert os.read(reader, 100) == b"lower b"
    os.write(writer, b"er")
    assert os.pread(again, 100, 0) == b"newer"
    assert os.fstat(again).st_nlink == 0
    os.fchmod(again, 0o600)
    assert stat.S_IMODE(os.fstat(writer).st_mode) == 0o600
    os.fchmod(directory, 0o711)
    assert stat.S_IMODE(os.fstat(directory).st_mode) == 0o711
    assert os.listdir(directory) == []
    assert _failure(os.mkdir, "x", dir_fd=directory) == "ENOENT"


def test_who_has_a_lower_file_open_sees_what_is_written(tree: Tree) -> None:
    tree.unpack(Archive().file("big", b"x" * (3 << 20)).bytes())
    in_overlay(tree.root, tree.layers, _write_behind)


def _write_behind(root: str) -> None:
    reader = os.open(f"{root}/big", os.O_RDONLY)
    assert os.pread(reader, 4, 0) == b"xxxx"
    writer = os.open(f"{root}/big", os.O_WRONLY)
    os.pwrite(writer, b"new", 2 << 20)
    os.fsync(writer)
    os.posix_fadvise(reader, 0, 0, os.POSIX_FADV_DONTNEED)
    assert os.pread(reader, 4, 2 << 20) == b"newx"
    appender = os.open(f"{root}/big", os.O_WRONLY | os.O_APPEND)
    os.write(appender, b"end")
    assert os.fstat(reader).st_size == (3 << 20) + 3
    os.close(os.open(f"{root}/big", os.O_WRONLY | os.O_TRUNC))
    assert os.fstat(reader).st_size == 0


def test_bookkeeping_xattrs_are_not_there(tree: Tree) -> None:
    tree.unpack(Archive().directory("d").file("f").bytes())
    call_in_namespace(_forge, tree.layers[0])
    in_overlay(tree.root, tree.layers, _look_at_xattrs)
    in_overlay(tree.root, tree.layers, _look_at_xattrs)


def _forge(layer: str) -> None:
    fd = os.open(f"{layer}/d", os.O_RDONLY)
    make_opaque(fd)
    os.close(fd)
    os.setxattr(f"{layer}/f", "user.overlay.sandbox.number", b"5")
    os.setxattr(f"{layer}/f", "user.own", b"value")


def _look_at_xattrs(root: str) -> None:
    assert os.listxattr(f"{root}/d") == []
    assert os.listxattr(f"{root}/f") == ["user.own"]
    assert os.stat(f"{root}/f").st_ino != 5
    for name in ("user.overlay.opaque", "user.overlay.sandbox.number", "user.fuseoverlayfs.x"):
        assert _failure(os.getxattr, f"{root}/f", name) == "ENODATA"
        assert _failure(os.setxattr, f"{root}/f", name, b"y") == "EPERM"
    # copied up, with what is its own
    os.chmod(f"{root}/f", 0o600)
    assert os.getxattr(f"{root}/f", "user.own") == b"value"
    assert os.listxattr(f"{root}/f") == ["user.own"]
    assert _failure(os.setxattr, f"{root}/f", "user.own", b"y", os.XATTR_CREATE) == "EEXIST"
    assert _failure(os.setxattr, f"{root}/f", "user.none", b"y", os.XATTR_REPLACE) == "ENODATA"


def test_names_that_would_be_whiteouts_are_refused(tree: Tree) -> None:
    tree.unpack(Archive().file("f").bytes())
    in_overlay(tree.root, tree.layers, _make_whiteouts)


def _make_whiteouts(root: str) -> None:
    assert _failure(os.mknod, f"{root}/f2", stat.S_IFCHR, 0) == "EPERM"
    assert _failure(os.mkdir, f"{root}/.wh.f") == "EINVAL"
    assert _failure(os.rename, f"{root}/f", f"{root}/.wh.f") == "EINVAL"
    assert os.listdir(root) == ["f"]


def test_what_the_kernels_overlay_lets_a_container_make_hides_and_breaks_nothing(tree: Tree) -> None:
    tree.unpack(
        Archive().directory("./").directory("d").file("d/f", b"f").file("d/notes", b"n").file("g", b"g").bytes()
    )
    seen = call_in_namespace(_over_forged_names, tree.root, tree.layers)
    assert seen == {"d/f": b"f", "d/notes": b"n", "g": b"g", "d/.wh.notes": b"mine", "d/.wh.f/x": b"x"}


def _over_forged_names(place: str, layers: Sequence[str]) -> dict[str, bytes]:
    os.makedirs(f"{place}/fuse-upper/d/.wh.f")
    for name, data in ((".wh.notes", b"mine"), (".wh.f/x", b"x"), (".wh..wh.plnk", b""), (".wh.", b""), (".wh..", b"")):
        with open(f"{place}/fuse-upper/d/{name}", "wb") as file:
            file.write(data)
    with mounted(place, layers) as found:
        return _contents(found.root)


@pytest.mark.parametrize("value", [b"", b"0", b"1", b"-5", b"0x10", b"1_0", b" 7", b"z", b"f" * 16, b"4" * 100, b"\0"])
def test_a_forged_number_is_passed_over(tree: Tree, value: bytes) -> None:
    tree.unpack(Archive().directory("./").file("g", b"g").bytes())
    assert call_in_namespace(_with_forged_number, tree.root, tree.layers, value)


def _with_forged_number(place: str, layers: Sequence[str], value: bytes) -> bool:
    os.makedirs(f"{place}/fuse-upper")
    with open(f"{place}/fuse-upper/f", "wb"):
        os.setxattr(f"{place}/fuse-upper/f", "user.overlay.sandbox.number", value)
        number = os.stat(f"{place}/fuse-upper/f").st_ino
    with mounted(place, layers) as found:
        return os.stat(f"{found.root}/f").st_ino == number and sorted(os.listdir(found.root)) == ["f", "g"]
