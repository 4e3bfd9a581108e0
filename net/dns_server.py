"""The name server of containers: names of their networks from a table, all others from upstream.

What is known is answered where it is read, many datagrams a turn; only a question that goes on becomes a task.
A container has so many of those at once, and so many connections: what is above that is refused at once, and a turn
reads so many datagrams of one socket, so that no container starves another.
"""

from __future__ import annotations

import errno
import socket
import time
from collections import Counter

import trio

from net.dns_exchange import Exchange, receive_message
from net.dns_sockets import ADDRESS_OF_QUESTION, reply_ancillary
from net.dns_upstream import Upstream, host_upstream, listed_upstream
from net.dns_wire import (
    AAAA,
    ANY,
    IN,
    LARGEST,
    NOERROR,
    NXDOMAIN,
    PTR,
    REFUSED,
    SERVFAIL,
    A,
    Question,
    answer_for,
    build_answer,
    encode_name,
    read_question,
    summarize,
)
from net.egress import Refusal
from net.name_table import NameTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from net.names import ContainerNames

    class Gate(Protocol):
        """What `net.egress_gate.EgressGate` does: it lets restricted containers reach what they may ask for."""

        def restrict(self, container: str, names: ContainerNames) -> None: ...
        def release(self, container: str) -> None: ...
        def may_ask(self, container: str, name: str) -> bool: ...
        def admit(self, container: str, name: str, addresses: Sequence[bytes], lifetime: int) -> bool: ...


#: seconds for which the address of one of our names is good: the container may be another one soon
_LIFETIME = 5
#: datagrams of one socket in a turn, and octets of one; a question is never longer
_TURN, _LARGEST_QUESTION = 64, 4096
#: questions of one container that wait for upstream, and of all
_WAITING, _ALL_WAITING = 128, 512
#: connections of one container, and of all; seconds between two questions of one
_CONNECTIONS, _ALL_CONNECTIONS, _IDLE = 16, 256, 10.0
#: seconds for which a container is waited for that asks before it is known, and questions of that kind
_ACQUAINTANCE, _ALL_STRANGERS = 3.0, 64
_LOCALHOST = {A: b"\x7f\0\0\1", AAAA: b"\0" * 15 + b"\1"}


