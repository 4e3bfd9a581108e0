"""Links of the default network: who is called what by whom, and what a container is told of those it is linked to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.container.model.linked import (
    check_links,
    link_host_lines,
    rename_linked,
    unlink,
    with_link_variables,
)
from sandbox.container.model.links import link_texts, names_by_links
from sandbox.container.model.record import Container, ContainerState
from sandbox.container.model.store import (
    find_container,
    insert_container,
    load_container,
    rename_container,
    update_state,
)
from sandbox.errors import ConflictError, NotFoundError, SandboxError
from sandbox.network.create import NetworkRequest, create_network
from sandbox.network.joining import known_endpoint
from sandbox.network.record import Endpoint
from sandbox.network.store import endpoints_of, find_network, insert_endpoint
from sandbox.transactions import transaction
from sandbox.values import EndpointRequest
from tests.sandbox.container.conftest import a_container

if TYPE_CHECKING:
    import sqlite3

    from sandbox.paths import Paths

DB, WEB = "d" * 64, "e" * 64


def _linked(database: sqlite3.Connection, *, running: bool = True) -> Container:
    """The container web, which calls db "my-db"."""
    state = ContainerState("running") if running else ContainerState()
    child = a_container("db", DB, state=state)
    child = child._replace(
        config=child.config._replace(exposed_ports=("5432/tcp", "53/udp", "53/tcp"), environment=("USER=me", "PATH=/x"))
    )
    insert_container(database, child)
    parent = a_container("web", WEB)
    endpoints = (EndpointRequest("bridge", links=("db:my-db",)),)
    parent = parent._replace(
        config=parent.config._replace(network="bridge", endpoints=endpoints, environment=("MY_DB_NAME=mine",))
    )
    insert_container(database, parent)
    with transaction(database):
        network = find_network(database, "bridge")
        insert_endpoint(database, Endpoint(DB, network, "1" * 64, 7, "eth0", "172.17.0.9"))
        insert_endpoint(database, Endpoint(WEB, network, "2" * 64, 8, "eth0", "172.17.0.8", links=("db:my-db",)))
    return parent


def test_a_link_is_one_more_name(database: sqlite3.Connection) -> None:
    web = _linked(database)
    assert link_texts(web) == ["/db:/web/my-db"]
    assert names_by_links([web]) == {"db": ["/web/my-db"]}
    for word in ("web/my-db", "/web/my-db"):
        assert find_container(database, word).name == "db"
    for word in ("web/other", "db/my-db", "nobody/my-db"):
        with pytest.raises(NotFoundError, match=f"No such container: {word}"):
            find_container(database, word)


def test_what_a_container_is_told_of_the_other(database: sqlite3.Connection) -> None:
    web = _linked(database)
    assert with_link_variables(database, web).config.environment == (
        "MY_DB_PORT=tcp://172.17.0.9:53",
        "MY_DB_PORT_53_TCP=tcp://172.17.0.9:53", "MY_DB_PORT_53_TCP_ADDR=172.17.0.9",
        "MY_DB_PORT_53_TCP_PORT=53", "MY_DB_PORT_53_TCP_PROTO=tcp",
        "MY_DB_PORT_53_UDP=udp://172.17.0.9:53", "MY_DB_PORT_53_UDP_ADDR=172.17.0.9",
        "MY_DB_PORT_53_UDP_PORT=53", "MY_DB_PORT_53_UDP_PROTO=udp",
        "MY_DB_PORT_5432_TCP=tcp://172.17.0.9:5432", "MY_DB_PORT_5432_TCP_ADDR=172.17.0.9",
        "MY_DB_PORT_5432_TCP_PORT=5432", "MY_DB_PORT_5432_TCP_PROTO=tcp",
        "MY_DB_ENV_USER=me",
        # what was said for itself wins
        "MY_DB_NAME=mine",
    )  # fmt: skip


def test_the_other_is_in_the_hosts_file_by_all_its_names_while_it_runs(database: sqlite3.Connection) -> None:
    web = _linked(database)
    assert link_host_lines(database, web) == (f"172.17.0.9\tmy-db {DB[:12]} db\n",)
    update_state(database, DB, lambda state: state._replace(status="exited"))
    assert link_host_lines(database, web) == ()


def test_one_is_not_linked_to_what_does_not_run(database: sqlite3.Connection) -> None:
    web = _linked(database, running=False)
    with pytest.raises(SandboxError, match="Cannot link to a non running container: /db AS /web/my-db"):
        check_links(database, web)


def test_a_link_follows_a_renamed_container(database: sqlite3.Connection) -> None:
    _linked(database)
    rename_container(database, DB, "store", lambda former: rename_linked(database, former, "store"))
    web = load_container(database, WEB)
    assert web is not None
    assert link_texts(web) == ["/store:/web/my-db"]
    assert [one.links for one in endpoints_of(database, WEB)] == [("store:my-db",)]


def test_a_link_is_taken_back_by_its_name(database: sqlite3.Connection) -> None:
    _linked(database)
    with pytest.raises(ConflictError, match="Conflict, cannot remove the default link name of the container"):
        unlink(database, "web")
    with pytest.raises(NotFoundError, match="Cannot get parent /nobody for link name /nobody/x"):
        unlink(database, "nobody/x")
    with pytest.raises(NotFoundError, match="No such container: web/x"):
        unlink(database, "web/x")
    with transaction(database):
        web = unlink(database, "/web/my-db")
    assert link_texts(find_container(database, "web")) == []
    assert [one.links for one in endpoints_of(database, web.id)] == [()]
    assert find_container(database, "db").id == DB


def test_only_the_default_network_wants_a_container_that_is_there(database: sqlite3.Connection, paths: Paths) -> None:
    create_network(database, paths, NetworkRequest("front"))
    request = EndpointRequest("front", links=("later:db",))
    assert known_endpoint(database, request).links == ("later:db",)
    with pytest.raises(NotFoundError, match="could not get container for later"):
        known_endpoint(database, request._replace(network="bridge"))
