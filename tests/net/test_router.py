"""The router, its bridges and endpoints: what is made, what reaches what, what is left."""

from __future__ import annotations

import json
import os
import socket
from functools import partial
from typing import Any

import pytest

from net.bridges import ensure_bridge, remove_unused_bridges
from net.endpoints import add_endpoint, remove_default_route, remove_endpoint, set_default_route
from net.errors import NetError
from net.link_messages import new_bridge
from net.netlink import Rtnetlink, open_rtnetlink
from net.networks import Subnet, bridge_name, mac_of, mac_of6
from net.nft import NftContext
from net.router import (
    Router,
    call_in_router,
    call_in_thread,
    open_namespace,
)
from net.syscalls import CLONE_NEWUSER, prctl, unshare
from storage.syscalls import PR_SET_DUMPABLE
from tests.net.bridge_containers import (
    Container,
    ask_udp,
    bridge,
    connected,
    endpoint,
    make_container,
    router,
    run_in,
    run_in_user_namespace,
    socket_in,
)

pytestmark = pytest.mark.requires("userns")
SUBNET6 = Subnet("fd00:17::", 64, "fd00:17::1")


def test_refusal_is_told_in_the_kernel_s_words() -> None:
    told = run_in_user_namespace(_refused)
    assert told == ["cannot make the bridge br-x", "mtu greater than device maximum"]


def _refused() -> list[str]:
    with router() as (_made, routing):
        try:
            routing.send(new_bridge("br-x", mtu=1 << 30, mac="02:42:00:00:00:01", group=0))
        except NetError as error:
            return [error.message, error.cause]
    return []


def test_names_are_those_that_docker_gives() -> None:
    assert bridge_name("0123456789abcdef") == "br-0123456789ab"
    assert mac_of("172.17.0.2") == "02:42:ac:11:00:02"
    assert mac_of6("fd00::1:2") == "02:42:00:01:00:02"
    names = {endpoint(bridge(), 2, number=number).host_interface for number in (1, 35, 36, 1 << 20, (1 << 31) - 1)}
    assert names == {"v1", "vz", "v10", "vmh34", "vzik0zj"}


def test_endpoint_is_what_a_container_expects() -> None:
    told = run_in_user_namespace(_one_endpoint)
    link = told["link"]
    assert (link["ifname"], link["address"], link["mtu"], link["operstate"]) == (
        "eth0", "02:42:ac:11:00:02", 1500, "UP",
    )  # fmt: skip
    assert told["addresses"] == ["172.17.0.2/16"], "and none of IPv6, which nobody asked for"
    assert told["routes"] == ["default via 172.17.0.1", "172.17.0.0/16 via None"]
    (port,) = told["ports"]
    assert (port["ifname"], port["mtu"], port["operstate"]) == (endpoint(bridge(), 2).host_interface, 1500, "UP")
    assert told["bridge"] == ["02:42:ac:11:00:01", 1500, ["172.17.0.1/16"]]


def _one_endpoint() -> dict[str, Any]:
    with router() as (made, routing):
        container = connected(routing, endpoint(bridge(mtu=1500), 2))
        (link,) = (link for link in _json(container, "link") if link["ifname"] == "eth0")
        (shown,) = json.loads(run_in(("ip", "-j", "address", "show", bridge().name), made.net_fd))
        return {
            "link": link,
            "addresses": _addresses(container),
            "routes": [f"{route['dst']} via {route.get('gateway')}" for route in _json(container, "route")],
            "ports": json.loads(run_in(("ip", "-j", "link", "show", "master", bridge().name), made.net_fd)),
            "bridge": [shown["address"], shown["mtu"], _global(shown)],
        }


def test_what_reaches_what() -> None:
    told = run_in_user_namespace(_reach)
    assert told["same network"] == "172.17.0.2"
    assert told["same network, IPv6"] == "fd00:17::2"
    assert told["other network"] == ""
    assert told["internal network"] == "172.19.0.2"
    assert told["into an internal one"] == ""
    assert told["out of an internal one"] == ""
    assert told["without icc"] == "[True, True]"
    assert told["without icc, by the router"] == ""


