"""Routers and containers' network namespaces for tests, by the product's own code, and programs in them.

A test's code runs as root of a user namespace of its own, as a monitor does: `run_in_user_namespace(function)`.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from net.endpoints import add_endpoint
from net.namespace import prepare_bridged_namespace
from net.netlink import Rtnetlink, open_rtnetlink
from net.networks import BridgeSettings, EndpointSettings, Subnet, bridge_name, mac_of
from net.router import Router, make_router, open_namespace
from net.syscalls import CLONE_NEWNET, CLONE_NEWUSER, setns, unshare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: numbers of endpoints, as the records give them
FIRST_NUMBER = 1 << 20


class Container(NamedTuple):
    """A container's namespaces, held by descriptors alone, and a socket of its network namespace."""

    user_fd: int
    net_fd: int
    inside: Rtnetlink

    def close(self) -> None:
        """Let the namespaces go."""
        os.close(self.user_fd)
        os.close(self.net_fd)
        self.inside.close()

    def run(self, *command: str) -> str:
        """What `command` prints in it."""
        return run_in(command, self.net_fd, self.user_fd)


def run_in_user_namespace(function: Callable[..., Any], *arguments: str) -> Any:
    """What `function`, of a module's top level, returns as root of a new user namespace; JSON-plain."""
    command = ["unshare", "--user", "--map-root-user", "--keep-caps", sys.executable, "-m", __name__]
    command += [function.__module__, function.__name__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def router() -> Iterator[tuple[Router, Rtnetlink]]:
    """A router, and an rtnetlink socket of it."""
    made, routing = make_router()
    try:
        yield made, routing
    finally:
        routing.close()
        made.close()


def make_container() -> Container:
    """New namespaces as a container's are, below this process's user namespace."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        try:
            unshare(CLONE_NEWUSER | CLONE_NEWNET)
            # one id: without any, who executes a program has no rights left
            with open("/proc/self/uid_map", "w") as file:
                file.write("0 0 1")
            prepare_bridged_namespace()
            opened = (os.open("/proc/self/ns/user", os.O_RDONLY), open_namespace(), open_rtnetlink().detach())
            socket.send_fds(theirs, [b"+"], opened)
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        _data, fds, _flags, _address = socket.recv_fds(ours, 10, 3)
    os.waitpid(pid, 0)
    user_fd, net_fd, inside_fd = fds
    return Container(user_fd, net_fd, Rtnetlink.from_fd(inside_fd))


def bridge(letter: str = "a", third: int = 17, **settings: Any) -> BridgeSettings:
    """The network 172.`third`.0.0/16, with an id of one letter."""
    subnet = Subnet(f"172.{third}.0.0", 16, f"172.{third}.0.1")
    return BridgeSettings(bridge_name(letter * 64), subnet4=subnet, **settings)


def endpoint(on: BridgeSettings, last: int, **settings: Any) -> EndpointSettings:
    """The endpoint whose addresses end with `last`."""
    assert on.subnet4 is not None
    address4 = f"{on.subnet4.address[:-1]}{last}"
    address6 = f"{on.subnet6.address}{last:x}" if on.subnet6 is not None else ""
    number = FIRST_NUMBER + int(on.subnet4.address.split(".")[1]) * 256 + last
    made = EndpointSettings(on, number, "eth0", address4, address6, mac_of(address4))
    return made._replace(**settings)


def connected(routing: Rtnetlink, settings: EndpointSettings) -> Container:
    """A new container with that endpoint."""
    container = make_container()
    add_endpoint(routing, container.inside, container.net_fd, settings)
    return container


def run_in(command: tuple[str, ...], net_fd: int, user_fd: int = -1) -> str:
    """What `command` prints, on both streams, in a network namespace."""

    def enter() -> None:
        if user_fd >= 0:
            setns(user_fd, CLONE_NEWUSER)
        setns(net_fd, CLONE_NEWNET)

    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=30, preexec_fn=enter
    )
    return done.stdout


def ask_udp(asker: Container, server: Container, address: str) -> str:
    """Where an UDP server at `address`, in `server`, sees a packet of `asker` come from; "" where it is refused."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening, asking = socket_in(server, family), socket_in(asker, family)
    with listening, asking:
        listening.bind((address, 5353))
        # connected: the router's refusal, or that nobody has the address, comes back as an error
        asking.connect((address, 5353))
        asking.send(b"question")
        poll = select.poll()
        poll.register(listening, select.POLLIN)
        poll.register(asking, select.POLLERR)
        ((fd, _events), *_) = poll.poll(20_000)
        return str(listening.recvfrom(100)[1][0]) if fd == listening.fileno() else ""


def socket_in(place: Container, family: int, kind: int = socket.SOCK_DGRAM) -> socket.socket:
    """A socket of a container's network namespace, in this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        try:
            setns(place.user_fd, CLONE_NEWUSER)
            setns(place.net_fd, CLONE_NEWNET)
            socket.send_fds(theirs, [b"+"], [socket.socket(family, kind).detach()])
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        _data, fds, _flags, _address = socket.recv_fds(ours, 10, 1)
    os.waitpid(pid, 0)
    return socket.socket(fileno=fds[0])


def main(module: str, function: str, *arguments: str) -> None:
    print(json.dumps(getattr(importlib.import_module(module), function)(*arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
