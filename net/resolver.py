"""A container's /etc/resolv.conf and /etc/hosts as text, from the host's and what was asked for. No I/O but reading.

In a private network the first name server is slirp4netns' own, 10.0.2.3: it hands each question to the first server
in the host's resolv.conf *of that moment*, so VPNs, roaming and a stub such as systemd-resolved's 127.0.0.53 with its
split DNS keep working. The host's further servers follow where they can be reached from a container at all.
"""

from __future__ import annotations

import os

from net.addresses import CONTAINER_ADDRESS, DNS_ADDRESS
from net.errors import NetError
from net.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: systemd-resolved's file with the real servers, where resolv.conf only names its stub on loopback
RESOLVED_FILE = "/run/systemd/resolve/resolv.conf"
HOST_FILE = "/etc/resolv.conf"
#: resolv.conf(5): MAXNS
_SERVER_LIMIT = 3

_LOCAL_HOSTS = "127.0.0.1\tlocalhost\n"
_LOCAL_HOSTS6 = """::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


class Resolver(NamedTuple):
    """What a resolv.conf says; an empty field says nothing."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def parse_resolver(text: str) -> Resolver:
    """The values of a resolv.conf, resolv.conf(5): the last `search` or `domain` counts, options add up."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0].startswith(("#", ";")):
            continue
        match words[0]:
            case "nameserver":
                servers.append(words[1])
            case "search" | "domain":
                search = tuple(words[1:])
            case "options":
                options += words[1:]
    return Resolver(tuple(servers), search, tuple(options))


def read_host_resolver(path: str = HOST_FILE, resolved_path: str = RESOLVED_FILE) -> Resolver:
    """The host's resolver; where it only names systemd-resolved's stub, with the real servers after the stub."""
    host = parse_resolver(_read(path))
    if host.servers and all(map(is_loopback, host.servers)):
        behind = parse_resolver(_read(resolved_path))
        return host._replace(servers=(*host.servers, *behind.servers))
    return host


def is_followed(path: str = HOST_FILE) -> bool:
    """Whether slirp4netns' name server follows the host's file.

    In its sandbox it sees /etc and /run only; a resolv.conf that leads elsewhere (WSL: /mnt/wsl) is not there for it.
    """
    return os.path.realpath(path).startswith(("/etc/", "/run/"))


def container_resolver(host: Resolver, asked: Resolver, *, private: bool = True, followed: bool = True) -> Resolver:
    """What a container gets: what was `asked` for (`--dns`, …), else the host's, as it can be used from inside.

    `private` is false in the host's own network, where its servers are right as they are; `followed` is what
    `is_followed` says. `--dns-search .` asks for no search domain at all.
    """
    servers = asked.servers
    if not servers:
        servers = _private_servers(host.servers, followed=followed) if private else host.servers
    search = () if asked.search == (".",) else asked.search or host.search
    return Resolver(servers[:_SERVER_LIMIT], search, asked.options or host.options)


def bridge_resolver(host: Resolver, asked: Resolver, server: str) -> Resolver:
    """What a container on a bridge network gets: the one name server of ours, which asks all others itself.

    The servers of `asked` (`--dns`) are asked by it too. A name of one part is asked for as it is, before the search
    domains, as with Docker: it may be a container's.
    """
    search = () if asked.search == (".",) else asked.search or host.search
    options = asked.options or host.options
    if not any(option.startswith("ndots:") for option in options):
        options = (*options, "ndots:0")
    # several servers are no matter of the container's
    return Resolver((server,), search, tuple(option for option in options if option != "rotate"))


def render_resolver(resolver: Resolver) -> str:
    """The text of resolv.conf."""
    lines = [f"nameserver {server}" for server in resolver.servers]
    if resolver.search:
        lines.append("search " + " ".join(resolver.search))
    if resolver.options:
        lines.append("options " + " ".join(resolver.options))
    return "".join(f"{line}\n" for line in lines)


def render_hosts(
    names: Sequence[str],
    extra_hosts: Iterable[str] = (),
    *,
    address: str = CONTAINER_ADDRESS,
    gateway: str | None = None,
    has_ipv6: bool = True,
) -> str:
    """The text of a container's hosts file: `names` at `address`, then each "name:address" of `extra_hosts`.

    `host-gateway` as an address stands for `gateway`, see `net.host_ports.outgoing_address`. Raises NetError for it
    where that is None: the host has no address a container could reach.
    """
    lines = [_LOCAL_HOSTS, _LOCAL_HOSTS6] if has_ipv6 else [_LOCAL_HOSTS]
    for text in extra_hosts:
        name, target = split_extra_host(text)
        if target == "host-gateway":
            if gateway is None:
                raise NetError(
                    f"cannot give {name} the host's address",
                    cause="the host has no route out, and its loopback is kept from containers",
                    mend="use --network host",
                )
            target = gateway
        lines.append(f"{target}\t{name}\n")
    if names and address:
        lines.append(f"{address}\t{' '.join(names)}\n")
    return "".join(lines)


def split_extra_host(text: str) -> tuple[str, str]:
    """ "name:address" or "name=address" as a pair; brackets around an IPv6 address are taken off."""
    separator = "=" if "=" in text else ":"
    name, _, address = text.partition(separator)
    return name, address[1:-1] if address.startswith("[") and address.endswith("]") else address


def is_loopback(address: str) -> bool:
    """Whether a name server's address means the machine that asks."""
    return address.startswith("127.") or address.partition("%")[0] in ("::1", "0.0.0.0", "::")


def _private_servers(host_servers: Sequence[str], *, followed: bool) -> tuple[str, ...]:
    # a scoped address (fe80::1%eth0) means nothing inside
    reachable = tuple(server for server in host_servers if not is_loopback(server) and "%" not in server)
    if not followed and reachable:
        return reachable
    # the host's first server is left out: it is the one that 10.0.2.3 asks
    return (DNS_ADDRESS, *(server for server in reachable if server != host_servers[0]))


def _read(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read(1 << 16)
    except OSError:  # a host without a resolver: the container has none either, but for slirp4netns' own
        return ""
