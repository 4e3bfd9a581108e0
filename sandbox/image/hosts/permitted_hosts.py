"""Where our requests may go, by who named the host:

    named by                                a person, a Dockerfile      a registry or another server
    link-local, unspecified, multicast,
    reserved, a cloud's own services        never                       never
    this machine, private networks          always                      where that is no further out itself
    every other address                     always                      always

A registry answers with any URL it likes (a redirect, its token server, the place of an upload), and we send a GET there
from inside the person's network. Real ones name storage and token servers in the same net or further out; a hostile one
would name what only we can reach: services of this machine or of its network, a cloud's metadata at a link-local
address. Hosts that the person's settings name (`registries.redirects`) may lie in a private network all the same. A
mirror of the settings may lie anywhere: nobody else can name one.

Names are looked up before anything is sent, and the address that was connected to is looked at again, before a byte
goes there: the second answer of a name server may be another one. A proxy looks names up itself; then only addresses
that are written in the URL are judged.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Protocol

import trio

from sandbox.errors import RegistryError
from sandbox.image.foreign_texts import printable
from sandbox.image.hosts.addresses import Scope, is_address, is_loopback, refusal, scope_of
from sandbox.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    import httpx

    Resolve = Callable[[str, int], Awaitable[tuple[str, ...]]]
    Trace = Callable[[str, dict[str, Any]], Awaitable[None]]  # Any: httpcore's

_WORDS = {
    Scope.NOWHERE: "no address that anybody may be sent to",
    Scope.MACHINE: "this machine itself",
    Scope.PRIVATE: "an address of a private network",
}


class Limit(Protocol):
    """Where requests may go; `trusted` are hosts of private networks that the person's settings name."""

    async def check(self, url: httpx.URL, *, proxied: bool, trusted: Collection[str] = ()) -> Trace:
        """Raise RegistryError where we must not go; else what httpcore is to call as the request's "trace"."""


async def resolve(host: str, port: int) -> tuple[str, ...]:
    """Every address of `host`; () where it has none, which connecting to it will tell better."""
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(str(entry[4][0]) for entry in found)


class Chosen:
    """How far away a host may be that a person or a Dockerfile names. A name is looked up once, each connection's
    address is looked at.
    """

    def __init__(self, resolve: Resolve = resolve) -> None:
        self._resolve = resolve
        self._seen: set[tuple[str, bool]] = set()

    async def check(self, url: httpx.URL, *, proxied: bool, trusted: Collection[str] = ()) -> Trace:
        if (url.host, proxied) not in self._seen:
            for address in await _addresses(url, self._resolve, proxied=proxied):
                self._judge(url, address)
            self._seen.add((url.host, proxied))
        return _tracer(lambda peer: self._judge(url, peer), proxied=proxied)

    def _judge(self, url: httpx.URL, address: str) -> None:
        refused = refusal(url.host, address)
        if refused is not None:
            raise RegistryError(printable(refused.message), cause=printable(refused.cause), mend=refused.mend)


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

    async def check(self, url: httpx.URL, *, proxied: bool, trusted: Collection[str] = ()) -> Trace:
        own = await self._own_scope()
        if url.host in trusted:
            own = min(own, Scope.PRIVATE)
        for address in await _addresses(url, self._resolve, proxied=proxied):
            self._judge(url, address, own)
        return _tracer(lambda peer: self._judge(url, peer, own), proxied=proxied)

    async def _own_scope(self) -> Scope:
        # once: a registry whose address changes meanwhile gets no further
        if self._own is None:
            url = self._registry_url
            scopes = [_scope(address) for address in await _addresses(url, self._resolve, proxied=False)]
            own = max(scopes, default=Scope.PUBLIC)
            # only a mirror is there, on the network next to this machine
            self._own = Scope.PRIVATE if own == Scope.NOWHERE else own
        return self._own

    def _judge(self, url: httpx.URL, address: str, own: Scope) -> None:
        try:
            scope = _scope(address)
        except ValueError:
            return  # a name, which a proxy looks up
        if scope != Scope.NOWHERE and scope >= own:
            return
        where = _WORDS[scope] if address == url.host else f"{address}, {_WORDS[scope]}"
        raise RegistryError(
            f"refusing to go where the {self._kind} {self._domain} sends us: {printable(redact(str(url)))}",
            cause=f"{printable(url.host)} is {where}" + (f", and the {self._kind} is not" if scope else ""),
            mend=f'if it belongs there, in config.toml: [registries] redirects = ["{url.host}"]'
            if scope == Scope.PRIVATE
            else "",
        )


async def _addresses(url: httpx.URL, resolve: Resolve, *, proxied: bool) -> tuple[str, ...]:
    """What is judged of a URL before anything is sent: the addresses of its host, or the host where we look up none."""
    if proxied or is_loopback(url.host) or is_address(url.host):
        return (url.host,)
    return await resolve(url.host, port_of(url))


def _tracer(judge: Callable[[str], None], *, proxied: bool) -> Trace:
    async def connected(name: str, info: dict[str, Any]) -> None:  # Any: httpcore's
        if name == "connection.connect_tcp.complete" and not proxied:
            stream = info["return_value"]
            peer = stream.get_extra_info("server_addr")
            try:
                judge(str(peer[0]))
            except RegistryError:
                await stream.aclose()
                raise

    return connected


def port_of(url: httpx.URL) -> int:
    """The port, also where it is the scheme's own."""
    return url.port or (443 if url.scheme == "https" else 80)


def _scope(host: str) -> Scope:
    return Scope.MACHINE if is_loopback(host) else scope_of(host)
