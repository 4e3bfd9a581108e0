"""Changes of a container's network: one after the other, each told of."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandbox.container.monitor.network import NetworkWatch
from sandbox.errors import HostError
from sandbox.runtime.reactor import Reactor
from sandbox.values import PublishedPort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from storage.waits import Steps

PORTS = tuple(PublishedPort("", number, 80) for number in (8080, 8081, 8082))


class Pipes:
    """A network whose changes wait for a byte each, and fail where that is an x."""

    def __init__(self) -> None:
        self.network_pidfd, self._event = os.pipe()
        self._reading, self._writing = os.pipe()
        self._healing, self._heals = os.pipe()
        self.begun: list[PublishedPort] = []
        #: called when it begins to be connected again
        self.reviving: Callable[[], None] = lambda: None

    def let(self, answers: bytes) -> None:
        os.write(self._writing, answers)

    def die(self) -> None:
        os.write(self._event, b"x")

    def heal(self, answers: bytes) -> None:
        os.write(self._heals, answers)

    def network_event(self, _refused: Callable[[str], None]) -> bool:
        return True

    def revive_network(self, _ports: Sequence[PublishedPort]) -> Steps[None]:
        os.read(self.network_pidfd, 1)
        self.reviving()
        yield self._healing, None
        if os.read(self._healing, 1) == b"x":
            raise HostError("no way out")

    def publish_steps(
        self, ports: Sequence[PublishedPort], _present: Sequence[PublishedPort]
    ) -> Steps[tuple[PublishedPort, ...]]:
        self.begun += ports
        yield self._reading, None
        if os.read(self._reading, 1) == b"x":
            raise HostError("taken")
        return tuple(ports)

    def unpublish_steps(self, _ports: Sequence[PublishedPort], _kept: Sequence[PublishedPort]) -> Steps[None]:
        yield from ()

    def set_healthy(self, is_healthy: bool) -> None:
        raise AssertionError("nobody asks for it")

    def withdraw(self) -> None:
        raise AssertionError("nobody asks for it")

    def change_networks_steps(self) -> Steps[None]:
        yield from ()
        raise HostError("no wire")

    def close(self) -> None:
        for fd in (self.network_pidfd, self._event, self._reading, self._writing, self._healing, self._heals):
            os.close(fd)


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    made = Pipes()
    yield made
    made.close()


class Told:
    """What was told; the loop stops when it is `count` things."""

    def __init__(self, reactor: Reactor, count: int) -> None:
        self._reactor, self._count = reactor, count
        self.things: list[object] = []

    def add(self, thing: object) -> None:
        self.things.append(str(thing) if isinstance(thing, Exception) else thing)
        if len(self.things) == self._count:
            self._reactor.stop()


def test_changes_are_made_one_after_the_other(pipes: Pipes) -> None:
    reactor = Reactor()
    told = Told(reactor, 5)
    watch = NetworkWatch(pipes, reactor, told.add, told.add)
    watch.begin()
    for port in PORTS:
        watch.publish((port,), told.add, told.add)
    watch.change_networks(lambda: told.add("changed"), told.add)
    watch.unpublish(PORTS[:1], told.add, told.add)
    assert (pipes.begun, told.things) == ([PORTS[0]], [])
    pipes.let(b".x.")
    reactor.run()
    assert told.things == [PORTS[:1], "taken", PORTS[2:], "no wire", PORTS[:1]]
    assert watch.ports == PORTS[2:]
    reactor.close()


def test_a_change_waits_for_the_network_to_be_connected_again(pipes: Pipes) -> None:
    reactor = Reactor()
    told = Told(reactor, 3)
    watch = NetworkWatch(pipes, reactor, told.add, told.add)
    watch.begin()
    watch.publish(PORTS[:1], told.add, told.add)

    def ask() -> None:
        for port in PORTS[1:]:
            watch.publish((port,), told.add, told.add)
        pipes.heal(b".")
        pipes.let(b"...")

    pipes.reviving = ask
    pipes.die()
    reactor.run()
    # the one in hand is made anew, and before those that came meanwhile
    assert pipes.begun == [PORTS[0], *PORTS]
    assert told.things == [PORTS[:1], PORTS[1:2], PORTS[2:]]
    assert watch.ports == PORTS
    reactor.close()


def test_a_change_that_ends_the_network_twice_fails(pipes: Pipes) -> None:
    reactor = Reactor()
    told = Told(reactor, 1)
    watch = NetworkWatch(pipes, reactor, told.add, told.add)
    watch.begin()
    watch.publish(PORTS[:1], told.add, told.add)

    def die_again() -> None:
        pipes.heal(b".")
        pipes.die()

    pipes.reviving = die_again
    pipes.die()
    reactor.run()
    assert told.things == ["its network ended meanwhile"]
    assert pipes.begun == [PORTS[0]] * 2
    watch.end()
    reactor.close()


def test_all_that_wait_are_told_when_the_network_does_not_come_again(pipes: Pipes) -> None:
    reactor = Reactor()
    told = Told(reactor, 4)
    watch = NetworkWatch(pipes, reactor, told.add, told.add)
    watch.begin()
    for port in PORTS:
        watch.publish((port,), told.add, told.add)
    pipes.die()
    pipes.heal(b"x")
    reactor.run()
    # the log of the container, and who asked
    assert told.things == ["no way out"] * 4
    assert pipes.begun == [PORTS[0]]
    watch.end()
    reactor.close()


def test_what_cannot_be_connected_again_is_tried_later_and_later(pipes: Pipes, monkeypatch: pytest.MonkeyPatch) -> None:
    reactor = Reactor()
    told = Told(reactor, 5)
    delays = []
    after = reactor.after

    def at_once(delay: float, act: Callable[[], None]) -> object:
        delays.append(delay)
        return after(0, act)

    def fail(error: Exception) -> None:
        pipes.die()
        told.add(error)

    monkeypatch.setattr(reactor, "after", at_once)
    watch = NetworkWatch(pipes, reactor, fail, told.add)
    watch.begin()
    pipes.die()
    pipes.heal(b"xxxxx")
    reactor.run()
    assert told.things == ["no way out"] * 5
    assert delays == [0, 0.5, 1.5, 3.5, 3.5]
    watch.end()
    reactor.close()


def test_all_that_wait_are_told_when_the_container_ends(pipes: Pipes) -> None:
    reactor = Reactor()
    told = Told(reactor, 3)
    watch = NetworkWatch(pipes, reactor, told.add, told.add)
    watch.begin()
    for port in PORTS:
        watch.publish((port,), told.add, told.add)
    watch.end()
    assert told.things == ["its network ended meanwhile"] * 3
    watch.publish(PORTS[:1], told.add, told.add)
    assert told.things[3:] == ["its network is not there yet, or no more"]
    assert pipes.begun == [PORTS[0]]
    reactor.close()
