"""The host's side of a published port: is it free, who has it, may this user have it.

slirp4netns answers a refused forward with no reason at all, so the reason is found here by trying to bind; our own
forwarder gets the bound sockets themselves (`net.listeners`). All of it in the host's network namespace. `_socket`,
not `socket`: `run -p` does this before anything else starts.
"""

from __future__ import annotations

import errno
import os
import sys
from _socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_IPV6,
    IPV6_V6ONLY,
    SO_REUSEADDR,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOL_SOCKET,
    inet_ntop,
    socket,
)

from net.errors import NetError
from net.named_tuple import NamedTuple
from net.ports import Forward, PortMapping, addresses_overlap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_UNPRIVILEGED_START = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
#: how many free ports the kernel is asked for before giving up
_RANDOM_TRIES = 32
#: proc_net_tcp: TCP_LISTEN, and TCP_CLOSE for a bound udp socket
_LISTENING = {"tcp": "0A", "udp": "07"}


class PortInUseError(NetError):
    """Another socket has the port; `forward` says which, `pid` who where it is this user's process, else 0.

    `free_port` is one that can be had, or 0.
    """

    def __init__(self, forward: Forward, pid: int = 0) -> None:
        super().__init__(
            f"port is already allocated: {forward}",
            cause=f"{_process_name(pid)} (pid {pid}) listens on it" if pid else "another socket is bound to it",
        )
        self.forward = forward
        self.pid = pid
        self.free_port = _free_port(forward)
        self.mend = _other_port(self.free_port)


class PrivilegedPortError(NetError):
    """The port is below what the host gives to users without privilege; `free_port` is one that can be had, or 0."""

    def __init__(self, forward: Forward) -> None:
        start = unprivileged_port_start()
        super().__init__(
            f"cannot publish port {forward}: it needs a port above {start - 1}",
            cause=f"unprivileged ports begin at {start} here (net.ipv4.ip_unprivileged_port_start)",
        )
        self.forward = forward
        self.free_port = _free_port(forward)
        self.lower_start = f"sudo sysctl net.ipv4.ip_unprivileged_port_start={forward.host_port}"
        self.mend = f"{_other_port(self.free_port)}; or, by an administrator: {self.lower_start}"


class BoundSocket(NamedTuple):
    """One line of /proc/net/tcp or udp."""

    address: str
    port: int
    inode: int


def candidates(mapping: PortMapping) -> Iterator[Forward]:
    """The forwards to try for `mapping` on one address, best first; each is free at the moment it is given if chosen at
    random.
    """
    address = mapping.host_ip or "0.0.0.0"
    if mapping.host_port:
        for port in range(mapping.host_port, (mapping.host_port_end or mapping.host_port) + 1):
            yield Forward(address, port, mapping.protocol)
        return
    for _ in range(_RANDOM_TRIES):
        yield Forward(address, _bind(Forward(address, 0, mapping.protocol)), mapping.protocol)


def check_free(forward: Forward) -> None:
    """Raise NetError unless a socket can be bound to `forward` now; nothing stays bound."""
    try:
        _bind(forward)
    except OSError as error:
        raise explained(forward, error) from error


def check_bound_once(forwards: Sequence[Forward]) -> None:
    """Raise NetError unless each of `forwards` is listened on by exactly one socket.

    Not more than one, because udp sockets that both set SO_REUSEADDR, as libslirp's do, share a port silently and the
    datagrams go to the newest.
    """
    for protocol in {forward.protocol for forward in forwards}:
        sockets = read_bound_sockets(protocol)
        for forward in forwards:
            if forward.protocol != protocol:
                continue
            owners = [entry for entry in sockets if _is_at(entry, forward)]
            if not owners:
                raise NetError(f"port {forward} was not opened", cause="slirp4netns accepted it but does not listen")
            if len(owners) > 1 and protocol == "udp":
                raise PortInUseError(forward)


def read_bound_sockets(protocol: str, *, ipv6: bool = False) -> list[BoundSocket]:
    """The host's listening tcp or bound udp sockets on IPv4 addresses, or on IPv6 ones, of all users."""
    found: list[BoundSocket] = []
    try:
        with open(f"/proc/net/{protocol}{'6' if ipv6 else ''}") as file:
            rows = file.readlines()[1:]
    except FileNotFoundError:  # no IPv6 in this kernel
        return found
    for row in rows:
        fields = row.split()
        if fields[3] == _LISTENING[protocol]:
            address, port = fields[1].split(":")
            found.append(BoundSocket(_read_address(address), int(port, 16), int(fields[9])))
    return found


def has_ipv6() -> bool:
    """Whether this host has IPv6 addresses, of its loopback at least: what Docker asks before it binds to [::]."""
    try:
        probe = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC)
    except OSError:
        return False
    try:
        probe.bind(("::1", 0))
    except OSError:
        return False
    finally:
        probe.close()
    return True


