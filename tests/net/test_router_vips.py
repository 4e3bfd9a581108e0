"""Single addresses of services in a real router: connections go to each member that serves, and to no other."""

from __future__ import annotations

import os
import select
import socket
import tempfile
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import dns.message
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from net.names import ContainerNames, NamedEndpoint
from net.router_names import RouterNames
from net.vips import Vip, write_vips
from tests.net.bridge_containers import bridge, connected, endpoint, router, run_in, run_in_user_namespace, socket_in

if TYPE_CHECKING:
    from net.networks import EndpointSettings
    from tests.net.bridge_containers import Container

pytestmark = [pytest.mark.requires("userns"), pytest.mark.slow]

VIP = "172.17.0.200"
#: its first digits are the bridge's name
NETWORK = "0" * 64


def _named(settings: EndpointSettings, name: str, service: str = "", *, serves: bool = True) -> ContainerNames:
    network = settings.bridge.name.removeprefix("br-").ljust(64, "0")
    named = NamedEndpoint(
        network, "front", settings.address4, "", "172.17.0.0/16", "", (name,), False, settings.host_interface, service,
        ("web",) if service else (), serves,
    )  # fmt: skip
    return ContainerNames((named,))


class _Servers:
    """A listening socket in each member."""

    def __init__(self, open_ones: ExitStack, members: dict[str, Container]) -> None:
        self._sockets = {}
        for name, container in members.items():
            server = open_ones.enter_context(socket_in(container, socket.AF_INET, socket.SOCK_STREAM))
            server.bind(("0.0.0.0", 80))
            server.listen(50)
            self._sockets[name] = server

    def ask(self, client: Container, times: int) -> dict[str, int]:
        """Who of them gets how many of so many connections, one after the other; "" where one is refused."""
        return dict(Counter(self._one(client) for _ in range(times)))

    def _one(self, client: Container) -> str:
        with socket_in(client, socket.AF_INET, socket.SOCK_STREAM) as asking:
            asking.settimeout(60)
            try:
                asking.connect((VIP, 80))
            except ConnectionRefusedError:
                return ""
            (waiting,) = select.select(list(self._sockets.values()), [], [], 60)[0]
            with waiting.accept()[0] as inside:
                inside.sendall(b"answer")
                assert asking.recv(100) == b"answer"
        return next(name for name, one in self._sockets.items() if one is waiting)


def test_connections_are_spread_over_those_that_serve() -> None:
    told = run_in_user_namespace(_spread)
    assert told["name before any member"] == VIP
    assert told["without members"] == {"": 1}
    assert told["two"] == {"one": 10, "two": 10}
    assert told["one taken out"] == {"one": 20}
    assert told["of itself"] == {"one": 4}
    assert told["both again, to a keeper that follows"] == {"one": 10, "two": 10}
    assert told["removed"] == []


def _spread() -> dict[str, Any]:
    told: dict[str, Any] = {}
    with router() as (made, routing), tempfile.TemporaryDirectory() as directory, ExitStack() as open_ones:
        ends = {name: endpoint(bridge(), number) for number, name in enumerate(("client", "one", "two"), 2)}
        places = {name: connected(routing, end) for name, end in ends.items()}
        servers = _Servers(open_ones, {name: places[name] for name in ("one", "two")})
        path = os.path.join(directory, "vips")
        network = _named(ends["client"], "client").endpoints[0].network

        def addresses() -> list[str]:
            text = run_in(("ip", "-o", "-4", "address", "show", "dev", ends["client"].bridge.name), made.net_fd)
            return [word for word in text.split() if word.endswith("/32")]

        async def ask_name() -> str:
            with trio.socket.from_stdlib_socket(socket_in(places["client"], socket.AF_INET)) as asking:
                await asking.connect(("172.17.0.1", 53))
                await asking.send(dns.message.make_query("web", "A").to_wire())
                answer = dns.message.from_wire(await asking.recv(4096))
                assert answer.answer[0].ttl == 0
                return str(answer.answer[0][0].to_text())

        def join(service: RouterNames, *names: str, serves: bool = True) -> None:
            for name in names:
                service.join(name, _named(ends[name], name, "s1", serves=serves))

        async def first() -> None:
            service = RouterNames(
                made.net_fd, lambda refusal: None, vips=path, note=told.setdefault("notes", []).append
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(service.run)
                service.join("client", _named(ends["client"], "client"))
                await wait_all_tasks_blocked()
                # told while it runs: a name that is asked for makes it look
                write_vips(path, [Vip("s1", network, VIP, ("web",))])
                told["name before any member"] = await ask_name()
                await wait_all_tasks_blocked()
                told["without members"] = servers.ask(places["client"], 1)
                join(service, "one", "two")
                await wait_all_tasks_blocked()
                told["two"] = servers.ask(places["client"], 20)
                join(service, "two", serves=False)
                await wait_all_tasks_blocked()
                told["one taken out"] = servers.ask(places["client"], 20)
                told["of itself"] = servers.ask(places["one"], 4)
                nursery.cancel_scope.cancel()

        async def second() -> None:
            service = RouterNames(made.net_fd, lambda refusal: None, vips=path, note=told["notes"].append)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(service.run)
                join(service, "one", "two")
                await wait_all_tasks_blocked()
                told["both again, to a keeper that follows"] = servers.ask(places["client"], 20)
                write_vips(path, [])
                service.leave("one")
                await wait_all_tasks_blocked()
                told["removed"] = addresses()
                nursery.cancel_scope.cancel()

        trio.run(first)
        assert addresses() == [f"{VIP}/32"]
        trio.run(second)
        assert told["notes"] == []
    return told
