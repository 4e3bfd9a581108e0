"""A database and records to fill it with; no container runs here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.container.model.record import Container, ContainerConfig, ContainerState
from sandbox.paths import Paths
from sandbox.random_ids import new_container_id
from sandbox.state import connect_state

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    roots = [tmp_path / name for name in ("data", "runtime", "config")]
    for root in roots:
        root.mkdir(mode=0o700)
    return Paths(str(roots[0]), str(roots[1]), str(roots[2]))


@pytest.fixture
def database(paths: Paths) -> Iterator[sqlite3.Connection]:
    connection = connect_state(paths)
    yield connection
    connection.close()


def a_container(
    name: str = "", container_id: str = "", created_ns: int = 1, state: ContainerState | None = None
) -> Container:
    """A record as `create` makes it."""
    config = ContainerConfig("busybox", "sha256:" + "b" * 64, (), ("sh",))
    return Container(container_id or new_container_id(), name, created_ns, config, state or ContainerState())
