"""Addresses are given once, kept while a container runs, and given back with the write that ends the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sandbox.container.model.store import delete_container, load_container, update_state
from sandbox.errors import ConflictError, NotFoundError, UsageError
from sandbox.events import read_events
from sandbox.network.addresses import number_of, span_of
from sandbox.network.allocate import FIRST_NUMBER, LAST_NUMBER, FullNetworkError
from sandbox.network.store import endpoints_of, endpoints_on
from sandbox.state import connect_state
from sandbox.transactions import transaction
from sandbox.values import EndpointRequest
from tests.sandbox.network.conftest import DEAD, a_guest, a_network, started

if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.model.record import Container
    from sandbox.network.record import Network

MINE = EndpointRequest("mine")


def ended(connection: sqlite3.Connection, container: Container) -> None:
    update_state(connection, container.id, lambda state: state._replace(monitor_pid=0, status="exited"))


def run_once(connection: sqlite3.Connection, *requests: EndpointRequest) -> str:
    """The address that a container gets that runs and ends."""
    guest = a_guest(connection, *requests)
    (endpoint,) = started(connection, guest)
    ended(connection, guest)
    return endpoint.address4


def test_an_address_just_given_back_is_not_given_at_once(database: sqlite3.Connection, network: Network) -> None:
    assert [run_once(database, MINE) for _ in range(3)] == ["172.18.0.2", "172.18.0.3", "172.18.0.4"]


def test_behind_the_last_comes_the_first(database: sqlite3.Connection) -> None:
    a_network(database, subnet4="172.18.0.0/29", gateway4="172.18.0.1")
    first = [run_once(database, MINE) for _ in range(5)]
    assert first == [f"172.18.0.{tail}" for tail in (2, 3, 4, 5, 6)]
    assert run_once(database, MINE) == "172.18.0.2"


def test_a_name_that_an_interface_was_given_is_no_others(database: sqlite3.Connection, network: Network) -> None:
    a_network(database, "other", subnet4="172.19.0.0/16", gateway4="172.19.0.1")
    named = MINE._replace(driver_options=(("com.docker.network.endpoint.ifname", "eth1"),))
    guest = a_guest(database, named, EndpointRequest("other"))
    assert [one.interface for one in started(database, guest)] == ["eth0", "eth2"]


@pytest.mark.parametrize(("subnet", "part"), [("172.18.0.0/30", ""), ("172.18.0.0/16", "172.18.0.2/32")])
def test_a_full_network_is_told(database: sqlite3.Connection, subnet: str, part: str) -> None:
    a_network(database, subnet4=subnet, gateway4="172.18.0.1", range4=part)
    holder = a_guest(database, MINE)
    started(database, holder)
    words = "no available IPv4 addresses on this network's address pools: mine"
    with pytest.raises(FullNetworkError, match=words) as caught:
        started(database, a_guest(database, MINE))
    assert caught.value.cause == f"all of {part or subnet} are given"
    ended(database, holder)
    assert run_once(database, MINE) == "172.18.0.2"


def test_the_place_of_one_that_died_is_taken_where_it_is_needed(database: sqlite3.Connection) -> None:
    a_network(database, subnet4="172.18.0.0/30", gateway4="172.18.0.1")
    started(database, a_guest(database, MINE, claim=DEAD))
    assert run_once(database, MINE) == "172.18.0.2"


def test_a_range_and_what_is_kept_back_bound_what_is_given(database: sqlite3.Connection) -> None:
    a_network(database, range4="172.18.9.0/30", auxiliary={"printer": "172.18.9.1"})
    assert [run_once(database, MINE) for _ in range(4)] == ["172.18.9.0", "172.18.9.2", "172.18.9.3", "172.18.9.0"]


def test_an_address_asked_for_is_given_and_is_nobody_elses(database: sqlite3.Connection, network: Network) -> None:
    fixed = EndpointRequest("mine", ipv4_address="172.18.0.2")
    waiting = a_guest(database, fixed)
    # one that does not run yet keeps it
    assert run_once(database, MINE) == "172.18.0.3"
    (endpoint,) = started(database, waiting)
    assert (endpoint.address4, endpoint.mac) == ("172.18.0.2", "02:42:ac:12:00:02")
    with pytest.raises(ConflictError, match=r"^Address already in use$") as taken:
        started(database, a_guest(database, fixed))
    name = load_container(database, waiting.id).name  # type: ignore[union-attr]
    assert taken.value.cause == f"container {name} has 172.18.0.2 on network mine"
    # who asks for one does not move where the next is looked for
    assert run_once(database, MINE) == "172.18.0.4"


def test_the_fixed_address_of_one_that_died_is_free(database: sqlite3.Connection, network: Network) -> None:
    fixed = EndpointRequest("mine", ipv4_address="172.18.0.9")
    started(database, a_guest(database, fixed, claim=DEAD))
    assert run_once(database, fixed) == "172.18.0.9"


@pytest.mark.parametrize("address", ["10.1.2.3", "172.19.0.2", "fd00::5"])
def test_an_address_outside_the_subnet_is_refused(database: sqlite3.Connection, network: Network, address: str) -> None:
    a_network(database, "six", subnet6="fd01::/64", gateway6="fd01::1", subnet4="172.20.0.0/16", gateway4="172.20.0.1")
    request = MINE._replace(ipv4_address=address)
    if ":" in address:
        request = EndpointRequest("six", ipv6_address=address)
    with pytest.raises(UsageError, match="no configured subnet contains IP address"):
        started(database, a_guest(database, request))


@pytest.mark.parametrize(
    ("tail", "what"),
    [
        ("0.0", "the first address, which is no container's,"),
        ("0.1", "the gateway"),
        ("255.255", "the broadcast address"),
        ("0.77", "an auxiliary address"),
    ],
)
def test_gateway_ends_and_kept_addresses_are_never_given(database: sqlite3.Connection, tail: str, what: str) -> None:
    a_network(database, auxiliary={"router": "172.18.0.77"})
    with pytest.raises(ConflictError, match="Address already in use") as caught:
        started(database, a_guest(database, EndpointRequest("mine", ipv4_address=f"172.18.{tail}")))
    assert caught.value.cause == f"172.18.{tail} is {what} of network mine"


def test_nothing_is_given_where_one_of_several_networks_is_gone(database: sqlite3.Connection, network: Network) -> None:
    guest = a_guest(database, MINE, EndpointRequest("gone"))
    with pytest.raises(NotFoundError, match="network gone not found"):
        started(database, guest)
    assert endpoints_of(database, guest.id) == ()
    assert run_once(database, MINE) == "172.18.0.2"


def test_a_container_of_several_networks_has_an_interface_on_each(
    database: sqlite3.Connection, network: Network
) -> None:
    a_network(
        database, "back", subnet4="172.19.0.0/16", gateway4="172.19.0.1", subnet6="fd00:5::/64", gateway6="fd00:5::1"
    )
    a_network(database, "inner", subnet4="172.20.0.0/16", gateway4="172.20.0.1", internal=True)
    guest = a_guest(database, EndpointRequest("inner"), MINE._replace(aliases=("web",)), EndpointRequest("back"))
    endpoints = started(database, guest)
    assert [(one.network.name, one.interface, one.address4, one.address6) for one in endpoints] == [
        ("inner", "eth0", "172.20.0.2", ""),
        ("mine", "eth1", "172.18.0.2", ""),
        ("back", "eth2", "172.19.0.2", "fd00:5::2"),
    ]
    # the way out: by name, and never by an internal network
    assert [one.network.name for one in endpoints if one.default_route] == ["back"]
    assert endpoints[1].aliases == ("web",)
    assert len({one.number for one in endpoints}) == 3


def test_the_priority_decides_the_way_out(database: sqlite3.Connection, network: Network) -> None:
    a_network(database, "back", subnet4="172.19.0.0/16", gateway4="172.19.0.1")
    guest = a_guest(database, EndpointRequest("back"), MINE._replace(gateway_priority=1))
    assert [one.default_route for one in started(database, guest)] == [False, True]


def test_numbers_go_round_and_skip_those_in_use(database: sqlite3.Connection, network: Network) -> None:
    (first,) = started(database, a_guest(database, MINE))
    assert first.number == FIRST_NUMBER
    database.execute("UPDATE setting SET value = ? WHERE key = 'network endpoint number'", (LAST_NUMBER,))
    (next_one,) = started(database, a_guest(database, MINE))
    assert next_one.number == FIRST_NUMBER + 1


def test_the_end_of_a_run_is_told_with_the_place_given_back(database: sqlite3.Connection, network: Network) -> None:
    guest = a_guest(database, MINE)
    started(database, guest)
    ended(database, guest)
    told = [happened.event for happened in read_events(database) if happened.event.kind == "network"]
    assert [(event.action, event.actor, dict(event.attributes)) for event in told] == [
        (action, network.id, {"container": guest.id, "name": "mine", "type": "bridge"})
        for action in ("connect", "disconnect")
    ]


def test_a_removal_gives_the_place_back(database: sqlite3.Connection, network: Network) -> None:
    guest = a_guest(database, MINE)
    started(database, guest)
    with transaction(database):
        delete_container(database, guest.id)
    assert database.execute("SELECT count(*) FROM endpoint").fetchone() == (0,)


def test_only_those_that_live_are_on_a_network(database: sqlite3.Connection, network: Network) -> None:
    alive, dead = a_guest(database, MINE), a_guest(database, MINE, claim=DEAD)
    started(database, alive)
    started(database, dead)
    assert [endpoint.container_id for endpoint in endpoints_on(database, network.id)] == [alive.id]


class Starts(RuleBasedStateMachine):
    """Starts, ends, deaths and restarts in any order, on a network that is nearly too small."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        from sandbox.paths import Paths

        self.directory = tempfile.TemporaryDirectory()
        self.connection = connect_state(Paths(self.directory.name, self.directory.name, self.directory.name))
        self.network = a_network(
            self.connection, subnet4="172.18.0.0/29", gateway4="172.18.0.6", subnet6="fd00::/124", gateway6="fd00::1"
        )
        self.running: list[Container] = []

    @rule(tail=st.one_of(st.none(), st.integers(0, 9)))
    def start(self, tail: int | None) -> None:
        request = MINE if tail is None else MINE._replace(ipv4_address=f"172.18.0.{tail}")
        guest = a_guest(self.connection, request)
        given = {one.address4 for one in endpoints_on(self.connection, self.network.id)}
        try:
            (endpoint,) = started(self.connection, guest)
        except (FullNetworkError, ConflictError, UsageError):
            with transaction(self.connection):
                delete_container(self.connection, guest.id)
            # a refusal is never for want of looking
            assert len(given) >= 5 or (tail is not None and (tail in (0, 6, 7, 8, 9) or request.ipv4_address in given))
            return
        assert endpoint.address4 not in given
        assert tail is None or endpoint.address4 == request.ipv4_address
        self.running.append(guest)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        guest = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        with transaction(self.connection):
            delete_container(self.connection, guest.id)

    @invariant()
    def all_lie_in_the_subnet_and_are_there_once(self) -> None:
        endpoints = endpoints_on(self.connection, self.network.id)
        assert sorted(one.container_id for one in endpoints) == sorted(one.id for one in self.running)
        assert len({one.address4 for one in endpoints}) == len({one.address6 for one in endpoints}) == len(endpoints)
        for one in endpoints:
            assert number_of(one.address4) in span_of("172.18.0.0/29")
            assert one.address4 not in ("172.18.0.0", "172.18.0.6", "172.18.0.7")

    def teardown(self) -> None:
        self.connection.close()
        self.directory.cleanup()


TestStarts = Starts.TestCase
