"""A database with networks, and containers of it that a process of ours holds; no network of the kernel is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox.container.model.claims import Claim, own_claim, with_claim
from sandbox.container.model.record import Container, ContainerConfig, ContainerState
from sandbox.container.model.store import insert_container
from sandbox.network.allocate import give_endpoints
from sandbox.network.record import Endpoint, Network
from sandbox.network.store import insert_network
from sandbox.paths import Paths
from sandbox.random_ids import new_container_id
from sandbox.transactions import transaction
from tests.sandbox.container.conftest import database, paths

if TYPE_CHECKING:
    import sqlite3

    from sandbox.values import EndpointRequest

__all__ = ["database", "paths"]

#: networks that have a subnet need none of it
NOWHERE = Paths("", "", "")
#: more than any process has lived for
DEAD = Claim(1, 1, "another boot")


def a_network(connection: sqlite3.Connection, name: str = "mine", **fields: Any) -> Network:
    """A network in the database, 172.18.0.0/16 where nothing else is said."""
    given: dict[str, Any] = {"subnet4": "172.18.0.0/16", "gateway4": "172.18.0.1", "chosen4": True, **fields}
    network = Network(new_container_id(), name, "bridge")._replace(**given)
    with transaction(connection):
        insert_network(connection, network)
    return network


def a_guest(connection: sqlite3.Connection, *requests: EndpointRequest, claim: Claim | None = None) -> Container:
    """A container that is being started, with what it asks of networks."""
    config = ContainerConfig("busybox", "sha256:" + "b" * 64, (), ("sh",), network="mine", endpoints=requests)
    state = with_claim(ContainerState(), claim or own_claim())
    return insert_container(connection, Container(new_container_id(), "", 1, config, state))


def started(connection: sqlite3.Connection, container: Container) -> tuple[Endpoint, ...]:
    with transaction(connection):
        return give_endpoints(connection, NOWHERE, container)


@pytest.fixture
def network(database: sqlite3.Connection) -> Network:
    return a_network(database)
