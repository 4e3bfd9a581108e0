"""Rules of egress in a real router: what a restricted container reaches, and what is written of the rest."""

from __future__ import annotations

import errno
import os
import re
import socket
from typing import TYPE_CHECKING, Any

import dns.message
import dns.rrset
import pytest
import trio

from net.dns_upstream import Upstream
from net.egress import Refusal, parse_egress, restrict_text
from net.names import ContainerNames, NamedEndpoint
from net.networks import Subnet
from net.nft import NftContext, load_rules
from net.resolver import Resolver
from net.router import call_in_thread
from net.router_names import RouterNames
from tests.net.bridge_containers import (
    Container,
    bridge,
    connected,
    endpoint,
    make_container,
    router,
    run_in,
    run_in_user_namespace,
    socket_in,
)

if TYPE_CHECKING:
    from net.networks import EndpointSettings
    from net.router import Router

pytestmark = pytest.mark.requires("userns")
NAMES = ("example.org", "www.example.net", "evil.example")
WORLD, OTHER, PLACE = "192.0.2.1", "192.0.2.2", "198.51.100.7"


def _world(made: Router) -> Container:
    """A network behind the way out, with three addresses that answer to nobody but by ICMP."""
    world = make_container()
    _link_into(made, world)
    for command in ("link set eth0 up", f"address add {WORLD}/24 dev eth0", f"address add {OTHER}/24 dev eth0",
                    f"address add {PLACE}/32 dev eth0"):  # fmt: skip
        world.run("ip", *command.split())
    for command in ("link set tap0 up", "address add 192.0.2.100/24 dev tap0", f"route add default via {WORLD}"):
        run_in(("ip", *command.split()), made.net_fd)
    return world


def _link_into(made: Router, world: Container) -> None:
    command = ("ip", "link", "add", "tap0", "type", "veth", "peer", "name", "eth0", "netns", "/proc/self/fd/9")

    def run() -> None:
        pid = os.fork()
        if pid == 0:
            os.dup2(world.net_fd, 9)
            os.set_inheritable(9, True)
            os.execvp(command[0], command)
        assert os.waitpid(pid, 0)[1] == 0

    call_in_thread(made.net_fd, run)


def _named(settings: EndpointSettings, *names: str) -> NamedEndpoint:
    return NamedEndpoint(
        "id", "front", settings.address4, names=names, subnet4="172.17.0.0/16", interface=settings.host_interface
    )