def _reach() -> dict[str, str]:
    first, second = bridge(subnet6=SUBNET6), bridge("b", 18)
    internal, apart = bridge("c", 19, internal=True), bridge("d", 20, icc=False)
    with router() as (made, routing):
        one, two = (connected(routing, endpoint(first, last)) for last in (2, 3))
        other = connected(routing, endpoint(second, 2))
        hidden, hidden_too = (connected(routing, endpoint(internal, last)) for last in (2, 3))
        alone, alone_too = (connected(routing, endpoint(apart, last)) for last in (2, 3))
        ports = json.loads(run_in(("ip", "-j", "-d", "link", "show", "master", apart.name), made.net_fd))
        # routes that a container with NET_ADMIN would give itself
        alone.run("ip", "route", "add", "172.20.0.3", "via", "172.20.0.1")
        hidden.run("ip", "route", "add", "default", "via", "172.19.0.1")
        return {
            "same network": ask_udp(one, two, "172.17.0.3"),
            "same network, IPv6": ask_udp(one, two, "fd00:17::3"),
            "other network": ask_udp(one, other, "172.18.0.2"),
            "internal network": ask_udp(hidden, hidden_too, "172.19.0.3"),
            "into an internal one": ask_udp(one, hidden, "172.19.0.2"),
            "out of an internal one": ask_udp(hidden, one, "172.17.0.2"),
            "without icc": str([port["linkinfo"]["info_slave_data"]["isolated"] for port in ports]),
            "without icc, by the router": ask_udp(alone, alone_too, "172.20.0.3"),
        }


def test_several_networks_for_one_container() -> None:
    told = run_in_user_namespace(_two_networks)
    assert told["at first"] == ["default via 172.17.0.1 dev eth0"]
    assert told["moved"] == ["default via 172.18.0.1 dev eth1"]
    assert told["removed"] == []
    assert told["addresses"] == ["172.17.0.2/16", "172.18.0.2/16"]
    assert told["left"] == ["172.17.0.2/16"]
    assert told["again"] == ["172.17.0.2/16", "172.18.0.9/16"]


def _two_networks() -> dict[str, list[str]]:
    first, second = (
        endpoint(bridge(), 2),
        endpoint(bridge("b", 18), 2, interface="eth1", position=1, default_route=False),
    )
    with router() as (_made, routing):
        container = connected(routing, first)
        add_endpoint(routing, container.inside, container.net_fd, second)
        told = {"at first": _default_routes(container), "addresses": _addresses(container)}
        set_default_route(container.inside, second)
        told["moved"] = _default_routes(container)
        for _twice in range(2):
            remove_default_route(container.inside, second)
        told["removed"] = _default_routes(container)
        for _twice in range(2):
            remove_endpoint(routing, second)
        told["left"] = _addresses(container)
        again = endpoint(bridge("b", 18), 9, interface="eth1", position=1, default_route=False)
        add_endpoint(routing, container.inside, container.net_fd, again)
        told["again"] = _addresses(container)
        return told


def test_packets_of_transparent_sockets_come_back() -> None:
    """A published port's client is seen with its own address, which lies behind the router."""
    told = run_in_user_namespace(_transparent)
    assert told == ["198.51.100.7", "2001:db8::7", "answer", "answer", "0"], "and nothing is tracked"


