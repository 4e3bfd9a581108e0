"""Published udp ports on the host's loopback, which slirp4netns cannot answer on.

A datagram from 127.0.0.1 reaches the container as one from the gateway 10.0.2.2; the answer goes to 10.0.2.2, which
is the host's loopback, which `--disable-host-loopback` keeps from containers: the client waits for ever. (Tcp is
not concerned: there slirp4netns knows the connection.) So the loopback addresses of a published udp port are served
by a small process of our own:

    client 127.0.0.1:x <-> [127.0.0.1:53, host] forwarder [a socket in the container's network] <-> 10.0.2.100:53

It binds beside slirp4netns' socket, both with SO_REUSEADDR: the kernel prefers the more specific address and, between
equals, the newest socket. Clients from elsewhere keep coming through slirp4netns, which keeps their addresses.
Inside, a client from the loopback shows as the container's own address, on a bridge as its gateway's, never as
127.0.0.1 (CVE-2021-20199).
"""

from __future__ import annotations

import os
import select
import signal
from _socket import AF_INET, SO_REUSEADDR, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOL_SOCKET, socket

from net.addresses import CONTAINER_ADDRESS
from net.descriptors import keep_only
from net.errors import NetError
from net.named_tuple import NamedTuple
from net.syscalls import CLONE_NEWNET, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, prctl, setns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from net.ports import PortMapping

_Address = tuple[str, int]

#: clients remembered for one process; the one silent for longest is forgotten first
_CLIENT_LIMIT = 512
_DATAGRAM_LIMIT = 65536
#: datagrams taken from one socket before the others get their turn
_BURST = 64


class _Client(NamedTuple):
    """A client's socket in the container's network, and where its answers go out."""

    inside: socket
    outside: socket
    address: _Address


def loopback_mappings(bound: Sequence[PortMapping]) -> tuple[PortMapping, ...]:
    """Those of the published ports that need a forwarder, with the loopback address it is to bind."""
    return tuple(
        mapping._replace(host_ip=mapping.host_ip if mapping.host_ip.startswith("127.") else "127.0.0.1")
        for mapping in bound
        if mapping.protocol == "udp" and (mapping.host_ip in ("", "0.0.0.0") or mapping.host_ip.startswith("127."))
    )


def start_udp_loopback(netns_fd: int, bound: Sequence[PortMapping], address: str = CONTAINER_ADDRESS) -> int:
    """Fork a forwarder for the published udp ports in `bound` that need one, and return its pid, or 0 where none does.

    They lead to `address`, which is reached from `netns_fd`.

    To be called after slirp4netns has its forwards, by a single-threaded process in the host's network namespace that
    may enter `netns_fd`. The child is killed when the caller's thread ends, or by `end_udp_loopback`.
    Raises NetError when a port cannot be bound.
    """
    mappings = loopback_mappings(bound)
    if not mappings:
        return 0
    outsides = _bind_all(mappings)
    parent = os.getpid()
    try:
        pid = os.fork()
        if pid == 0:
            ports = {one: (address, mapping.container_port) for one, mapping in zip(outsides, mappings, strict=True)}
            _child(netns_fd, parent, ports)
    finally:
        _close_all(outsides)
    return pid


def end_udp_loopback(pid: int) -> None:
    """End the forwarder and reap it; 0 is none."""
    if pid:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _child(netns_fd: int, parent: int, outsides: dict[socket, _Address]) -> NoReturn:
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        if os.getppid() == parent:
            keep_only((netns_fd, *(one.fileno() for one in outsides)))
            # the bound sockets stay in the host's network; what is made from here on is in the container's
            setns(netns_fd, CLONE_NEWNET)
            _Forwarder(outsides).run()
    finally:
        os._exit(1)


class _Forwarder:
    """Moves datagrams between clients on the loopback and the container."""

    def __init__(self, outsides: dict[socket, _Address]) -> None:
        self._ports = {one.fileno(): (one, place) for one, place in outsides.items()}
        #: by (outside fd, client address), the longest silent first
        self._clients: dict[tuple[int, _Address], _Client] = {}
        self._by_inside: dict[int, tuple[int, _Address]] = {}
        self._poll = select.epoll()
        for fd in self._ports:
            self._poll.register(fd, select.EPOLLIN)

    def run(self) -> NoReturn:
        while True:
            for fd, _ in self._poll.poll():
                if fd in self._ports:
                    self._from_outside(fd)
                elif fd in self._by_inside:
                    self._from_inside(fd)

    def _from_outside(self, fd: int) -> None:
        outside, place = self._ports[fd]
        for _ in range(_BURST):
            try:
                data, address = outside.recvfrom(_DATAGRAM_LIMIT)
            except OSError:
                return
            _send(self._client(outside, address, place).inside, data)

    def _from_inside(self, fd: int) -> None:
        client = self._clients[self._by_inside[fd]]
        for _ in range(_BURST):
            try:
                data = client.inside.recv(_DATAGRAM_LIMIT)
            except OSError:  # nothing more, or ECONNREFUSED: nobody listens inside
                return
            _send(client.outside, data, client.address)

    def _client(self, outside: socket, address: _Address, place: _Address) -> _Client:
        key = (outside.fileno(), address)
        client = self._clients.pop(key, None)
        if client is None:
            if len(self._clients) >= _CLIENT_LIMIT:
                self._forget(next(iter(self._clients)))
            inside = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
            inside.connect(place)
            client = _Client(inside, outside, address)
            self._by_inside[inside.fileno()] = key
            self._poll.register(inside.fileno(), select.EPOLLIN)
        self._clients[key] = client
        return client

    def _forget(self, key: tuple[int, _Address]) -> None:
        client = self._clients.pop(key)
        del self._by_inside[client.inside.fileno()]
        client.inside.close()


def _bind_all(mappings: Sequence[PortMapping]) -> list[socket]:
    bound: list[socket] = []
    for mapping in mappings:
        one = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
        bound.append(one)
        try:
            one.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            one.bind((mapping.host_ip, mapping.host_port))
        except OSError as error:
            _close_all(bound)
            raise NetError(
                f"cannot publish {mapping.host_ip}:{mapping.host_port}/udp", cause=error.strerror or str(error)
            ) from error
    return bound


def _close_all(sockets: Sequence[socket]) -> None:
    for one in sockets:
        one.close()


def _send(one: socket, data: bytes, address: _Address | None = None) -> None:
    # udp may lose a datagram: a full buffer or a closed port is no reason to stop
    try:
        if address is None:
            one.send(data)
        else:
            one.sendto(data, address)
    except OSError:
        pass
