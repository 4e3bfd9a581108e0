"""The name server over real sockets, asked by `dig` and by hand."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from net.container_names import make_container_sockets
from net.dns_exchange import receive_message
from net.dns_server import NameServer
from net.dns_sockets import make_router_sockets
from net.dns_wire import read_question
from net.egress import Refusal
from net.names import ContainerNames, NamedEndpoint
from tests.net.name_service import WEB, name_service

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.requires("dig")


async def _dig(port: int, *words: str, server: str = "127.0.0.11") -> str:
    done = await trio.run_process(
        ["dig", f"@{server}", "-p", str(port), "+tries=1", "+time=5", *words], capture_stdout=True, check=False
    )
    return str(done.stdout.decode())


async def _short(port: int, *words: str) -> list[str]:
    return (await _dig(port, "+short", *words)).split()


async def _ask(port: int, name: str, kind: str = "A", source: str = "127.0.0.1") -> dns.message.Message:
    """One question from an address of the loopback."""
    with trio.socket.socket(type=socket.SOCK_DGRAM) as asking:
        await asking.bind((source, 0))
        await asking.connect(("127.0.0.1", port))
        question = dns.message.make_query(name, kind)
        await asking.send(question.to_wire())
        with trio.fail_after(10):
            answer = dns.message.from_wire(await asking.recv(65535))
        assert question.is_response(answer)
        return answer


def test_dig_gets_our_names_and_the_worlds() -> None:
    async def main() -> None:
        async with name_service() as (_, world, port, _):
            assert await _short(port, "db") == ["172.30.0.3"]
            assert await _short(port, "WEB.front") == ["172.30.0.2"]
            assert await _short(port, "-x", "172.30.0.3") == ["db.front."]
            assert await _short(port, "localhost", "AAAA") == ["::1"]
            assert world.asked == []
            assert await _short(port, "example.org") == ["192.0.2.1"]
            nothing = await _dig(port, "db", "AAAA")
            assert "status: NOERROR" in nothing
            assert "ANSWER: 0" in nothing
            assert "status: NXDOMAIN" in await _dig(port, "nobody.example")
            assert "status: NXDOMAIN" in await _dig(port, "-x", "172.30.0.77")
            assert "status: NOTIMP" in await _dig(port, "+opcode=UPDATE", "db")
            assert "status: NOERROR" in await _dig(port, "db", "MX")
            assert "77.0.30.172.in-addr.arpa." not in world.asked

    trio.run(main)


def test_streams_carry_what_no_datagram_does() -> None:
    async def main() -> None:
        async with name_service() as service:
            cut = await _dig(service.udp_port, "+ignore", "large.example", "TXT")
            assert "tc" in cut.partition("flags:")[2].partition(";")[0]
            assert await _short(service.tcp_port, "+tcp", "db") == ["172.30.0.3"]
            full = await _dig(service.tcp_port, "+tcp", "large.example", "TXT")
            assert full.count('"' + "0" * 150) == 100

    trio.run(main)


def test_many_questions_of_one_stream_and_rude_ones() -> None:
    async def main() -> None:
        async with name_service() as service:
            messages = [dns.message.make_query(name, "A") for name in ("db", "example.org", "web", "nobody.example")]
            framed = b"".join(len(m.to_wire()).to_bytes(2, "big") + m.to_wire() for m in messages)
            async with await trio.open_tcp_stream("127.0.0.11", service.tcp_port) as stream:
                await stream.send_all(framed[:7])
                await stream.send_all(framed[7:])
                with trio.fail_after(10):
                    received = [await receive_message(stream) for _ in messages]
                answers = [dns.message.from_wire(octets) for octets in received if octets]
                # a length that no question has ends the connection
                await stream.send_all(b"\xff\xff")
                with trio.fail_after(5):
                    assert await receive_message(stream) is None
            assert [question.is_response(answer) for question, answer in zip(messages, answers, strict=True)] == [
                True
            ] * 4
            assert await _short(service.tcp_port, "+tcp", "db") == ["172.30.0.3"]

    trio.run(main)


def test_connections_of_one_container_are_limited_and_come_free() -> None:
    async def main() -> None:
        async with name_service() as service:
            open_streams = [await trio.open_tcp_stream("127.0.0.11", service.tcp_port) for _ in range(16)]
            for stream in open_streams:
                await _asked_by(stream, "db")
            late = await trio.open_tcp_stream("127.0.0.11", service.tcp_port)
            with trio.fail_after(10), pytest.raises((trio.BrokenResourceError, AssertionError)):
                await _asked_by(late, "db")
            for stream in open_streams:
                await stream.aclose()
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert await _short(service.tcp_port, "+tcp", "db") == ["172.30.0.3"]

    async def _asked_by(stream: trio.SocketStream, name: str) -> None:
        data = dns.message.make_query(name, "A").to_wire()
        await stream.send_all(len(data).to_bytes(2, "big") + data)
        assert len(await stream.receive_some()) > 12

    trio.run(main)


def test_hostile_datagrams_are_answered_or_dropped() -> None:
    async def main() -> None:
        async with name_service() as service:
            with trio.socket.socket(type=socket.SOCK_DGRAM) as rude:
                await rude.connect(("127.0.0.11", service.udp_port))
                sound = dns.message.make_query("db", "A").to_wire()
                for data in (b"", b"x", b"\0" * 12, sound[:-3], sound[:2] + b"\x80" + sound[3:], b"\xff" * 4000):
                    await rude.send(data)
                await rude.send(sound)
                with trio.fail_after(10):
                    codes = [(await rude.recv(4096))[3] & 15 for _ in range(3)]
                assert codes == [1, 1, 0]
            assert await _short(service.udp_port, "db") == ["172.30.0.3"]

    trio.run(main)


def test_questions_to_a_silent_world_do_not_hold_names_up() -> None:
    async def main() -> None:
        async with name_service() as service:
            service.world.silent = True
            with trio.socket.socket(type=socket.SOCK_DGRAM) as flooding:
                await flooding.connect(("127.0.0.11", service.udp_port))
                for number in range(300):
                    await flooding.send(dns.message.make_query(f"n{number}.example", "A").to_wire())
                assert await _short(service.udp_port, "db") == ["172.30.0.3"]
                # those above the limit are refused at once, the others wait
                with trio.fail_after(10):
                    answer = dns.message.from_wire(await flooding.recv(4096))
                assert answer.rcode() == dns.rcode.SERVFAIL
            assert service.server._waiting["web"] <= 128

    trio.run(main)


def test_the_router_knows_who_asks_by_the_source_and_waits_for_an_introduction() -> None:
    async def main() -> None:
        server = NameServer()
        front = NamedEndpoint("f", "front", "127.0.0.2", "", "127.0.0.0/24", "", ("web",))
        back = NamedEndpoint("b", "back", "127.0.0.3", "", "127.0.0.0/24", "", ("db",))
        server.join("web", ContainerNames((front,)))
        async with trio.open_nursery() as nursery:
            port = await _serve_router(server, nursery)
            assert (await _ask(port, "web", source="127.0.0.2")).answer[0][0].to_text() == "127.0.0.2"
            nursery.start_soon(_ask_for_db, port)
            await trio.testing.wait_all_tasks_blocked(0.01)
            server.join("db", ContainerNames((back,)))
            # an answer comes from the address that was asked
            await _dig_on(port, "127.0.0.3", "127.0.0.9")
            await _asked_by_ipv6(server, port)
            nursery.cancel_scope.cancel()

    async def _serve_router(server: NameServer, nursery: trio.Nursery) -> int:
        probe = socket.socket(type=socket.SOCK_DGRAM)
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        probe.close()
        nursery.start_soon(server.serve_router, make_router_sockets(port))
        return port

    async def _ask_for_db(port: int) -> None:
        assert (await _ask(port, "db", source="127.0.0.3")).answer[0][0].to_text() == "127.0.0.3"

    async def _dig_on(port: int, source: str, server: str) -> None:
        found = await _dig(port, "-b", source, "+short", "db", server=server)
        assert found.split() == ["127.0.0.3"]

    async def _asked_by_ipv6(server: NameServer, port: int) -> None:
        six = NamedEndpoint("f", "front", "", "::1", "", "::1/128", ("six",))
        server.join("six", ContainerNames((six,)))
        assert (await _dig(port, "+short", "six", "AAAA", server="::1")).split() == ["::1"]
        assert (await _dig(port, "+tcp", "+short", "six", "AAAA", server="::1")).split() == ["::1"]

    trio.run(main)


LABELS = st.sampled_from(
    ["web", "front", "tasks", "1", "0", "77", "30", "172", "in-addr", "arpa", "ip6", "f", "localhost"]
)


@given(st.lists(LABELS | st.text("ab.-_\\é*", min_size=1, max_size=9), max_size=40), st.integers(0, 65535), st.binary())
def test_no_question_is_too_odd(labels: list[str], kind: int, more: bytes) -> None:
    server = NameServer()
    server.join("web", ContainerNames((WEB,)))
    octets = b"".join(bytes((len(label.encode()),)) + label.encode() for label in labels)
    data = (
        b"\0\1\1\0\0\1\0\0\0\0\0"
        + (b"\1" if more else b"\0")
        + octets
        + b"\0"
        + kind.to_bytes(2, "big")
        + b"\0\1"
        + more
    )
    question = read_question(data)
    assert question is not None
    answer = server._answer_at_once("web", question, data)
    assert answer is None or answer[:2] == data[:2]
    assert answer is not None or question.code == 0


def test_internal_networks_let_no_name_out() -> None:
    async def main() -> None:
        async with name_service(ContainerNames((WEB._replace(internal=True),))) as service:
            assert await _short(service.udp_port, "db") == ["172.30.0.3"]
            assert "status: SERVFAIL" in await _dig(service.udp_port, "example.org")
            assert service.world.asked == []

    trio.run(main)


class _Gate:
    """Lets `*.org` pass, and notes what it was told."""

    def __init__(self) -> None:
        self.admitted: list[tuple[str, str, tuple[bytes, ...]]] = []
        self.broken = False

    def restrict(self, container: str, names: ContainerNames) -> None:
        pass

    def release(self, container: str) -> None:
        pass

    def may_ask(self, container: str, name: str) -> bool:
        return container != "web" or name.endswith(".org")

    def admit(self, container: str, name: str, addresses: Sequence[bytes], lifetime: int) -> bool:
        self.admitted.append((container, name, tuple(addresses)))
        return not self.broken


def test_a_restricted_container_asks_for_what_it_may_and_is_let_through_first() -> None:
    async def main() -> None:
        gate, refused = _Gate(), list[Refusal]()
        names = ContainerNames((WEB,), egress=(("allow=*.org",),))
        async with name_service(names, gate=gate, on_refusal=refused.append) as service:
            assert await _short(service.udp_port, "db") == ["172.30.0.3"]
            assert "status: REFUSED" in await _dig(service.udp_port, "www.example.net")
            assert "status: REFUSED" in await _dig(service.udp_port, "-x", "192.0.2.1")
            assert [(one.container, one.kind, one.what) for one in refused] == [
                ("web", "name", "www.example.net"),
                ("web", "name", "1.2.0.192.in-addr.arpa"),
            ]
            for _ in range(2):  # the second one out of what is kept
                assert await _short(service.udp_port, "example.org") == ["192.0.2.1"]
            assert gate.admitted == [("web", "example.org", (socket.inet_aton("192.0.2.1"),))] * 2
            gate.broken = True
            assert "status: SERVFAIL" in await _dig(service.udp_port, "example.org")

    trio.run(main)


def test_servers_of_its_own_are_asked_for_a_container() -> None:
    async def main() -> None:
        names = ContainerNames((WEB,), servers=("127.0.0.1",))
        async with name_service(names) as service:
            assert await _short(service.udp_port, "example.org") == ["192.0.2.1"]
            assert list(service.server._listed) == [("127.0.0.1",)]
            service.server.leave("web")
            assert service.server._listed == {}

    trio.run(main)


def test_sockets_are_closed_when_serving_ends() -> None:
    async def main() -> None:
        udp, tcp = make_container_sockets()
        address = tcp.getsockname()
        with trio.move_on_after(0.01):
            await NameServer().serve_container("web", [udp, tcp])
        with pytest.raises(OSError, match="failed"):
            await trio.open_tcp_stream(*address)
        assert (udp.fileno(), tcp.fileno()) == (-1, -1)

    trio.run(main)
