"""Where a registry may send us: the addresses, and who may name them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from sandbox.errors import RegistryError
from sandbox.image.hosts.addresses import Scope, is_address, scope_of
from sandbox.image.hosts.permitted_hosts import Chosen, Reach
from sandbox.image.registry.transport import RoutedTransport, Trust

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize(
    ("address", "scope"),
    [
        ("127.0.0.1", Scope.MACHINE),
        ("127.255.255.254", Scope.MACHINE),
        ("::1", Scope.MACHINE),
        ("::ffff:127.0.0.1", Scope.MACHINE),
        ("64:ff9b::7f00:1", Scope.MACHINE),
        ("2002:7f00:1::", Scope.MACHINE),
        ("0.0.0.0", Scope.NOWHERE),
        ("::", Scope.NOWHERE),
        ("169.254.169.254", Scope.NOWHERE),
        ("::ffff:169.254.169.254", Scope.NOWHERE),
        ("64:ff9b::a9fe:a9fe", Scope.NOWHERE),
        ("fe80::1%eth0", Scope.NOWHERE),
        ("224.0.0.1", Scope.NOWHERE),
        ("ff02::1", Scope.NOWHERE),
        ("255.255.255.255", Scope.NOWHERE),
        ("10.0.0.1", Scope.PRIVATE),
        ("172.31.0.1", Scope.PRIVATE),
        ("192.168.1.1", Scope.PRIVATE),
        ("100.64.0.1", Scope.PRIVATE),
        ("fd00::ec2:254", Scope.PRIVATE),
        ("fd00:ec2::254", Scope.NOWHERE),
        ("fd20:ce::254", Scope.NOWHERE),
        ("100.100.100.200", Scope.NOWHERE),
        ("168.63.129.16", Scope.NOWHERE),
        ("::ffff:168.63.129.16", Scope.NOWHERE),
        ("2852039166", Scope.NOWHERE),
        ("0xA9FEA9FE", Scope.NOWHERE),
        ("0251.0376.0251.0376", Scope.NOWHERE),
        ("169.254.43518", Scope.NOWHERE),
        ("127.1", Scope.MACHINE),
        ("0", Scope.NOWHERE),
        ("::169.254.169.254", Scope.NOWHERE),
        ("::ffff:0:169.254.169.254", Scope.NOWHERE),
        ("::ffff:10.0.0.1", Scope.PRIVATE),
        ("172.32.0.1", Scope.PUBLIC),
        ("1.1.1.1", Scope.PUBLIC),
        ("2606:4700::1111", Scope.PUBLIC),
    ],
)
def test_scope(address: str, scope: Scope) -> None:
    assert scope_of(address) == scope


@pytest.mark.parametrize("host", ["host", "1.2.3.4.5", "256.1.1.1", "4294967296", "1.2.3.", "0x7f.example", "a::g", ""])
def test_names_are_no_addresses(host: str) -> None:
    assert not is_address(host)


#: what names mean in these tests: nothing is looked up, nothing is sent
_NAMES: Mapping[str, tuple[str, ...]] = {
    "public.test": ("203.0.114.1", "2606:4700::1"),
    "private.test": ("10.1.1.1",),
    "mixed.test": ("203.0.114.1", "127.0.0.1"),
    "metadata.test": ("169.254.169.254",),
    "2130706433": ("127.0.0.1",),
}


async def _resolve(host: str, _port: int) -> tuple[str, ...]:
    return _NAMES.get(host, ())


def _check(registry: str, url: str, *, proxied: bool = False, trusted: tuple[str, ...] = ()) -> None:
    async def main() -> None:
        await Reach("reg", httpx.URL(registry), _resolve).check(httpx.URL(url), proxied=proxied, trusted=trusted)

    trio.run(main)


_ANYWHERE = ("https://public.test/x", "https://public.test:8443/x", "https://unknown.test/x", "http://1.1.1.1/")
_PRIVATE = ("http://private.test/x", "http://10.9.9.9/x", "http://[fd00::1]/x", "https://192.168.0.1/")
_MACHINE = (
    *("http://127.0.0.1:80/", "http://localhost/", "http://a.localhost/", "http://[::1]:99/", "http://mixed.test/"),
    *("http://2130706433/", "http://[::ffff:127.0.0.1]/"),
)
_NEVER = (
    *("http://169.254.169.254/latest/meta-data", "https://metadata.test/", "http://[fe80::1]/", "http://0.0.0.0/"),
    "http://[::ffff:169.254.169.254]/",
)


@pytest.mark.parametrize(
    ("registry", "allowed", "refused"),
    [
        ("https://public.test", _ANYWHERE, (*_PRIVATE, *_MACHINE, *_NEVER)),
        ("https://unknown.test", _ANYWHERE, (*_PRIVATE, *_MACHINE, *_NEVER)),
        ("http://private.test:5000", (*_ANYWHERE, *_PRIVATE), (*_MACHINE, *_NEVER)),
        ("http://127.0.0.1:5000", (*_ANYWHERE, *_PRIVATE, *_MACHINE), _NEVER),
        ("http://localhost:5000", (*_ANYWHERE, *_PRIVATE, *_MACHINE), _NEVER),
    ],
)
def test_who_may_send_us_where(registry: str, allowed: tuple[str, ...], refused: tuple[str, ...]) -> None:
    for url in allowed:
        _check(registry, url)
    for url in refused:
        with pytest.raises(RegistryError, match="refusing to go where the registry reg sends us"):
            _check(registry, url)


def test_trusted_hosts_may_be_private_and_no_more() -> None:
    _check("https://public.test", "https://private.test/x", trusted=("private.test",))
    with pytest.raises(RegistryError) as caught:
        _check("https://public.test", "https://private.test/x", trusted=("other.test",))
    assert caught.value.cause == "private.test is 10.1.1.1, an address of a private network, and the registry is not"
    assert 'redirects = ["private.test"]' in caught.value.mend
    for url in ("http://mixed.test/", "http://metadata.test/"):
        with pytest.raises(RegistryError):
            _check("https://public.test", url, trusted=("mixed.test", "metadata.test"))


def test_a_proxy_looks_names_up_itself() -> None:
    _check("https://public.test", "https://private.test/x", proxied=True)
    for url in (*_NEVER, "http://10.9.9.9/x", "http://localhost/"):
        if "metadata.test" in url:
            continue
        with pytest.raises(RegistryError):
            _check("https://public.test", url, proxied=True)


def test_the_address_that_was_connected_to_is_judged_before_anything_is_sent() -> None:
    """A name server that answers differently the second time: what it said first was public, we come to 127.0.0.1."""

    async def first_answer(_host: str, _port: int) -> tuple[str, ...]:
        return ("203.0.114.1",)

    reach = Reach("reg", httpx.URL("https://public.test"), first_answer)
    assert _asked_nothing("http://rebound.test", "127.0.0.1", {"reach": reach}) == (
        "refusing to go where the registry reg sends us: http://rebound.test:PORT/",
        "rebound.test is 127.0.0.1, this machine itself, and the registry is not",
    )


def _asked_nothing(url: str, answer: str, extensions: dict[str, Reach]) -> tuple[str, str]:
    """The error of a request whose name leads to `answer`; nothing is sent to a listener there."""

    class Names(trio.abc.HostnameResolver):
        async def getaddrinfo(
            self, host: bytes | None, port: bytes | str | int | None, family: int = 0, type: int = 0, proto: int = 0,
            flags: int = 0,
        ) -> list[Any]:  # fmt: skip
            # Any: trio's own type has a case for each family
            assert port is not None
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (answer, int(port)))]

        async def getnameinfo(self, sockaddr: object, flags: int) -> tuple[str, str]:
            raise NotImplementedError

    async def main(port: int) -> None:
        trio.socket.set_custom_hostname_resolver(Names())
        transport = RoutedTransport({}, Trust({}, "/nowhere", {}, frozenset()))
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            await client.get(f"{url}:{port}/", extensions=extensions)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(RegistryError) as caught:
            trio.run(main, port)
        listener.setblocking(False)
        try:
            connection, _address = listener.accept()
        except BlockingIOError:
            pass
        else:
            with connection:
                connection.settimeout(10)
                assert connection.recv(100) == b""
    return caught.value.message.replace(str(port), "PORT"), caught.value.cause


def test_what_a_person_names_may_be_anything_but_nowhere() -> None:
    async def main() -> None:
        chosen = Chosen(_resolve)
        for url in (*_ANYWHERE, *_PRIVATE, *_MACHINE):
            await chosen.check(httpx.URL(url), proxied=False)
        for url in _NEVER:
            # twice: what was looked up once is remembered only where nothing speaks against it
            for _time in range(2):
                with pytest.raises(RegistryError, match="refusing to connect to"):
                    await chosen.check(httpx.URL(url), proxied=False)
        await chosen.check(httpx.URL("http://metadata.test/"), proxied=True)

    trio.run(main)


def test_a_request_without_a_limit_is_one_that_a_person_chose() -> None:
    """The name is looked up before anything is sent: 0.0.0.0 would lead to the listener."""
    assert _asked_nothing("http://zero.test", "0.0.0.0", {}) == (
        "refusing to connect to zero.test",
        "zero.test is 0.0.0.0, the unspecified address",
    )
