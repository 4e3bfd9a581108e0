"""Whom a name is asked of, in which order, for how long, and what is kept. The clock is trio's, and jumps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
import trio
from trio.testing import MockClock

from net.dns_cache import AnswerCache
from net.dns_upstream import Upstream, host_upstream, listed_upstream
from net.dns_wire import read_question
from net.host_names import HostNames
from net.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

SILENT, DEAD = "silent", "dead"


class _Servers:
    """Name servers by address: what each does with a question, and who was asked when."""

    def __init__(self, **does: object) -> None:
        self.does = does
        self.asked: list[tuple[str, float, bool]] = []

    async def ask(self, server: str, message: bytes, end: int, *, stream: bool) -> bytes:
        self.asked.append((server, trio.current_time(), stream))
        does = self.does[server]
        if does == SILENT:
            await trio.sleep_forever()
        if does == DEAD:
            raise ConnectionRefusedError
        await trio.sleep(0.1)
        answer = dns.message.make_response(dns.message.from_wire(message))
        name = answer.question[0].name
        if isinstance(does, dns.rcode.Rcode):
            answer.set_rcode(does)
        elif does == "large" and not stream:
            answer.flags |= dns.flags.TC
        else:
            answer.answer = [dns.rrset.from_text(name, 60, "IN", "A", "192.0.2.1" if does == "large" else str(does))]
        return answer.to_wire()

    @property
    def order(self) -> list[str]:
        return [server for server, _, _ in self.asked]


async def _ask(upstream: Upstream, name: str = "example.org", *, stream: bool = False) -> dns.message.Message:
    data = dns.message.make_query(name, "A").to_wire()
    question = read_question(data)
    assert question is not None
    answer = upstream.at_once(question, data) or await upstream.ask(question, data, stream=stream)
    message = dns.message.from_wire(answer)
    assert dns.message.from_wire(data).is_response(message)
    return message


def _address(message: dns.message.Message) -> str:
    return str(message.answer[0][0].to_text())


def _run(main: Callable[[], Awaitable[None]]) -> None:
    trio.run(main, clock=MockClock(autojump_threshold=0))


def _upstream(servers: _Servers, *options: str, addresses: tuple[str, ...] = ("first", "second")) -> Upstream:
    resolver = Resolver(addresses, (), options)
    return Upstream(lambda: resolver, exchange=servers, cache=AnswerCache(trio.current_time))


def test_next_server_is_asked_after_two_seconds_and_the_silent_one_last_for_a_while() -> None:
    servers = _Servers(first=SILENT, second="192.0.2.2")

    async def main() -> None:
        upstream, start = _upstream(servers), trio.current_time()
        assert _address(await _ask(upstream, "a.example")) == "192.0.2.2"
        assert trio.current_time() - start == pytest.approx(2.1)
        await _ask(upstream, "b.example")
        assert servers.order == ["first", "second", "second"]
        await trio.sleep(11)
        servers.does["first"] = "192.0.2.1"
        assert _address(await _ask(upstream, "c.example")) == "192.0.2.1"

    _run(main)


def test_nobody_answers() -> None:
    async def main() -> None:
        start = trio.current_time()
        assert (await _ask(_upstream(_Servers(first=SILENT, second=SILENT)))).rcode() == dns.rcode.SERVFAIL
        assert trio.current_time() - start == pytest.approx(8)
        assert (await _ask(_upstream(_Servers(first=DEAD, second=DEAD)))).rcode() == dns.rcode.SERVFAIL
        assert trio.current_time() - start == pytest.approx(8)

    _run(main)


def test_who_will_not_say_is_passed_over() -> None:
    servers = _Servers(first=dns.rcode.SERVFAIL, second="192.0.2.2", third=dns.rcode.REFUSED)

    async def main() -> None:
        assert _address(await _ask(_upstream(servers))) == "192.0.2.2"
        only = await _ask(_upstream(servers, addresses=("first", "third")))
        assert only.rcode() == dns.rcode.REFUSED
        assert servers.order == ["first", "second", "first", "third"]

    _run(main)


def test_options_of_resolv_conf() -> None:
    servers = _Servers(first=SILENT, second=SILENT, third="192.0.2.3")

    async def main() -> None:
        start = trio.current_time()
        await _ask(_upstream(servers, "timeout:1", "attempts:1", "ndots:x"))
        assert trio.current_time() - start == pytest.approx(2)
        servers.asked.clear()
        turning = _upstream(servers, "rotate", addresses=("third", "third", "first"))
        for name in ("a.example", "b.example", "c.example"):
            await _ask(turning, name)
        assert servers.order == ["third", "first", "third", "third"]
        servers.asked.clear()
        await _ask(_upstream(servers, "use-vc", addresses=("third",)))
        assert [stream for _, _, stream in servers.asked] == [True]

    _run(main)


def test_stream_is_asked_for_what_is_too_long_where_the_asker_takes_it() -> None:
    servers = _Servers(first="large")

    async def main() -> None:
        upstream = _upstream(servers, addresses=("first",))
        assert (await _ask(upstream)).flags & dns.flags.TC
        assert _address(await _ask(upstream, stream=True)) == "192.0.2.1"
        assert [stream for _, _, stream in servers.asked] == [False, False, True]

    _run(main)


def test_answers_are_kept_for_as_long_as_they_say() -> None:
    servers = _Servers(first="192.0.2.1")

    async def main() -> None:
        upstream = _upstream(servers)
        assert (await _ask(upstream)).answer[0].ttl == 60
        await trio.sleep(20)
        assert (await _ask(upstream, "EXAMPLE.org")).answer[0].ttl == 40
        assert len(servers.asked) == 1
        await trio.sleep(41)
        assert (await _ask(upstream)).answer[0].ttl == 60
        assert len(servers.asked) == 2

    _run(main)


def test_a_server_of_this_host_keeps_its_answers_itself() -> None:
    servers = _Servers(**{"127.0.0.53": "192.0.2.1"})

    async def main() -> None:
        upstream = _upstream(servers, addresses=("127.0.0.53",))
        await _ask(upstream)
        await _ask(upstream)
        await trio.sleep(1.1)
        await _ask(upstream)
        assert len(servers.asked) == 2

    _run(main)


def test_one_question_of_many_askers_goes_out_once() -> None:
    servers = _Servers(first="192.0.2.1")

    async def main() -> None:
        upstream = _upstream(servers)
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as first:
                nursery.start_soon(_cancelled, first, upstream)
                await trio.testing.wait_all_tasks_blocked()
                for _ in range(20):
                    nursery.start_soon(_ask, upstream)
                await trio.testing.wait_all_tasks_blocked()
                assert len(servers.asked) == 1
        # who asked first went away: another one of them asked instead
        assert len(servers.asked) == 2

    async def _cancelled(scope: trio.CancelScope, upstream: Upstream) -> None:
        with trio.move_on_after(0.05):
            await _ask(upstream)

    _run(main)


def test_another_network_is_seen_at_once(tmp_path: Path) -> None:
    servers = _Servers(**{"192.0.2.53": "192.0.2.1", "198.51.100.53": "198.51.100.1", "127.0.0.1": "203.0.113.1"})
    file, link = tmp_path / "a.conf", tmp_path / "resolv.conf"
    file.write_text("nameserver 192.0.2.53\n")
    link.symlink_to(file)

    async def main() -> None:
        upstream = host_upstream(HostNames(str(link), str(tmp_path / "hosts"), ()), servers)
        assert _address(await _ask(upstream)) == "192.0.2.1"
        (tmp_path / "vpn.conf").write_text("search corp.example\nnameserver 198.51.100.53\n")
        (tmp_path / "new").symlink_to(tmp_path / "vpn.conf")
        (tmp_path / "new").rename(link)
        assert _address(await _ask(upstream)) == "198.51.100.1"
        link.unlink()
        assert _address(await _ask(upstream)) == "203.0.113.1"

    _run(main)


def test_hosts_of_the_host_come_first(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text(
        "127.0.1.1 laptop\n192.0.2.7 Printer.lan printer # by hand\n2001:db8::7 printer\nnonsense x\n::1 six\n"
    )
    servers = _Servers(**{"127.0.0.1": "203.0.113.1"})

    async def main() -> None:
        upstream = host_upstream(HostNames(str(tmp_path / "resolv.conf"), str(tmp_path / "hosts"), ()), servers)
        assert _address(await _ask(upstream, "printer")) == "192.0.2.7"
        assert servers.asked == []
        # to a container the host's loopback would be its own
        assert _address(await _ask(upstream, "laptop")) == "203.0.113.1"
        data = dns.message.make_query("7.2.0.192.in-addr.arpa", "PTR").to_wire()
        question = read_question(data)
        assert question is not None
        pointed = upstream.at_once(question, data)
        assert pointed is not None
        assert _address(dns.message.from_wire(pointed)) == "printer.lan."
        mail = dns.message.make_query("printer", "MX").to_wire()
        question = read_question(mail)
        assert question is not None
        nothing = upstream.at_once(question, mail)
        assert nothing is not None
        assert dns.message.from_wire(nothing).rcode() == 0
        (tmp_path / "hosts").write_text("192.0.2.8 printer\n")
        assert _address(await _ask(upstream, "printer")) == "192.0.2.8"

    _run(main)


def test_listed_servers_are_asked_and_no_others() -> None:
    servers = _Servers(only="192.0.2.9")

    async def main() -> None:
        assert _address(await _ask(listed_upstream(("only",), servers))) == "192.0.2.9"

    _run(main)


def test_the_fullest_store_of_answers_lets_the_oldest_go() -> None:
    servers = _Servers(first="192.0.2.1")

    async def main() -> None:
        upstream = _upstream(servers)
        for number in range(2100):
            await _ask(upstream, f"n{number}.example")
        await _ask(upstream, "n2099.example")
        assert len(servers.asked) == 2100
        await _ask(upstream, "n0.example")
        assert len(servers.asked) == 2101

    _run(main)