def unprivileged_port_start() -> int:
    """The first port a user without privilege may bind, ip(7)."""
    try:
        with open(_UNPRIVILEGED_START) as file:
            return int(file.read())
    except (OSError, ValueError):
        return 1024


def outgoing_address() -> str | None:
    """The host's address on the way to the world, or None without a route: what `host-gateway` stands for.

    slirp4netns keeps its gateway 10.0.2.2 off the host's loopback, and what listens on all of the host's addresses
    answers on this one, as it would on Docker's bridge.
    """
    probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC)
    try:
        # connect on udp only asks for a route; 192.0.2.1 is documentation space, RFC 5737
        probe.connect(("192.0.2.1", 9))
        address = str(probe.getsockname()[0])
    except OSError:
        return None
    finally:
        probe.close()
    return None if address.startswith("127.") else address


def bind_socket(forward: Forward, backlog: int = 1) -> socket:
    """A new socket bound to `forward`, whose port may be 0 for any; of tcp it listens. Raises OSError."""
    tcp = forward.protocol == "tcp"
    family = AF_INET6 if ":" in forward.host_ip else AF_INET
    bound = socket(family, (SOCK_STREAM if tcp else SOCK_DGRAM) | SOCK_CLOEXEC)
    try:
        if tcp:
            # connections of the port's last owner in TIME_WAIT do not count. Not for udp, where it would let us bind
            # beside another socket.
            bound.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        if family == AF_INET6:
            # 0.0.0.0 is a socket of its own: the two may be published to different ports
            bound.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
        bound.bind((forward.host_ip, forward.host_port))
        if tcp:
            bound.listen(backlog)
    except BaseException:
        bound.close()
        raise
    return bound


def explained(forward: Forward, error: OSError) -> NetError:
    """Why a socket could not be bound to `forward`, with who has the port and what helps."""
    if error.errno == errno.EADDRINUSE:
        return PortInUseError(forward, _holder(forward))
    if error.errno == errno.EACCES:
        return PrivilegedPortError(forward)
    if ":" in forward.host_ip and not has_ipv6():
        return NetError(
            f"cannot publish on {forward}",
            cause="IPv6 is off on this host",
            mend=f"publish on an IPv4 address, such as {'127.0.0.1' if forward.host_ip == '::1' else '0.0.0.0'}",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return NetError(
            f"cannot publish on {forward}: {forward.host_ip} is not an address of this machine",
            mend="ip -brief address",
        )
    return NetError(f"cannot publish {forward}", cause=error.strerror or str(error))


def _bind(forward: Forward) -> int:
    probe = bind_socket(forward)
    port = int(probe.getsockname()[1])
    probe.close()
    return port


def _read_address(text: str) -> str:
    """An address of /proc/net, which is the kernel's words of 32 bits in the machine's byte order."""
    words = [int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8)]
    return inet_ntop(AF_INET if len(words) == 1 else AF_INET6, b"".join(words))


def _other_port(free_port: int) -> str:
    return (
        f"use a free host port, such as {free_port}" if free_port else "use another host port, or none for any free one"
    )


def _free_port(forward: Forward) -> int:
    """A port near the one wanted that can be bound now; 0 where none is found."""
    base = forward.host_port + (8000 if forward.host_port < 1024 else 1)
    for port in range(base, min(base + 100, 65536)):
        try:
            _bind(forward._replace(host_port=port))
        except OSError:
            continue
        return port
    return 0


def _holder(forward: Forward) -> int:
    bound = [entry for entry in read_bound_sockets(forward.protocol) if _is_at(entry, forward)]
    # one bound to [::] has the port of all IPv4 addresses too, unless it is IPV6_V6ONLY: of that /proc says nothing
    bound += [
        entry
        for entry in read_bound_sockets(forward.protocol, ipv6=True)
        if _is_at(entry, forward) or (entry.port, entry.address) == (forward.host_port, "::")
    ]
    links = {f"socket:[{entry.inode}]" for entry in bound if entry.inode}
    for name in os.listdir("/proc") if links else ():
        if name.isdigit() and links & _links(f"/proc/{name}/fd"):
            return int(name)
    return 0


def _links(directory: str) -> set[str]:
    found = set()
    try:
        for name in os.listdir(directory):
            found.add(os.readlink(f"{directory}/{name}"))
    except OSError:  # somebody else's process, or one that ended meanwhile
        pass
    return found


def _process_name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "a process"


def _is_at(entry: BoundSocket, forward: Forward) -> bool:
    return entry.port == forward.host_port and addresses_overlap(entry.address, forward.host_ip)