async def _tried(container: Container, address: str, port: int) -> str:
    """What a TCP connection of the container meets: "open", or the name of the error."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with trio.socket.from_stdlib_socket(socket_in(container, family, socket.SOCK_STREAM)) as one:
        try:
            with trio.fail_after(10):
                await one.connect((address, port))
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return "open"


class _Answering:
    """A server of names that knows two."""

    async def ask(self, server: str, message: bytes, end: int, *, stream: bool) -> bytes:
        answer = dns.message.make_response(dns.message.from_wire(message))
        name = answer.question[0].name.to_text()
        address = {"example.org.": WORLD, "www.example.net.": OTHER, "loop.example.org.": "169.254.1.1"}[name]
        answer.answer = [dns.rrset.from_text(name, 3, "IN", "A", address)]
        return answer.to_wire()


def test_a_restricted_container_reaches_what_it_may_ask_for() -> None:
    told = run_in_user_namespace(_restricted)
    # the world has no server: a port that is reached is closed
    assert told["before it asked"] == "EHOSTUNREACH"
    assert told["after it asked"] == "ECONNREFUSED"
    assert told["another port"] == "EHOSTUNREACH"
    assert told["another address"] == "EHOSTUNREACH"
    assert told["an address of the rules"] == "ECONNREFUSED"
    assert told["a name of all ports"] == "ECONNREFUSED"
    assert told["its neighbour"] == ["ECONNREFUSED"] * 2
    assert told["a neighbour's address"] == "refused"
    assert told["to the neighbour"] == "ECONNREFUSED"
    assert told["after its monitor was lost"] == "EHOSTUNREACH"
    assert told["released"] == "ECONNREFUSED"
    assert told["still another port"] == "EHOSTUNREACH"
    assert told["codes"] == [0, 0, 5]
    assert told["written"] == [
        ["address", f"{WORLD}:443/tcp"],
        ["address", f"{WORLD}:80/tcp"],
        ["address", f"{OTHER}:443/tcp"],
        ["name", "evil.example"],
        ["address", f"{WORLD}:9/udp"],
    ]
    assert told["rules left"] == told["rules at first"]


def _restricted() -> dict[str, Any]:
    told: dict[str, Any] = {}
    names_of = ("allow=example.org,www.example.net:*,198.51.100.0/24:22",)
    with router() as (made, routing):
        world = _world(made)
        web, free = endpoint(bridge(), 2), endpoint(bridge(), 3)
        nft = call_in_thread(made.net_fd, NftContext)
        nft.run(restrict_text([], parse_egress(["deny"])))
        told["rules at first"] = _rules(nft)
        names = ContainerNames((_named(web, "web"),), egress=(names_of,))
        # before the veth is there: no packet passes unmarked
        nft.run(restrict_text([web.host_interface], parse_egress(names_of)))
        inside, neighbour = connected(routing, web), connected(routing, free)
        refused, written = trio.open_memory_channel[Refusal](100)

        async def main() -> None:
            resolver = Resolver(("192.0.2.53",))
            upstream = Upstream(lambda: resolver, exchange=_Answering())
            service = RouterNames(made.net_fd, refused.send_nowait, upstream=upstream)
            service.join("web", names)
            service.join("free", ContainerNames((_named(free, "free"),)))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(service.run)
                told["before it asked"] = await _tried(inside, WORLD, 443)
                told["another port"] = await _tried(inside, WORLD, 80)
                told["another address"] = await _tried(inside, OTHER, 443)
                told["its neighbour"] = [await _tried(neighbour, WORLD, port) for port in (443, 80)]
                told["codes"] = [await _code(inside, name) for name in NAMES]
                told["after it asked"] = await _tried(inside, WORLD, 443)
                told["still another port"] = await _tried(inside, WORLD, 80)
                told["a name of all ports"] = await _tried(inside, OTHER, 8080)
                told["an address of the rules"] = await _tried(inside, PLACE, 22)
                told["to the neighbour"] = await _tried(inside, free.address4, 80)
                told["a neighbour's address"] = _borrowed(inside, free.address4, world)
                told["written"] = []
                with trio.fail_after(10):
                    # the same is written once a second, so perhaps again
                    while f"{WORLD}:9/udp" not in [what for _, what in told["written"]]:
                        refusal = await written.receive()
                        told["written"] += [[*refusal[2:]]] * ([*refusal[2:]] not in told["written"])
                service.leave("web")
                told["after its monitor was lost"] = await _tried(inside, WORLD, 80)
                service.join("web", names._replace(egress=()))
                told["released"] = await _tried(inside, WORLD, 80)
                nursery.cancel_scope.cancel()

        trio.run(main)
        flush = " ".join(f"flush set inet sandbox_egress sandbox_admitted{kind}4;" for kind in ("", "_any"))
        nft.run(flush)
        told["rules left"] = _rules(nft)
        nft.close()
    return told


@pytest.mark.requires("ipv6")
def test_rules_hold_for_ipv6_too() -> None:
    assert run_in_user_namespace(_restricted6) == {
        "allowed": "ECONNREFUSED",
        "refused": "EACCES",
        "free": "ECONNREFUSED",
    }


def _restricted6() -> dict[str, str]:
    subnet6 = Subnet("fd00:17::", 64, "fd00:17::1")
    with router() as (made, routing):
        world = _world(made)
        world.run("ip", "address", "add", "2001:db8::1/64", "dev", "eth0", "nodad")
        for command in ("address add 2001:db8::100/64 dev tap0 nodad", "-6 route add default via 2001:db8::1"):
            run_in(("ip", *command.split()), made.net_fd)
        web, free = (endpoint(bridge(subnet6=subnet6), last) for last in (2, 3))
        rules = parse_egress(["allow=[2001:db8::1]:443"])
        call_in_thread(made.net_fd, lambda: load_rules(restrict_text([web.host_interface], rules)))
        inside, neighbour = connected(routing, web), connected(routing, free)

        async def main() -> dict[str, str]:
            return {
                "allowed": await _tried(inside, "2001:db8::1", 443),
                "refused": await _tried(inside, "2001:db8::1", 80),
                "free": await _tried(neighbour, "2001:db8::1", 80),
            }

        return trio.run(main)


def _rules(nft: NftContext) -> str:
    """The rules of egress, without what their counters say."""
    tables = nft.run("list table inet sandbox_egress") + nft.run("list table bridge sandbox_egress")
    return re.sub(r"packets \d+ bytes \d+", "", tables)


async def _code(container: Container, name: str) -> int:
    with trio.socket.from_stdlib_socket(socket_in(container, socket.AF_INET)) as asking:
        await asking.connect(("172.17.0.1", 53))
        await asking.send(dns.message.make_query(name, "A").to_wire())
        with trio.fail_after(10):
            return (await asking.recv(4096))[3] & 0xF


def _borrowed(container: Container, address: str, world: Container) -> str:
    """Whether a datagram with a neighbour's address as its source is refused, as the container's own are."""
    listening = socket_in(world, socket.AF_INET)
    with listening:
        listening.bind((WORLD, 9))
        listening.settimeout(0.5)
        container.run("ip", "address", "add", f"{address}/16", "dev", "eth0")
        with socket_in(container, socket.AF_INET) as asking:
            asking.bind((address, 0))
            try:
                asking.connect((WORLD, 9))
                asking.send(b"secret")
                listening.recv(100)
            except OSError:
                return "refused"
    return "sent"
