"""A disk with no room left: what can still be done on it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandbox.container.life.remove import remove_container
from sandbox.container.model.record import Container, ContainerConfig, ContainerState
from sandbox.container.model.store import all_containers, insert_container
from sandbox.live_processes import boot_id
from sandbox.paths import Paths
from sandbox.random_ids import new_container_id
from sandbox.runtime.user_namespace import call_in_user_namespace
from sandbox.state import connect_state
from storage.syscalls import mount

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.requires("userns", "subids")


def _remove_on_a_full_disk(target: str) -> list[str]:
    mount("tmpfs", target, "tmpfs", 0, "size=1m")
    os.mkdir(f"{target}/run")
    paths = Paths(target, f"{target}/run", target)
    connection = connect_state(paths)
    config = ContainerConfig("busybox", "sha256:" + "b" * 64, (), ("sh",))
    # killed with its monitor: that is not written down yet either
    state = ContainerState("running", 1, 1, monitor_pid=1, monitor_start=1, boot_id=boot_id())
    container = insert_container(connection, Container(new_container_id(), "web", 1, config, state))
    data = paths.container_data(container.id)
    os.makedirs(data)
    with open(f"{data}/log.json", "wb") as log:
        log.write(bytes(200_000))
    fd = os.open(f"{target}/filling", os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(fd, bytes(4096))
    except OSError:
        os.close(fd)
    try:
        remove_container(connection, paths, "web")
        left = [found.name for found in all_containers(connection)]
    finally:
        connection.close()
    return left + os.listdir(f"{target}/containers")


def test_a_container_can_be_removed_where_that_cannot_be_written_first(tmp_path: Path) -> None:
    assert call_in_user_namespace(_remove_on_a_full_disk, str(tmp_path)) == []
