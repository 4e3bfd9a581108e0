"""Every driver gives the same root file system; one suite for all."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from storage.driver_choice import choose_driver, probe_kernel_overlay
from storage.drivers import DRIVER_NAMES, driver_named
from storage.errors import StorageError
from storage.overlay import kernel
from storage.overlay.fuse.driver import probe_fuse_overlay
from storage.overlay.fuse.serving import server_process
from tests.storage.namespace import call_in_namespace
from tests.storage.tree import Archive, Tree, found_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storage.overlay.driver import RootMount

DRIVERS = [
    pytest.param(name, marks=pytest.mark.requires("fuse", "pyfuse3") if name == "fuse" else ()) for name in DRIVER_NAMES
]


def _mounted(name: str, layers: Sequence[str], place: str, act: Callable[[str], Any]) -> Any:
    driver = driver_named(name)
    target = f"{place}/merged"
    os.makedirs(target, exist_ok=True)
    driver.prepare(f"{place}/storage")
    mounted = driver.mount_root(layers, f"{place}/storage", target)
    try:
        mounted.wait_ready()
        return act(target)
    finally:
        mounted.unmount()


def _two_layers(tree: Tree) -> None:
    lower = Archive().directory("./", mode=0o751, uid=2).directory("d").file("d/gone", b"1").file("d/kept", b"2", uid=7)
    tree.unpack(lower.link("d/linked", "d/kept").directory("o").file("o/hidden").file("f", b"file").bytes())
    upper = Archive().directory("./", mode=0o711, uid=3).directory("d", mode=0o700).file("d/.wh.gone")
    upper.directory("o").file("o/.wh..wh..opq").file("o/new", b"n").directory("f").file("f/inside", b"i")
    tree.unpack(upper.symlink("s", "/d/kept").file("caps", b"x", mode=0o4755, uid=5).bytes())


@pytest.mark.parametrize("name", DRIVERS)
def test_layers_merge(tree: Tree, name: str) -> None:
    _two_layers(tree)
    found = call_in_namespace(_mounted, name, tree.layers, tree.root, found_in)
    files = {path: entry.content for path, entry in found.items() if entry.kind != "d"}
    assert files == {
        "caps": b"x",
        "d/kept": b"2",
        "d/linked": b"2",
        "f/inside": b"i",
        "o/new": b"n",
        "s": b"/d/kept",
    }
    assert (found["."].mode, found["."].uid, found["d"].mode) == (0o711, 3, 0o700)
    assert (found["d/kept"].uid, found["caps"].mode, found["caps"].uid) == (7, 0o4755, 5)


@pytest.mark.parametrize("name", DRIVERS)
def test_changes_last_and_layers_stay(tree: Tree, name: str) -> None:
    _two_layers(tree)
    before = [tree.found(0), tree.found(1)]
    call_in_namespace(_mounted, name, tree.layers, tree.root, _change)
    found = call_in_namespace(_mounted, name, tree.layers, tree.root, found_in)
    assert found["d/kept"].content == b"changed"
    assert found["d/linked"].content == b"2"
    assert "caps" not in found
    assert "fresh" in found
    assert [tree.found(0), tree.found(1)] == before


def _change(root: str) -> None:
    os.unlink(f"{root}/d/kept")
    with open(f"{root}/d/kept", "wb") as file:
        file.write(b"changed")
    os.unlink(f"{root}/caps")
    os.mkdir(f"{root}/fresh")


@pytest.mark.parametrize("name", DRIVERS)
def test_an_image_without_layers_is_an_empty_root(tree: Tree, name: str) -> None:
    found = call_in_namespace(_mounted, name, [], tree.root, found_in)
    assert set(found) == {"."}
    assert found["."].mode == 0o755


@pytest.mark.parametrize("name", DRIVERS)
def test_remove_leaves_nothing(tree: Tree, name: str) -> None:
    _two_layers(tree)
    call_in_namespace(_mounted, name, tree.layers, tree.root, _change)
    call_in_namespace(driver_named(name).remove, f"{tree.root}/storage")
    call_in_namespace(driver_named(name).remove, f"{tree.root}/storage")
    assert os.listdir(f"{tree.root}/storage") == []


@pytest.mark.parametrize("name", DRIVERS)
def test_unmounting_says_nothing_where_all_is_written(tree: Tree, name: str) -> None:
    _two_layers(tree)
    assert call_in_namespace(_unmount_after, name, tree.layers, tree.root, _write_only) == ("", "")


@pytest.mark.requires("fuse", "pyfuse3")
@pytest.mark.parametrize("name", ["_kill_server", "_hold_a_file"])
def test_unmounting_says_why_something_may_be_missing(tree: Tree, name: str) -> None:
    _two_layers(tree)
    said = call_in_namespace(_unmount_after, "fuse", tree.layers, tree.root, globals()[name])
    assert said == ("it was killed by signal 9 (Killed)", "")


def _unmount_after(
    name: str, layers: Sequence[str], place: str, act: Callable[[RootMount, ExitStack], None]
) -> tuple[str, str]:
    """What unmounting says, the first time and the second."""
    driver = driver_named(name)
    os.makedirs(f"{place}/merged", exist_ok=True)
    driver.prepare(f"{place}/storage")
    mounted = driver.mount_root(layers, f"{place}/storage", f"{place}/merged")
    mounted.wait_ready()
    with ExitStack() as stack:
        act(mounted, stack)
        return mounted.unmount(), mounted.unmount()


def _write_only(mounted: RootMount, _stack: ExitStack) -> None:
    with open(f"{mounted.target}/written", "wb") as file:
        file.write(b"w")


def _kill_server(mounted: RootMount, _stack: ExitStack) -> None:
    mounted.kill()


def _hold_a_file(mounted: RootMount, stack: ExitStack) -> None:
    server_process._IDLE_LOOKS = 1  # this is a child made for the one call
    stack.callback(os.close, os.open(f"{mounted.target}/held", os.O_WRONLY | os.O_CREAT))


@pytest.mark.requires("pyfuse3")
def test_preloading_makes_no_thread() -> None:
    # a process with a second one cannot make a user namespace
    script = (
        "import os, sys\n"
        "from storage.drivers import driver_named\n"
        "server = 'storage.overlay.fuse.server'\n"
        "assert server not in sys.modules\n"
        "driver_named('fuse').preload()\n"
        "assert server in sys.modules\n"
        "assert len(os.listdir('/proc/self/task')) == 1\n"
    )
    # an interpreter of its own: this one may have imported all of it for other tests
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _many_layers(tree: Tree, count: int) -> None:
    for number in range(count):
        path = f"{tree.root}/{number:064d},:\\/diff"
        os.makedirs(path)
        with open(f"{path}/{number}", "w"):
            pass
        tree.layers.append(path)


@pytest.mark.parametrize("name", DRIVERS)
def test_127_layers_with_long_and_awkward_paths(tree: Tree, name: str) -> None:
    _many_layers(tree, 127)
    assert len(call_in_namespace(_mounted, name, tree.layers, tree.root, os.listdir)) == 127


def _mounted_the_old_way(layers: Sequence[str], place: str) -> list[str]:
    def refuse(lower: Sequence[str], upper: str, work: str, target: str) -> None:
        raise OSError(errno.EINVAL, "no lowerdir+ here")

    kernel._mount_with_fsconfig = refuse  # this is a child made for the one call
    names: list[str] = _mounted("overlay", layers, place, os.listdir)
    return names


def test_127_layers_on_kernels_before_6_5(tree: Tree) -> None:
    _many_layers(tree, 127)
    assert len(call_in_namespace(_mounted_the_old_way, tree.layers, tree.root)) == 127


def test_copy_shares_no_inode_with_the_layers(tree: Tree) -> None:
    tree.unpack(Archive().file("a", b"x").link("b", "a").bytes())
    status = call_in_namespace(_mounted, "copy", tree.layers, tree.root, _stat_a)
    assert status.st_ino != os.stat(f"{tree.layers[0]}/a").st_ino
    assert status.st_nlink == 2


def _stat_a(root: str) -> os.stat_result:
    return os.stat(f"{root}/a")


def test_probe_works_here_and_leaves_nothing(tree: Tree) -> None:
    call_in_namespace(probe_kernel_overlay, tree.root)
    assert os.listdir(tree.root) == []


@pytest.mark.requires("fuse", "pyfuse3")
def test_probe_of_the_fuse_overlay_works_here_and_leaves_nothing(tree: Tree) -> None:
    call_in_namespace(probe_fuse_overlay, tree.root)
    assert os.listdir(tree.root) == []


def _broken() -> None:
    raise StorageError("the kernel's overlay does not work here", cause="Operation not permitted")


def _fine() -> None:
    pass


def test_choice_follows_the_probes() -> None:
    chosen = choose_driver(None, {"overlay": _fine, "fuse": _broken})
    assert (chosen.driver.name, chosen.reason) == ("overlay", "a probe mount of overlay worked")
    chosen = choose_driver(None, {"overlay": _broken, "fuse": _fine})
    assert chosen.driver.name == "fuse"
    assert chosen.reason.endswith("Operation not permitted; a probe mount of fuse worked")
    chosen = choose_driver(None, {"overlay": _broken, "fuse": _broken})
    assert chosen.driver.name == "copy"
    assert "Operation not permitted" in chosen.reason


def test_forced_choice() -> None:
    broken = {"overlay": _broken, "fuse": _broken}
    assert choose_driver("copy", broken).driver.name == "copy"
    assert choose_driver("overlay2", {"overlay": _fine, "fuse": _broken}).driver.name == "overlay"
    assert choose_driver("fuse", {"overlay": _broken, "fuse": _fine}).driver.name == "fuse"
    for name in broken:
        with pytest.raises(StorageError, match=f"driver {name} does not work here") as caught:
            choose_driver(name, broken)
        assert (caught.value.cause, caught.value.mend) == ("Operation not permitted", "use --storage-driver copy")
    with pytest.raises(StorageError, match="unknown storage driver 'zfs'"):
        choose_driver("zfs", broken)


def test_missing_layer_is_a_clear_error(tree: Tree) -> None:
    with pytest.raises(StorageError, match="cannot mount an overlay") as caught:
        call_in_namespace(_mounted, "overlay", [f"{tree.root}/none"], tree.root, found_in)
    assert "No such file" in caught.value.cause


def test_upper_directory_is_private(tree: Tree) -> None:
    tree.unpack(Archive().file("a").bytes())
    call_in_namespace(_mounted, "overlay", tree.layers, tree.root, found_in)
    assert stat.S_IMODE(os.stat(f"{tree.root}/storage").st_mode) == 0o700
