"""127.0.0.11 in a container's network namespace, asked by `dig` there."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest
import trio

from net.container_names import begin_container_names
from net.dns_server import NameServer
from net.errors import NetError
from net.name_rules import Lead, lead_ports
from net.names import ContainerNames, NamedEndpoint
from net.nft import NftContext
from net.syscalls import CLONE_NEWNET, CLONE_NEWUSER, setns
from tests.net.bridge_containers import Container, make_container, run_in_user_namespace, socket_in

pytestmark = pytest.mark.requires("userns", "dig")
WEB = NamedEndpoint("id", "front", "172.30.0.2", "", "172.30.0.0/16", "", ("web",))


def test_port_53_leads_to_the_sockets_and_stays_free() -> None:
    told = run_in_user_namespace(_asked_inside)
    assert told["datagram"] == told["stream"] == "172.30.0.2\n"
    assert told["own server"] == "bound"
    udp_port, tcp_port = told["ports"]
    # newer versions of nft call the number by its name
    assert " ".join(told["rules"].replace("priority dstnat;", "priority -100;").split()) == (
        "table ip sandbox_names { chain sandbox_names_output { type nat hook output priority -100; policy accept; "
        f"ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:{udp_port} "
        f"ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:{tcp_port} }} }}"
    )


def test_who_has_no_power_over_the_namespace_is_told() -> None:
    with pytest.raises(NetError, match="name server") as caught:
        lead_ports(socket.inet_aton("127.0.0.11"), [Lead(socket.IPPROTO_TCP, 1, 2)])
    assert (caught.value.cause, caught.value.mend) == ("Operation not permitted", "sandbox doctor bridge")


def _asked_inside() -> dict[str, Any]:
    container = make_container()
    rules, (udp, tcp) = _begun(container)
    told: dict[str, Any] = {"rules": rules, "ports": [one.getsockname()[1] for one in (udp, tcp)]}
    # a program in the container may serve names itself
    own = socket_in(container, socket.AF_INET)
    own.bind(("0.0.0.0", 53))
    told["own server"] = "bound"

    async def main() -> None:
        server = NameServer()
        server.join("web", ContainerNames((WEB,)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_container, "web", [udp, tcp])
            for kind, words in (("datagram", ()), ("stream", ("+tcp",))):
                dig = ("dig", "+tries=1", "+time=10", "+short", *words, "@127.0.0.11", "web")
                told[kind] = await trio.to_thread.run_sync(container.run, *dig)
            nursery.cancel_scope.cancel()

    trio.run(main)
    own.close()
    return told


def _begun(container: Container) -> tuple[str, list[socket.socket]]:
    """What nft says of the rules, and the sockets."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        try:
            setns(container.user_fd, CLONE_NEWUSER)
            setns(container.net_fd, CLONE_NEWNET)
            fds = [one.detach() for one in begin_container_names()]
            socket.send_fds(theirs, [NftContext().run("list ruleset").encode()], fds)
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        data, fds, _flags, _address = socket.recv_fds(ours, 10_000, 2)
    os.waitpid(pid, 0)
    return data.decode(), [socket.socket(fileno=fd) for fd in fds]