def _transparent() -> list[str]:
    with router() as (made, routing):
        container = connected(routing, endpoint(bridge(subnet6=SUBNET6), 2))
        seen, answers = [], []
        for family, address, client in (
            (socket.AF_INET, "172.17.0.2", "198.51.100.7"),
            (socket.AF_INET6, "fd00:17::2", "2001:db8::7"),
        ):
            listening = _listen(container, family, address)
            (fd,) = call_in_router(made, partial(_bound, family, client))
            with listening, socket.socket(fileno=fd) as client_socket:
                client_socket.settimeout(10)
                client_socket.connect((address, 80))
                accepted, peer = listening.accept()
                with accepted:
                    accepted.sendall(b"answer")
                    answers.append(client_socket.recv(100).decode())
                    seen.append(peer[0])
        tracked = run_in(("cat", "/proc/sys/net/netfilter/nf_conntrack_count"), made.net_fd)
        return [*seen, *answers, tracked.strip()]


def _bound(family: int, address: str) -> tuple[int]:
    opened = socket.socket(family)
    # IP_TRANSPARENT, IPV6_TRANSPARENT: <linux/in.h>, <linux/in6.h>
    level, option = (socket.SOL_IP, 19) if family == socket.AF_INET else (socket.IPPROTO_IPV6, 75)
    opened.setsockopt(level, option, 1)
    opened.bind((address, 0))
    return (opened.detach(),)


def _listen(container: Container, family: int, address: str) -> socket.socket:
    listening = socket_in(container, family, socket.SOCK_STREAM)
    listening.bind((address, 80))
    listening.listen()
    listening.settimeout(10)
    return listening


def test_command_outside_enters_by_both_namespaces() -> None:
    """As `network rm` does, from the host's namespaces."""
    holder_end, our_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        try:
            _become_root(os.getuid())
            with router() as (made, routing):
                ensure_bridge(routing, bridge())
                holder_end.send(str(made.net_fd).encode())
                our_end.close()
                holder_end.recv(1)
        finally:
            os._exit(0)
    holder_end.close()
    with our_end:
        fd = int(our_end.recv(100))
        places = (f"/proc/{pid}/ns/user", f"/proc/{pid}/fd/{fd}")
        found = Router(*(os.open(place, os.O_RDONLY | os.O_CLOEXEC) for place in places))
        with pytest.raises(NetError, match="cannot enter the network"):
            call_in_router(found, lambda: ())
        # its uid owns K, so it may use the socket from where it is
        (routing_fd,) = call_in_router(found, lambda: (open_rtnetlink().detach(),), join_user=True)
        routing = Rtnetlink.from_fd(routing_fd)
        assert remove_unused_bridges(routing) == (bridge().name,)
        assert remove_unused_bridges(routing) == ()
        routing.close()
        found.close()
    os.waitpid(pid, 0)


def _become_root(uid: int) -> None:
    unshare(CLONE_NEWUSER)
    with open("/proc/self/uid_map", "w") as file:
        file.write(f"0 {uid} 1")
    # a change of credentials closes what /proc shows of us
    prctl(PR_SET_DUMPABLE, 1)


def test_thread_goes_in_and_the_process_stays() -> None:
    told = run_in_user_namespace(_thread)
    assert told == {"stayed": True, "rules": True, "error": "no", "elements": True}


def _thread() -> dict[str, Any]:
    def fail() -> None:
        raise NetError("no")

    with router() as (made, _routing):
        before = os.stat("/proc/thread-self/ns/net").st_ino
        context = call_in_thread(made.net_fd, NftContext)
        rules = context.run("list ruleset")
        context.run("add table inet sandbox_mine; add set inet sandbox_mine some { type ipv4_addr; }")
        context.run("add element inet sandbox_mine some { 192.0.2.1 }")
        elements = context.run("list set inet sandbox_mine some")
        context.close()
        context.close()
        error = ""
        try:
            call_in_thread(made.net_fd, fail)
        except NetError as failure:
            error = failure.message
        return {
            "stayed": os.stat("/proc/thread-self/ns/net").st_ino == before,
            "rules": "sandbox_router" in rules,
            "elements": "192.0.2.1" in elements,
            "error": error,
        }


