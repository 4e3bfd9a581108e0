"""Half a container is never left, whatever cuts its making short."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandbox.container.life.create import create_container
from sandbox.container.life.naming import Identity
from sandbox.container.model.store import all_containers, insert_container
from sandbox.values import MountPoint
from sandbox.volume.store import list_volumes
from tests.sandbox.container.conftest import a_container

if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.model.record import Container
    from sandbox.paths import Paths


def test_a_ctrl_c_leaves_nothing(database: sqlite3.Connection, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = a_container("web")
    mounts = (MountPoint("volume", "", "/unnamed"), MountPoint("volume", "kept", "/named"))

    def record(connection: sqlite3.Connection, _paths: Paths, container: Container, asked: str) -> Container:
        return insert_container(connection, container, asked)

    def cut_short(_connection: sqlite3.Connection, container_id: str) -> None:
        assert os.path.isdir(paths.container_data(container_id))
        raise KeyboardInterrupt

    monkeypatch.setattr("sandbox.container.life.create._record", record)
    monkeypatch.setattr("sandbox.container.life.create.keep_container_copy", cut_short)
    with pytest.raises(KeyboardInterrupt):
        create_container(database, paths, Identity(wanted.id, "web"), wanted.config._replace(mounts=mounts))
    assert all_containers(database) == []
    # as after `volume create`
    assert [volume.name for volume in list_volumes(database)] == ["kept"]
    assert not os.path.exists(paths.container_data(wanted.id))
