"""What a container asks of networks, as the networks that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from net.subnets import AskedSubnet
from sandbox.errors import UsageError
from sandbox.network.create import NetworkRequest, create_network
from sandbox.network.joining import with_known_networks
from sandbox.values import EndpointRequest
from tests.sandbox.container.conftest import a_container

if TYPE_CHECKING:
    import sqlite3

    from sandbox.paths import Paths


def test_what_is_said_by_id_and_by_name_is_of_one_network(database: sqlite3.Connection, paths: Paths) -> None:
    front = create_network(database, paths, NetworkRequest("front", subnets=(AskedSubnet("172.30.0.0/16"),))).id
    back = create_network(database, paths, NetworkRequest("back")).id
    config = a_container("web", "c" * 64).config
    mac = "02:42:ac:11:00:42"
    asked = (
        EndpointRequest(front, mac_address=mac), EndpointRequest(back),
        EndpointRequest("front", ("www",), ipv4_address="172.30.0.9"),
    )  # fmt: skip
    known = with_known_networks(database, config._replace(network=front, endpoints=asked))
    assert known.network == "front"
    assert known.endpoints == (
        EndpointRequest("front", ("www",), ipv4_address="172.30.0.9", mac_address=mac), EndpointRequest("back"),
    )  # fmt: skip
    twice = config._replace(network="front", endpoints=(EndpointRequest("front"), EndpointRequest("front")))
    with pytest.raises(UsageError, match='network "front" is specified multiple times'):
        with_known_networks(database, twice)
