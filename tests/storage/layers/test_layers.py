"""Layers are there whole or not there, whoever makes them and whoever is killed."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from storage.digests import Digest, digest_of
from storage.errors import StorageError
from storage.layers.store import LayerStore, make_spread_directory

if TYPE_CHECKING:
    from pathlib import Path

CHAIN_ID = digest_of(b"layer")


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "layers")


def _make(store: LayerStore, chain_id: Digest = CHAIN_ID) -> bool:
    with store.stage(chain_id) as stage:
        if stage.done:
            return False
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=stage.fd))
        stage.commit({"size": 5})
        return True


def test_commit_makes_the_layer_visible(root: str) -> None:
    store = LayerStore(root)
    assert not store.has(CHAIN_ID)
    assert _make(store)
    assert not _make(store)
    assert os.listdir(store.path(CHAIN_ID)) == ["file"]
    assert store.describe(CHAIN_ID) == {"size": 5}
    assert store.chain_ids() == (CHAIN_ID,)
    assert os.listdir(f"{root}/.stage") == []
    assert stat.S_IMODE(os.stat(store.path(CHAIN_ID)).st_mode) == 0o755
    assert stat.S_IMODE(os.stat(os.path.dirname(store.path(CHAIN_ID))).st_mode) == 0o700


def test_what_is_not_committed_leaves_nothing(root: str) -> None:
    store = LayerStore(root)
    with store.stage(CHAIN_ID) as stage:
        os.mkdir("half", dir_fd=stage.fd)
    assert not store.has(CHAIN_ID)
    assert os.listdir(f"{root}/.stage") == []


def test_remove(root: str) -> None:
    store = LayerStore(root)
    _make(store)
    store.remove(CHAIN_ID)
    store.remove(CHAIN_ID)
    assert not store.has(CHAIN_ID)
    assert os.listdir(root) == [".stage"]
    with pytest.raises(StorageError, match="no layer"):
        store.describe(CHAIN_ID)


def _start_and_kill(root: str) -> None:
    """A maker that is killed in mid-unpack."""
    ready_read, ready_write = os.pipe()
    child = os.fork()
    if child == 0:
        with LayerStore(root).stage(CHAIN_ID) as stage:
            os.mkdir("half", dir_fd=stage.fd)
            os.write(ready_write, b"r")
            signal.pause()
    os.read(ready_read, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready_read)
    os.close(ready_write)


def test_stage_of_a_killed_maker_is_swept(root: str) -> None:
    _start_and_kill(root)
    store = LayerStore(root)
    assert len(os.listdir(f"{root}/.stage")) == 1
    store.sweep()
    assert os.listdir(f"{root}/.stage") == []


def test_next_maker_starts_afresh_after_a_killed_one(root: str) -> None:
    _start_and_kill(root)
    store = LayerStore(root)
    assert _make(store)
    assert os.listdir(store.path(CHAIN_ID)) == ["file"]


def test_sweep_leaves_a_living_stage_alone(root: str) -> None:
    store = LayerStore(root)
    with store.stage(CHAIN_ID) as stage:
        LayerStore(root).sweep()
        os.mkdir("still", dir_fd=stage.fd)
        stage.commit({})
    assert store.has(CHAIN_ID)


def test_many_makers_of_one_layer(root: str) -> None:
    made_read, made_write = os.pipe()
    children = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            if _make(LayerStore(root)):
                os.write(made_write, b"m")
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    os.close(made_write)
    assert os.read(made_read, 10) == b"m"
    os.close(made_read)
    assert os.listdir(f"{root}/.stage") == []


def test_no_path_is_made_of_what_is_no_digest(root: str) -> None:
    store = LayerStore(root)
    with pytest.raises(StorageError):
        store.path(Digest("sha256:../../../etc"))


def test_directories_whose_content_is_many_files_are_spread_once_where_the_file_system_can(tmp_path: Path) -> None:
    place = tmp_path / "store/of/layers"

    def flags(change: int | None = None) -> int:
        fd = os.open(place, os.O_RDONLY)
        try:
            # FS_IOC_GETFLAGS and FS_IOC_SETFLAGS, linux/fs.h
            if change is not None:
                fcntl.ioctl(fd, 0x40086602, change.to_bytes(8, sys.byteorder))
            return int.from_bytes(fcntl.ioctl(fd, 0x80086601, bytes(8)), sys.byteorder)
        except OSError as error:
            if error.errno not in (errno.ENOTTY, errno.EOPNOTSUPP):
                raise
            return -1
        finally:
            os.close(fd)

    make_spread_directory(str(place))
    assert place.stat().st_mode & 0o777 == 0o700
    with open("/proc/mounts") as mounts:
        kinds = {line.split()[1]: line.split()[2] for line in mounts}
    mount = max((mount for mount in kinds if f"{tmp_path}/".startswith(f"{mount.rstrip('/')}/")), key=len)
    # FS_TOPDIR_FL is ext4's alone: elsewhere nothing changes, and nothing fails
    if kinds[mount] == "ext4":
        assert flags() & 0x20000
        without = flags(flags() & ~0x20000)
        make_spread_directory(str(place))
        assert flags() == without
    make_spread_directory(str(place))