def test_bridges_go_when_nobody_is_on_them() -> None:
    told = run_in_user_namespace(_unused)
    assert told["removed"] == ["br-cccccccccccc"]
    assert told["left"] == ["br-aaaaaaaaaaaa", "br-bbbbbbbbbbbb", "br-dddddddddddd"]
    assert told["after"] == ["br-aaaaaaaaaaaa", "br-bbbbbbbbbbbb"]


def _unused() -> dict[str, Any]:
    with router() as (made, routing):
        connected(routing, endpoint(bridge(), 2))
        for letter, third in (("b", 18), ("c", 19), ("d", 20)):
            ensure_bridge(routing, bridge(letter, third, internal=letter == "d"))
        told: dict[str, Any] = {}
        told["removed"] = remove_unused_bridges(routing, {"br-bbbbbbbbbbbb", "br-dddddddddddd"})
        told["left"] = sorted(name for name in _link_names(made) if name.startswith("br-"))
        for _twice in range(2):
            remove_unused_bridges(routing, {"br-bbbbbbbbbbbb"})
        told["after"] = sorted(name for name in _link_names(made) if name.startswith("br-"))
        return told


def test_network_that_is_gone_leaves_its_subnet() -> None:
    """A bridge whose network was removed while nobody could reach the router."""
    assert run_in_user_namespace(_successor) == ["br-bbbbbbbbbbbb"]


def _successor() -> list[str]:
    with router() as (made, routing):
        ensure_bridge(routing, bridge("a", subnet6=SUBNET6))
        ensure_bridge(routing, bridge("b"))
        return [name for name in _link_names(made) if name.startswith("br-")]


def test_half_made_bridge_is_completed() -> None:
    assert run_in_user_namespace(_half_made) == ["172.17.0.1/16", "fd00:17::1/64"]


def _half_made() -> list[str]:
    settings = bridge(subnet6=SUBNET6)
    with router() as (made, routing):
        # where its maker was killed
        routing.send(new_bridge(settings.name, mtu=settings.mtu, mac="02:42:ac:11:00:01", group=0x5B0))
        assert ensure_bridge(routing, settings) == ensure_bridge(routing, settings)
        (shown,) = json.loads(run_in(("ip", "-j", "address", "show", settings.name), made.net_fd))
        return _global(shown)


def test_endpoint_that_fails_leaves_nothing() -> None:
    told = run_in_user_namespace(_failed)
    assert told["message"] == "cannot keep the link without an IPv6 address: No such device"
    assert told["links"] == ["br-aaaaaaaaaaaa", "lo"]
    assert told["name"] == "cannot connect a/b to its network"


def _failed() -> dict[str, Any]:
    with router() as (made, routing):
        container, other = make_container(), make_container()
        told: dict[str, Any] = {}
        try:
            # the socket of another namespace: nothing of that index is there
            add_endpoint(routing, other.inside, container.net_fd, endpoint(bridge(), 2, address6=""))
        except NetError as error:
            told["message"] = f"{error.message}: {error.cause}"
        try:
            add_endpoint(routing, container.inside, container.net_fd, endpoint(bridge(), 2, interface="a/b"))
        except NetError as error:
            told["name"] = error.message
        told["links"] = sorted(_link_names(made))
        return told


def test_same_endpoint_again_takes_the_place_of_what_is_left() -> None:
    """A container's namespace is taken away after its monitor's end, and the next start may come before that."""
    assert run_in_user_namespace(_again) == ["172.17.0.2/16"]


def _again() -> list[str]:
    with router() as (_made, routing):
        connected(routing, endpoint(bridge(), 2))
        return _addresses(connected(routing, endpoint(bridge(), 2)))


@pytest.mark.parametrize("rounds", [10, pytest.param(200, marks=pytest.mark.long)])
def test_containers_that_come_and_go_leave_nothing(rounds: int) -> None:
    before, after = run_in_user_namespace(_rounds, str(rounds))
    assert before == after