class NameServer:
    """Answers the questions of all containers.

    `ask_from` asks the servers of `--dns`, from the containers' side; `on_refusal` is told of each name that a
    container may not ask for. `look_again` is asked of a name that is not known: whether more is known now.
    """

    def __init__(
        self,
        upstream: Upstream | None = None,
        *,
        gate: Gate | None = None,
        ask_from: Exchange | None = None,
        on_refusal: Callable[[Refusal], None] | None = None,
        look_again: Callable[[], bool] = lambda: False,
    ) -> None:
        self.table = NameTable()
        self._host = upstream or host_upstream()
        self._gate = gate
        self._ask_from = ask_from
        self._on_refusal = on_refusal
        self._look_again = look_again
        self._listed: dict[tuple[str, ...], Upstream] = {}
        self._waiting: Counter[str] = Counter()
        self._connections: Counter[str] = Counter()
        self._strangers = 0
        self._joined = trio.Event()

    def join(self, container: str, names: ContainerNames) -> None:
        """Know `container` by `names` from now on. Raises NetError, ValueError for what cannot be; then as before."""
        if self._gate is not None:
            # first: what it may not ask for is not answered meanwhile
            self._gate.restrict(container, names)
        self.table.join(container, names)
        if names.servers and names.servers not in self._listed:
            self._listed[names.servers] = listed_upstream(names.servers, self._ask_from)
        self._forget_servers()
        self._joined.set()
        self._joined = trio.Event()

    def leave(self, container: str) -> None:
        """Forget a container; one that is not known is no error."""
        self.table.leave(container)
        if self._gate is not None:
            self._gate.release(container)
        self._forget_servers()

    async def serve_router(self, sockets: Sequence[_socket.socket]) -> None:
        """Answer on sockets of `make_router_sockets`, where the source says who asks. Closes them at last."""
        await self._serve(sockets, None)

    async def serve_container(self, container: str, sockets: Sequence[_socket.socket]) -> None:
        """Answer on a container's own sockets, of `make_container_sockets`. Closes them at last."""
        await self._serve(sockets, container)

    async def _serve(self, sockets: Sequence[_socket.socket], asker: str | None) -> None:
        opened = [socket.socket(fileno=one.detach()) for one in sockets]
        try:
            async with trio.open_nursery() as nursery:
                for one in opened:
                    serve = self._serve_datagrams if one.type == socket.SOCK_DGRAM else self._serve_connections
                    nursery.start_soon(serve, one, asker, nursery)
        finally:
            for one in opened:
                trio.lowlevel.notify_closing(one)
                one.close()

    async def _serve_datagrams(self, one: socket.socket, asker: str | None, nursery: trio.Nursery) -> None:
        while True:
            await trio.lowlevel.wait_readable(one)
            for _ in range(_TURN):
                try:
                    data, ancillary, _, address = one.recvmsg(_LARGEST_QUESTION, ADDRESS_OF_QUESTION)
                except BlockingIOError:
                    break
                except OSError:
                    await trio.lowlevel.checkpoint()
                    break
                question = read_question(data)
                if question is None:
                    continue
                who = asker or self.table.asker_of(address[0])
                answer = self._answer_at_once(who, question, data) if who else None
                if answer is not None:
                    _send(one, answer_within(question, data, answer), ancillary, address)
                else:
                    nursery.start_soon(self._answer_datagram, one, who, question, data, ancillary, address)

    async def _answer_datagram(
        self,
        one: socket.socket,
        asker: str | None,
        question: Question,
        data: bytes,
        ancillary: list[tuple[int, int, bytes]],
        address: tuple[str | int, ...],
    ) -> None:
        answer = await self._answer(asker, str(address[0]), question, data, stream=False)
        _send(one, answer_within(question, data, answer), ancillary, address)

    async def _serve_connections(self, one: socket.socket, asker: str | None, nursery: trio.Nursery) -> None:
        while True:
            await trio.lowlevel.wait_readable(one)
            try:
                connection, address = one.accept()
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    # the connection waits until others have ended
                    await trio.sleep(0.1)
                continue
            key = asker or address[0]
            if self._connections[key] >= _CONNECTIONS or self._connections.total() >= _ALL_CONNECTIONS:
                connection.close()
            else:
                connection.setblocking(False)
                self._connections[key] += 1
                nursery.start_soon(self._serve_connection, connection, asker, address[0], key)

    async def _serve_connection(self, connection: socket.socket, asker: str | None, address: str, key: str) -> None:
        try:
            async with trio.SocketStream(trio.socket.from_stdlib_socket(connection)) as stream:
                while True:
                    with trio.move_on_after(_IDLE):
                        data = await receive_message(stream, _LARGEST_QUESTION)
                        question = data and read_question(data)
                        if not data or not question:
                            return
                        answer = await self._answer(asker, address, question, data, stream=True)
                        await stream.send_all(len(answer).to_bytes(2, "big") + answer)
                        continue
                    return
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            return
        finally:
            self._connections[key] -= 1
            if not self._connections[key]:
                del self._connections[key]

    async def _answer(self, asker: str | None, address: str, question: Question, data: bytes, *, stream: bool) -> bytes:
        asker = asker or self.table.asker_of(address) or await self._meet(address)
        if asker is None:
            return build_answer(question, data, code=REFUSED)
        answer = self._answer_at_once(asker, question, data)
        if answer is not None:
            return answer
        if self._waiting[asker] >= _WAITING or self._waiting.total() >= _ALL_WAITING:
            return build_answer(question, data, code=SERVFAIL)
        self._waiting[asker] += 1
        try:
            answer = await self._upstream_of(asker).ask(question, data, stream=stream)
        finally:
            self._waiting[asker] -= 1
            if not self._waiting[asker]:
                del self._waiting[asker]
        return self._let_through(asker, question, data, answer)

    async def _meet(self, address: str) -> str | None:
        if self._strangers >= _ALL_STRANGERS:
            return None
        self._strangers += 1
        try:
            with trio.move_on_after(_ACQUAINTANCE):
                while (asker := self.table.asker_of(address)) is None:
                    await self._joined.wait()
                return asker
        finally:
            self._strangers -= 1
        return None

    def _answer_at_once(self, asker: str, question: Question, data: bytes) -> bytes | None:
        """The answer where upstream need not be asked: our names, refusals, and what is kept."""
        if question.code != NOERROR:
            return build_answer(question, data, code=question.code)
        if question.family == IN:
            ours = self._answer_of_ours(asker, question, data)
            if ours is not None:
                return ours
        names = self.table.names_of(asker)
        if names is None or (names.endpoints and all(endpoint.internal for endpoint in names.endpoints)):
            # nothing of an internal network leaves, not even a name
            return build_answer(question, data, code=SERVFAIL)
        if self._gate is not None and not self._gate.may_ask(asker, question.name):
            if self._on_refusal is not None:
                self._on_refusal(Refusal(asker, time.time(), "name", question.name))
            return build_answer(question, data, code=REFUSED)
        kept = self._upstream_of(asker).at_once(question, data)
        return None if kept is None else self._let_through(asker, question, data, kept)

    def _answer_of_ours(self, asker: str, question: Question, data: bytes) -> bytes | None:
        if question.kind == PTR and (name := self.table.pointer(asker, question.name)) is not None:
            try:
                records = [(PTR, encode_name(name))] if name else []
            except ValueError:  # too long for a name, with its network
                records = []
            return build_answer(
                question, data, code=NOERROR if records else NXDOMAIN, records=records, lifetime=_LIFETIME
            )
        if question.name == "localhost" or question.name.endswith(".localhost"):
            given = [(kind, address) for kind, address in _LOCALHOST.items() if question.kind in (kind, ANY)]
            return build_answer(question, data, records=given, lifetime=_LIFETIME)
        found = self.table.lookup(asker, question.name)
        if found is None and self._look_again():
            found = self.table.lookup(asker, question.name)
        if found is None:
            return None
        # of another kind there is nothing: not that there is no such name, which ends a search for AAAA and A alike
        records = [(A, address) for address in found.addresses4] if question.kind in (A, ANY) else []
        if question.kind in (AAAA, ANY):
            records += [(AAAA, address) for address in found.addresses6]
        return build_answer(question, data, records=records, lifetime=0 if found.is_of_service else _LIFETIME)

    def _let_through(self, asker: str, question: Question, data: bytes, answer: bytes) -> bytes:
        """The answer, after what it names can be reached by a container that reaches nothing else."""
        names = self.table.names_of(asker)
        if self._gate is None or names is None or not names.egress:
            return answer
        summary = summarize(answer, question.end)
        if summary is None or not self._gate.may_ask(asker, question.name):
            return build_answer(question, data, code=SERVFAIL)
        if not self._gate.admit(asker, question.name, summary.addresses, summary.lifetime):
            return build_answer(question, data, code=SERVFAIL)
        return answer

    def _upstream_of(self, asker: str) -> Upstream:
        names = self.table.names_of(asker)
        return self._listed.get(names.servers, self._host) if names else self._host

    def _forget_servers(self) -> None:
        used = {names.servers for one in self.table.containers() if (names := self.table.names_of(one))}
        for servers in self._listed.keys() - used:
            del self._listed[servers]


def answer_within(question: Question, data: bytes, answer: bytes) -> bytes:
    """The answer, cut to the octets that the asker takes by UDP."""
    return answer if len(answer) <= question.octets else answer_for(question, data, answer, limit=question.octets)


def _send(
    one: socket.socket, answer: bytes, ancillary: list[tuple[int, int, bytes]], address: tuple[str | int, ...]
) -> None:
    try:
        one.sendmsg([answer[:LARGEST]], reply_ancillary(ancillary), 0, address)
    except OSError:  # a full buffer, or an asker that is gone: a datagram may be lost, its asker asks again
        return
