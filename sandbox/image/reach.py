"""Which addresses a registry may send us to: by a redirect, as its token server, or as the place of an upload; and
where any other server may.

A registry answers with any URL it likes, and we send a GET there from inside the person's network. Real ones name
storage and token servers in the same net or further out; a hostile one would name what only we can reach: services
of this machine or of its network, a cloud's metadata at a link-local address. So:

    link-local, unspecified, multicast, reserved    never
    this machine, private networks                  where the registry itself is no further out
    every other address                             always

Hosts that the person's settings name (`registries.redirects`) may lie in a private network all the same. Names are
looked up before anything is sent, and the address that was connected to is looked at again, before a byte goes there:
the second answer of a name server may be another one. A proxy looks names up itself; then only addresses that are
written in the URL are judged.
"""

from __future__ import annotations

import ipaddress
import socket
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import trio

from sandbox.errors import RegistryError
from sandbox.image.auth import is_loopback
from sandbox.image.registry_answers import printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    import httpx

    Resolve = Callable[[str, int], Awaitable[tuple[str, ...]]]

#: RFC 6052 §2.1 and RFC 3056 §2: IPv6 addresses that stand for an IPv4 one in them
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: RFC 6598: between a provider and its customers
_SHARED = ipaddress.IPv4Network("100.64.0.0/10")


class Scope(IntEnum):
    """From how far an address can be reached, nearest first; NOWHERE is what nobody is to be sent to."""

    NOWHERE = 0
    MACHINE = 1
    PRIVATE = 2
    PUBLIC = 3


_WORDS = {
    Scope.NOWHERE: "no address that anybody may be sent to",
    Scope.MACHINE: "this machine itself",
    Scope.PRIVATE: "an address of a private network",
}


def scope_of(address: str) -> Scope:
    """The scope of an IPv4 or IPv6 address, which may have a zone. Raises ValueError for what is none."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if parsed in _NAT64:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if inner is not None:
            parsed = inner
    if parsed.is_loopback:
        return Scope.MACHINE
    if parsed.is_unspecified or parsed.is_link_local or parsed.is_multicast or parsed.is_reserved:
        return Scope.NOWHERE
    if parsed.is_private or (isinstance(parsed, ipaddress.IPv4Address) and parsed in _SHARED):
        return Scope.PRIVATE
    return Scope.PUBLIC


async def resolve(host: str, port: int) -> tuple[str, ...]:
    """Every address of `host`; () where it has none, which connecting to it will tell better."""
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(str(entry[4][0]) for entry in found)


class Reach:
    """How far the registry at `registry_url` may send us. `domain` is its name, for errors; `kind` what it is."""

    def __init__(
        self, domain: str, registry_url: httpx.URL, resolve: Resolve = resolve, *, kind: str = "registry"
    ) -> None:
        self._domain = domain
        self._kind = kind
        self._registry_url = registry_url
        self._resolve = resolve
        self._own: Scope | None = None

    async def check(self, url: httpx.URL, *, proxied: bool, trusted: Collection[str] = ()) -> Callable[..., Any]:
        """Raise RegistryError where we must not go; else what httpcore is to call as the request's "trace"."""
        own = await self._own_scope()
        if url.host in trusted:
            own = min(own, Scope.PRIVATE)
        said = proxied or is_loopback(url.host) or _is_address(url.host)
        for address in (url.host,) if said else await self._resolve(url.host, port_of(url)):
            self._judge(url, address, own)

        async def connected(name: str, info: dict[str, Any]) -> None:  # Any: httpcore's
            if name == "connection.connect_tcp.complete" and not proxied:
                stream = info["return_value"]
                peer = stream.get_extra_info("server_addr")
                try:
                    self._judge(url, str(peer[0]), own)
                except RegistryError:
                    await stream.aclose()
                    raise

        return connected

    async def _own_scope(self) -> Scope:
        # once: a registry whose address changes meanwhile gets no further
        if self._own is None:
            host = self._registry_url.host
            if is_loopback(host):
                self._own = Scope.MACHINE
            else:
                addresses = (host,) if _is_address(host) else await self._resolve(host, port_of(self._registry_url))
                self._own = max((scope_of(address) for address in addresses), default=Scope.PUBLIC)
        return self._own

    def _judge(self, url: httpx.URL, address: str, own: Scope) -> None:
        try:
            scope = Scope.MACHINE if is_loopback(address) else scope_of(address)
        except ValueError:
            return  # a name, which a proxy looks up
        if scope != Scope.NOWHERE and scope >= own:
            return
        where = _WORDS[scope] if address == url.host else f"{address}, {_WORDS[scope]}"
        raise RegistryError(
            f"refusing to go where the {self._kind} {self._domain} sends us: {printable(str(url))}",
            cause=f"{printable(url.host)} is {where}" + (f", and the {self._kind} is not" if scope else ""),
            mend=f'if it belongs there, in config.toml: [registries] redirects = ["{url.host}"]'
            if scope == Scope.PRIVATE
            else "",
        )


def port_of(url: httpx.URL) -> int:
    """The port, also where it is the scheme's own."""
    return url.port or (443 if url.scheme == "https" else 80)


def _is_address(host: str) -> bool:
    try:
        scope_of(host)
    except ValueError:
        return False
    return True
