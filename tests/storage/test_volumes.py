"""Named volumes: their names, and how a new one takes what the image has, once."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from storage.errors import StorageError
from storage.trees.fill import fill_volume
from storage.volumes import VolumeStore
from tests.storage.namespace import call_in_namespace
from tests.storage.tree import Archive, Tree, found_in


def test_a_volume_is_made_once(tmp_path: Path) -> None:
    store = VolumeStore(str(tmp_path / "volumes"))
    store.create("data")
    Path(store.data("data"), "kept").touch()
    store.create("data")
    assert os.listdir(store.data("data")) == ["kept"]
    assert os.stat(store.directory("data")).st_mode & 0o777 == 0o700
    assert os.stat(store.data("data")).st_mode & 0o777 == 0o755
    assert not store.waits_to_be_filled("data")


@pytest.mark.parametrize("name", ["", "a", "../x", "a/b", ".hidden", "-x", "a" * 256, "a\n", "n\u00e4me", "a\0b"])
def test_what_is_no_name_becomes_no_path(tmp_path: Path, name: str) -> None:
    store = VolumeStore(str(tmp_path / "volumes"))
    for use in (store.create, store.data, store.directory):
        with pytest.raises(StorageError, match="not a volume name"):
            use(name)
    assert os.listdir(tmp_path) == []


def test_a_volume_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "volumes").touch()
    with pytest.raises(StorageError, match="cannot make volume data"):
        VolumeStore(str(tmp_path / "volumes")).create("data")


def _copy_up(root: str, path: str, volume: str) -> bool:
    root_fd = os.open(root, os.O_RDONLY)
    try:
        return fill_volume(root_fd, path, volume)
    finally:
        os.close(root_fd)


def _new_volume(tree: Tree, name: str) -> str:
    store = VolumeStore(f"{tree.root}/volumes")
    call_in_namespace(store.create, name)
    return store.data(name)


def test_copy_up_takes_what_the_image_has(tree: Tree) -> None:
    archive = Archive().directory("var/lib/db", mode=0o700, uid=99, gid=98).file("var/lib/db/t", b"x", uid=99)
    archive.symlink("var/lib/db/passwd", "/etc/passwd").symlink("data", "/var/lib/db").directory("void", uid=5)
    archive.add("var/lib/db/pipe", tarfile.FIFOTYPE, mode=0o666)
    tree.unpack(archive.bytes())
    volume = _new_volume(tree, "v1")
    assert call_in_namespace(_copy_up, tree.layers[0], "/data", volume)
    found = call_in_namespace(found_in, volume)
    assert found["."][:4] == ("d", 0o700, 99, 98)
    # as the image says, whatever the umask of who copies is
    assert (found["pipe"].kind, found["pipe"].mode) == ("p", 0o666)
    assert (found["t"].uid, found["passwd"].kind, found["passwd"].content) == (99, "l", b"/etc/passwd")
    assert not call_in_namespace(_copy_up, tree.layers[0], "/void", volume)
    second = _new_volume(tree, "v2")
    assert call_in_namespace(_copy_up, tree.layers[0], "/void", second)
    assert os.stat(second).st_uid != os.getuid()
    assert not call_in_namespace(_copy_up, tree.layers[0], "/nothing", second)


def test_copy_up_through_a_crafted_path_stays_in_the_image(tree: Tree) -> None:
    tree.unpack(Archive().symlink("data", "../../../../../../../../etc").directory("etc").file("etc/own", b"o").bytes())
    volume = _new_volume(tree, "vv")
    assert call_in_namespace(_copy_up, tree.layers[0], "/data/../data", volume)
    assert os.listdir(volume) == ["own"]


def _fill(root: str, store: VolumeStore, name: str, path: str) -> bool:
    """Whether the volume waited, before it was filled."""
    waited = store.waits_to_be_filled(name)
    root_fd = os.open(root, os.O_RDONLY)
    try:
        store.fill(name, root_fd, path)
    finally:
        os.close(root_fd)
    return waited


def test_a_volume_is_filled_once(tree: Tree) -> None:
    tree.unpack(Archive().directory("data").file("data/one", b"1").directory("other").file("other/two", b"2").bytes())
    store = VolumeStore(f"{tree.root}/volumes")
    call_in_namespace(_create_to_fill, store, "new")
    assert call_in_namespace(_fill, tree.layers[0], store, "new", "/data")
    assert not store.waits_to_be_filled("new")
    # whoever asks again finds data, which stays
    assert not call_in_namespace(_fill, tree.layers[0], store, "new", "/other")
    assert os.listdir(store.data("new")) == ["one"]


def _create_to_fill(store: VolumeStore, name: str) -> None:
    store.create(name, to_fill=True)


def test_data_that_no_maker_has_finished_are_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill between any two steps leaves a directory that is known for a new one."""
    made = []

    def stop(path: str, _mode: int) -> None:
        made.append(path)
        raise KeyboardInterrupt

    store = VolumeStore(str(tmp_path / "volumes"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "chmod", stop)
        with pytest.raises(KeyboardInterrupt):
            store.create("new", to_fill=True)
    assert made == [store.data("new")]
    assert os.path.isdir(store.data("new"))
    assert store.waits_to_be_filled("new")
