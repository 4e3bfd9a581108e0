"""What is kept of a container whose published ports are added to and taken from."""

from __future__ import annotations

import json

import pytest

from sandbox.container.model.documents import to_json
from sandbox.container.model.port_changes import PortsAdded, PortsRemoved, changed_request, ports_named
from sandbox.container.request.kept import read_request
from sandbox.container.request.request import ContainerRequest
from sandbox.values import PublishedPort
from tests.sandbox.container.conftest import a_container

WEB = PublishedPort("", 8080, 80)
ANY = PublishedPort("", 0, 99)
RANGE = PublishedPort("127.0.0.1", 9000, 90, "tcp", 9010)
DNS = PublishedPort("", 5353, 53, "udp")
BOUND = (
    PublishedPort("0.0.0.0", 8080, 80), PublishedPort("0.0.0.0", 40001, 99), PublishedPort("127.0.0.1", 9003, 90),
    PublishedPort("0.0.0.0", 5353, 53, "udp"),
)  # fmt: skip
CONTAINER = a_container()
CONFIG = CONTAINER.config._replace(published_ports=(WEB, ANY, RANGE, DNS))


def test_what_is_added_is_kept_as_asked_and_shown_as_bound() -> None:
    change = PortsAdded((ANY,), (BOUND[1],))
    assert change.to_config(CONTAINER.config).published_ports == (ANY,)
    assert change.to_state(CONTAINER.state).published_ports == (BOUND[1],)
    assert PortsAdded((ANY,)).to_state(CONTAINER.state) == CONTAINER.state


@pytest.mark.parametrize("place", range(4))
def test_what_is_removed_as_bound_goes_as_it_was_asked_for(place: int) -> None:
    change = PortsRemoved((BOUND[place],))
    left = [port for number, port in enumerate(CONFIG.published_ports) if number != place]
    assert list(change.to_config(CONFIG).published_ports) == left
    state = CONTAINER.state._replace(published_ports=BOUND)
    assert list(change.to_state(state).published_ports) == [port for port in BOUND if port != BOUND[place]]


@pytest.mark.parametrize("place", range(2))
def test_two_addresses_of_one_request_are_removed_with_it(place: int) -> None:
    # two ports that each may lead to any: the rows of one do not take the other with them
    config = CONTAINER.config._replace(published_ports=(PublishedPort("", 8080, 80), PublishedPort("", 0, 80)))
    bound = [PublishedPort(address, port, 80) for port in (8080, 40001) for address in ("0.0.0.0", "::")]
    wanted = PublishedPort("", (8080, 40001)[place], 80)
    gone = ports_named(bound, wanted)
    assert list(gone) == bound[2 * place : 2 * place + 2]
    assert PortsRemoved(gone).to_config(config).published_ports == (config.published_ports[1 - place],)


@pytest.mark.parametrize("place", range(2))
def test_of_a_request_for_every_address_one_goes_and_the_other_is_asked_for(place: int) -> None:
    config = CONTAINER.config._replace(published_ports=(WEB, DNS))
    bound = [PublishedPort(address, 8080, 80) for address in ("0.0.0.0", "::")]
    gone = ports_named(bound, bound[place])
    left = tuple(port for port in (*bound, BOUND[3]) if port not in gone)
    assert PortsRemoved(gone, left).to_config(config).published_ports == (bound[1 - place], DNS)
    # a host without the other has nothing to be asked for
    assert PortsRemoved(gone, BOUND[3:]).to_config(config).published_ports == (DNS,)


def test_two_requests_of_one_address_each_are_removed_one_by_one() -> None:
    asked = (PublishedPort("0.0.0.0", 8080, 80), PublishedPort("::", 8080, 80))
    config = CONTAINER.config._replace(published_ports=asked)
    assert PortsRemoved(asked).to_config(config).published_ports == ()
    assert PortsRemoved(asked[1:]).to_config(config).published_ports == asked[:1]


def test_of_all_that_is_exposed_the_others_stay_published() -> None:
    config = CONTAINER.config._replace(publish_all=True, exposed_ports=("80/tcp", "81/tcp", "53/udp"))
    after = PortsRemoved((PublishedPort("0.0.0.0", 40000, 81),)).to_config(config)
    assert not after.publish_all
    assert after.published_ports == (PublishedPort("", 0, 80), PublishedPort("", 0, 53, "udp"))


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        (PublishedPort("", 0, 80), [0]),
        (PublishedPort("", 8080, 80), [0]),
        (PublishedPort("0.0.0.0", 8080, 80), [0]),
        (PublishedPort("127.0.0.1", 8080, 80), []),
        (PublishedPort("", 8081, 80), []),
        (PublishedPort("", 8080, 80, "udp"), []),
        (PublishedPort("127.0.0.1", 0, 90), [2]),
        (PublishedPort("127.0.0.1", 9000, 90, "tcp", 9010), [2]),
        (PublishedPort("", 5353, 53, "udp"), [3]),
    ],
)
def test_a_port_is_named_by_what_is_said_of_it(wanted: PublishedPort, places: list[int]) -> None:
    assert ports_named(BOUND, wanted) == tuple(BOUND[place] for place in places)


def test_the_request_has_the_ports_and_all_else_as_before() -> None:
    request = ContainerRequest(image="i", name="n", published_ports=(WEB,), publish_all=True)
    text = changed_request(to_json(request), CONFIG._replace(publish_all=False))
    assert read_request("n", text) == request._replace(published_ports=CONFIG.published_ports, publish_all=False)
    assert json.loads(text)["image"] == "i"
    # an old record has none
    assert changed_request("", CONFIG) == ""