def _rounds(count: str) -> list[Any]:
    second = endpoint(bridge("b", 18), 2, interface="eth1", position=1, default_route=False)
    seen = []
    with router() as (made, routing):
        connected(routing, endpoint(bridge(), 200))
        for number in range(int(count)):
            if number in (1, int(count) - 1):
                seen.append(_what_is_there(made))
            container = connected(routing, endpoint(bridge(), 2 + number % 100))
            add_endpoint(routing, container.inside, container.net_fd, second)
            remove_endpoint(routing, second)
            assert remove_unused_bridges(routing) == (second.bridge.name,)
            remove_endpoint(routing, endpoint(bridge(), 2 + number % 100))
            container.close()
    return seen


def _what_is_there(made: Router) -> dict[str, Any]:
    texts = {name: run_in(("sh", "-c", command), made.net_fd) for name, command in _SHOWN.items()}
    context = call_in_thread(made.net_fd, NftContext)
    rules = context.run("list ruleset")
    context.close()
    return {**texts, "rules": rules, "descriptors": len(os.listdir("/proc/self/fd"))}


#: what a router consists of; counters of interfaces are not shown
_SHOWN = {
    "links": "ip -br link | cut -d' ' -f1 | sort",
    "addresses": "ip -br address",
    "routes": "ip route show table all; ip -6 route show table all; ip rule; ip -6 rule",
}


def test_router_goes_with_its_last_holder() -> None:
    told = run_in_user_namespace(_last_holder)
    assert told == [True, False]


def _last_holder() -> list[bool]:
    """Whether a packet's way through the router is there while somebody holds it, and after."""
    with router() as (_made, routing):
        container = connected(routing, endpoint(bridge(), 2))
        alive = _has_link(container, "eth0")
    # a worker of the kernel takes it away, cleanup_net()
    _wait_until_gone(container)
    return [alive, _has_link(container, "eth0")]


def _wait_until_gone(container: Container) -> None:
    with _link_events(container) as events:
        events.settimeout(20)
        while _has_link(container, "eth0"):
            events.recv(1 << 16)


def _link_events(container: Container) -> socket.socket:
    (fd,) = call_in_router(Router(container.user_fd, container.net_fd), lambda: (_subscribed(),), join_user=True)
    return socket.socket(fileno=fd)


def _subscribed() -> int:
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
    # RTMGRP_LINK, <linux/rtnetlink.h>
    events.bind((0, 1))
    return events.detach()


def test_call_in_a_child_that_breaks() -> None:
    assert run_in_user_namespace(_broken) == [
        "a helper process failed",
        "ValueError: invalid literal for int() with base 10: 'no number'",
    ]


def _broken() -> list[str]:
    with router() as (made, _routing):
        try:
            call_in_router(made, lambda: (int("no number"),))
        except NetError as error:
            return [error.message, error.cause]
    return []


def test_namespace_that_is_none() -> None:
    with open("/dev/null") as nothing, pytest.raises(NetError, match="cannot enter the network"):
        call_in_router(Router(-1, nothing.fileno()), lambda: (open_namespace(),))


def _json(container: Container, kind: str) -> Any:
    return json.loads(container.run("ip", "-j", kind))


def _addresses(container: Container) -> list[str]:
    return [text for link in _json(container, "address") if link["ifname"] != "lo" for text in _global(link, "link")]


def _global(link: Any, *scopes: str) -> list[str]:
    return [
        f"{each['local']}/{each['prefixlen']}" for each in link["addr_info"] if each["scope"] in ("global", *scopes)
    ]


def _default_routes(container: Container) -> list[str]:
    return [line.strip() for line in container.run("ip", "route").splitlines() if line.startswith("default")]


def _has_link(container: Container, name: str) -> bool:
    return any(link["ifname"] == name for link in _json(container, "link"))


def _link_names(made: Router) -> list[str]:
    return [link["ifname"] for link in json.loads(run_in(("ip", "-j", "link"), made.net_fd))]
