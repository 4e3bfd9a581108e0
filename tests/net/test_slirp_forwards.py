"""Which ports of slirp4netns the keeper opens and closes; slirp4netns is a list here."""

from __future__ import annotations

import trio
import trio.testing

from net.errors import NetError
from net.keeper_protocol import KeeperMember
from net.names import ContainerNames
from net.ports import Forward, PortMapping
from net.slirp_forwards import SlirpForwards
from net.slirp_protocol import HostForward

ONE, TWO = "172.30.0.2", "172.30.0.3"


class _Slirp:
    """What slirp4netns is asked, answered at once."""

    def __init__(self) -> None:
        self.is_gone = False
        self.entries: dict[int, HostForward] = {}
        self._next = 1

    async def list_hostfwd(self) -> tuple[HostForward, ...]:
        await trio.lowlevel.checkpoint()
        if self.is_gone:
            raise NetError("slirp4netns does not answer")
        return tuple(self.entries.values())

    async def add_hostfwd(self, forward: Forward, container_port: int, address: str) -> int:
        await trio.lowlevel.checkpoint()
        if self.is_gone or any(one.forward == forward for one in self.entries.values()):
            raise NetError("slirp4netns refused")
        self.put(forward.host_port, address)
        return self._next - 1

    async def remove_hostfwd(self, forward_id: int) -> None:
        await trio.lowlevel.checkpoint()
        del self.entries[forward_id]

    def put(self, port: int, address: str) -> None:
        self.entries[self._next] = HostForward(self._next, Forward("0.0.0.0", port, "tcp"), 80, address)
        self._next += 1

    @property
    def open(self) -> dict[int, str]:
        return {one.forward.host_port: one.address for one in self.entries.values()}


class _Stand:
    def __init__(self) -> None:
        self.slirp, self.notes = _Slirp(), list[str]()
        self.forwards = SlirpForwards("/nowhere", self.notes.append)
        self.forwards._api = self.slirp  # type: ignore[assignment]

    def know(self, container: str, target: str, *ports: int) -> None:
        mappings = tuple(PortMapping("0.0.0.0", port, 80, "tcp") for port in ports)
        names = ContainerNames((), ())
        self.forwards.know(KeeperMember(container, 1, names, forwards=mappings, forward_target=target))


def _run(test: object) -> None:
    async def run() -> None:
        stand = _Stand()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stand.forwards.run)
            await trio.testing.wait_all_tasks_blocked()
            await test(stand)  # type: ignore[operator]
            nursery.cancel_scope.cancel()

    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0.01))


def test_what_a_container_has_published_stays_until_it_leaves() -> None:
    async def test(stand: _Stand) -> None:
        stand.slirp.put(8080, ONE)
        stand.know("a", ONE, 8080)
        stand.know("b", TWO)
        await trio.testing.wait_all_tasks_blocked()
        stand.slirp.put(9090, TWO)
        stand.know("b", TWO, 9090)
        await trio.testing.wait_all_tasks_blocked()
        assert stand.slirp.open == {8080: ONE, 9090: TWO}
        stand.forwards.leave("a")
        await trio.testing.wait_all_tasks_blocked()
        assert stand.slirp.open == {9090: TWO}
        stand.forwards.leave("unknown")

    _run(test)


def test_what_leads_to_the_address_of_a_new_container_is_closed() -> None:
    async def test(stand: _Stand) -> None:
        stand.slirp.put(8080, ONE)
        stand.know("a", ONE)
        await trio.testing.wait_all_tasks_blocked()
        assert stand.slirp.open == {}

    _run(test)


def test_ports_follow_a_container_to_another_address_and_end_with_its_last() -> None:
    async def test(stand: _Stand) -> None:
        stand.slirp.put(8080, ONE)
        stand.know("a", ONE, 8080)
        stand.know("a", TWO, 8080)
        await trio.testing.wait_all_tasks_blocked()
        assert stand.slirp.open == {8080: TWO}
        stand.know("a", "")
        await trio.testing.wait_all_tasks_blocked()
        assert stand.slirp.open == {}

    _run(test)


def test_all_are_opened_again_and_one_that_cannot_be_is_noted() -> None:
    async def test(stand: _Stand) -> None:
        stand.know("a", ONE, 8080, 8081)
        await trio.testing.wait_all_tasks_blocked()
        stand.slirp.entries.clear()
        stand.slirp.put(8081, TWO)
        await stand.forwards.reopen()
        assert stand.slirp.open == {8080: ONE, 8081: TWO}
        assert stand.notes == ["port 0.0.0.0:8081/tcp is not open again: slirp4netns refused: "]

    _run(test)


def test_what_leads_to_nobody_is_closed_when_all_have_come_back() -> None:
    async def test(stand: _Stand) -> None:
        stand.slirp.put(8080, ONE)
        stand.slirp.put(9090, TWO)
        stand.know("b", TWO, 9090)
        await trio.sleep(60)
        assert stand.slirp.open == {9090: TWO}

    _run(test)


def test_without_slirp4netns_it_is_noted_and_goes_on() -> None:
    async def test(stand: _Stand) -> None:
        stand.slirp.is_gone = True
        stand.know("a", ONE, 8080)
        await trio.sleep(60)
        assert stand.notes == ["the ports of slirp4netns: slirp4netns does not answer: "]
        stand.slirp.is_gone = False
        await stand.forwards.reopen()
        assert stand.slirp.open == {8080: ONE}

    _run(test)
