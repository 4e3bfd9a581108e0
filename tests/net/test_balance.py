"""Which member of a service a connection is led to."""

from __future__ import annotations

import socket
from collections import Counter

from net.balance import REFUSED_SECONDS, Balance, Target
from net.client_address import ClientAddresses, ForwardTarget

FAMILY = socket.AF_INET
HOSTS = [f"10.{one}.{two}.7" for one in range(20) for two in range(50)]


def balance_of(*weights: int) -> Balance:
    """With members "a", "b", … of these weights, and a clock that stands."""
    balance = Balance(clock=lambda: 100.0)
    for number, weight in enumerate(weights):
        key = "abcdefgh"[number]
        balance.targets[key] = Target(key, ClientAddresses(ForwardTarget(f"172.30.0.{number + 2}")), weight)
    return balance


def chosen(balance: Balance, host: str = "10.0.0.1") -> str:
    target = balance.choose(FAMILY, host)
    assert target is not None
    return target.key


def test_connections_that_stay_are_spread_evenly() -> None:
    balance = balance_of(1, 1, 1)
    for _ in range(30):
        balance.enter(balance.targets[chosen(balance)])
    assert [one.open for one in balance.targets.values()] == [10, 10, 10]
    for _ in range(4):
        balance.leave(balance.targets["b"])
    for _ in range(4):
        key = chosen(balance)
        assert key == "b"
        balance.enter(balance.targets[key])


def test_connections_that_end_at_once_come_to_each_in_its_turn() -> None:
    balance = balance_of(1, 1, 1)
    assert Counter(chosen(balance) for _ in range(30)) == {"a": 10, "b": 10, "c": 10}


def test_a_weight_is_that_many_connections() -> None:
    balance = balance_of(1, 3)
    for _ in range(40):
        balance.enter(balance.targets[chosen(balance)])
    assert [one.open for one in balance.targets.values()] == [10, 30]


def test_who_leaves_or_has_no_address_gets_none() -> None:
    balance = balance_of(1, 1, 1)
    balance.targets["a"].is_leaving = True
    balance.targets["b"].clients = ClientAddresses(ForwardTarget())
    assert {chosen(balance) for _ in range(10)} == {"c"}
    assert balance.choose(FAMILY, "10.0.0.1", (balance.targets["c"],)) is None
    assert Balance().choose(FAMILY, "10.0.0.1") is None


def test_who_has_just_refused_is_the_last_choice() -> None:
    now = [100.0]
    balance = balance_of(1, 1)
    balance._clock = lambda: now[0]
    balance.refused(balance.targets["a"])
    assert {chosen(balance) for _ in range(10)} == {"b"}
    balance.targets["b"].is_leaving = True
    assert chosen(balance) == "a"
    balance.targets["b"].is_leaving = False
    now[0] += REFUSED_SECONDS
    assert {chosen(balance) for _ in range(10)} == {"a", "b"}


def test_affinity_spreads_clients_and_keeps_each() -> None:
    balance = balance_of(1, 1, 1, 1)
    balance.has_affinity = True
    first = {host: chosen(balance, host) for host in HOSTS}
    assert all(200 < number < 300 for number in Counter(first.values()).values())
    # whatever is open, and in another process
    balance.targets["a"].open = 1000
    other = balance_of(1, 1, 1, 1)
    other.has_affinity = True
    assert {host: chosen(balance, host) for host in HOSTS} == first == {host: chosen(other, host) for host in HOSTS}


def test_affinity_moves_the_clients_of_who_leaves_alone() -> None:
    balance = balance_of(1, 1, 1, 1)
    balance.has_affinity = True
    first = {host: chosen(balance, host) for host in HOSTS}
    balance.targets["b"].is_leaving = True
    second = {host: chosen(balance, host) for host in HOSTS}
    assert {first[host] for host in HOSTS if first[host] != second[host]} == {"b"}
    assert set(second.values()) == {"a", "c", "d"}


def test_affinity_knows_weights() -> None:
    balance = balance_of(1, 3)
    balance.has_affinity = True
    assert 200 < Counter(chosen(balance, host) for host in HOSTS)["a"] < 300
