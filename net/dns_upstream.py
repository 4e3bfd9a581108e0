"""Names that are none of ours: asked of the host's resolver by the host's own rules, or of the servers of `--dns`.

Servers are asked in the order of resolv.conf, each for some seconds, with its options `timeout`, `attempts`, `rotate`
and `use-vc`. One that was silent comes last for a while. There is always an answer, SERVFAIL at the worst.
"""

from __future__ import annotations

import trio

from net.dns_cache import LONGEST_LIFETIME, AnswerCache, QuestionKey, key_of
from net.dns_exchange import Exchange, question_number
from net.dns_wire import (
    AAAA,
    ANY,
    CUT,
    IN,
    NOTIMP,
    PTR,
    REFUSED,
    SERVFAIL,
    A,
    Question,
    address_of_pointer,
    answer_for,
    build_answer,
    encode_name,
    question_to_pass_on,
    summarize,
)
from net.host_names import HostNames, packed_address
from net.resolver import Resolver, is_loopback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    class Asking(Protocol):
        """What `Exchange` does."""

        async def ask(self, server: str, message: bytes, end: int, *, stream: bool) -> bytes:
            """The answer of one server."""


#: seconds for which one server is waited for, and all of them: less than the 10 s of a client
_PATIENCE, _ALL_PATIENCE = 2.0, 8.0
#: rounds over all servers
_ROUNDS = 2
#: seconds for which a silent server is asked last
_SILENCE = 10.0
#: seconds for which an answer of a server on this host is kept: it keeps answers itself, and knows when they change
_STUB_LIFETIME = 1
#: seconds, of what the host's hosts say
_HOSTS_LIFETIME = 5


class _Asked:
    """A question on its way; who comes with the same one waits for its answer."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.answer: bytes | None = None


class Upstream:
    """The servers that `read` names at this moment. Where `hosts` are given, what they say comes first."""

    def __init__(
        self,
        read: Callable[[], Resolver],
        *,
        hosts: HostNames | None = None,
        exchange: Asking | None = None,
        cache: AnswerCache | None = None,
    ) -> None:
        self._read = read
        self._hosts = hosts
        self._exchange = exchange or Exchange()
        self._cache = cache or AnswerCache()
        self._resolver: Resolver | None = None
        self._first = 0
        self._silent_until: dict[str, float] = {}
        self._asked: dict[tuple[QuestionKey, bool], _Asked] = {}

    def at_once(self, question: Question, data: bytes) -> bytes | None:
        """The answer to `question`, which was read of `data`, where no server need be asked for it."""
        self._look()
        if self._hosts is not None and (known := _of_hosts(self._hosts, question, data)) is not None:
            return known
        kept = None if question.odd else self._cache.get(question)
        return kept and answer_for(question, data, kept)

    async def ask(self, question: Question, data: bytes, *, stream: bool) -> bytes:
        """The answer to `question`, which was read of `data`; by `stream` it may be longer than a datagram."""
        if question.odd:
            return await self._ask_servers(question, data, stream=stream)
        key = (key_of(question), stream)
        while asked := self._asked.get(key):
            await asked.done.wait()
            if asked.answer is not None:
                return answer_for(question, data, asked.answer)
        asked = self._asked[key] = _Asked()
        try:
            asked.answer = await self._ask_servers(question, data, stream=stream)
            return asked.answer
        finally:
            del self._asked[key]
            asked.done.set()

    async def _ask_servers(self, question: Question, data: bytes, *, stream: bool) -> bytes:
        resolver = self._look()
        patience, rounds = _option(resolver, "timeout", _PATIENCE), int(_option(resolver, "attempts", _ROUNDS))
        # a datagram first, and a stream where that is too short and the asker takes more
        kinds = (True,) if "use-vc" in resolver.options else (False, True) if stream else (False,)
        unwilling = None
        with trio.move_on_after(_ALL_PATIENCE):
            for _ in range(rounds):
                for server in self._in_order(resolver):
                    answer = await self._ask_one(server, question, data, patience, kinds)
                    if answer is not None and answer[3] & 0x0F not in (SERVFAIL, NOTIMP, REFUSED):
                        self._keep(resolver, server, question, answer)
                        return answer_for(question, data, answer)
                    unwilling = answer or unwilling
                if unwilling is not None:
                    return answer_for(question, data, unwilling)
        return build_answer(question, data, code=SERVFAIL)

    async def _ask_one(
        self, server: str, question: Question, data: bytes, patience: float, kinds: Sequence[bool]
    ) -> bytes | None:
        message = question_to_pass_on(question, data, question_number())
        answer = None
        try:
            with trio.move_on_after(patience) as scope:
                for stream in kinds:
                    if answer is None or answer[2] & CUT >> 8:
                        answer = await self._exchange.ask(server, message, question.end, stream=stream)
        except OSError:
            return answer
        if scope.cancelled_caught and answer is None:
            self._silent_until[server] = trio.current_time() + _SILENCE
        else:
            self._silent_until.pop(server, None)
        return answer

    def _in_order(self, resolver: Resolver) -> list[str]:
        servers = list(resolver.servers)
        if "rotate" in resolver.options and servers:
            self._first = (self._first + 1) % len(servers)
            servers = servers[self._first :] + servers[: self._first]
        now = trio.current_time()
        return sorted(servers, key=lambda server: self._silent_until.get(server, 0.0) > now)

    def _look(self) -> Resolver:
        resolver = self._read()
        if resolver is not self._resolver:
            # another network: what was said in the last one may be wrong here
            self._resolver = resolver
            self._cache.clear()
            self._silent_until.clear()
        return resolver

    def _keep(self, resolver: Resolver, server: str, question: Question, answer: bytes) -> None:
        if resolver is self._resolver and (summary := summarize(answer, question.end)) is not None:
            self._cache.keep(question, answer, summary, _STUB_LIFETIME if is_loopback(server) else LONGEST_LIFETIME)


def host_upstream(hosts: HostNames | None = None, exchange: Asking | None = None) -> Upstream:
    """The host's resolver, with the host's hosts before it."""
    hosts = hosts or HostNames()
    return Upstream(hosts.resolver, hosts=hosts, exchange=exchange)


def listed_upstream(servers: tuple[str, ...], exchange: Asking | None = None) -> Upstream:
    """The servers with these addresses and no others."""
    resolver = Resolver(servers)
    return Upstream(lambda: resolver, exchange=exchange)


def _option(resolver: Resolver, name: str, default: float) -> float:
    for option in resolver.options:
        key, _, value = option.partition(":")
        if key == name and value.isascii() and value.isdigit():
            # resolv.conf(5) has limits of 30 and 5; a client does not wait for the first
            return float(min(max(int(value), 1), 5))
    return default


def _of_hosts(hosts: HostNames, question: Question, data: bytes) -> bytes | None:
    if question.family != IN:
        return None
    if question.kind == PTR:
        name = hosts.name_of(packed_address(address_of_pointer(question.name)))
        try:
            records = [(PTR, encode_name(name))] if name else None
        except ValueError:
            return None
    else:
        addresses = hosts.addresses(question.name)
        records = (
            [
                (kind, address)
                for address in addresses
                if (kind := A if len(address) == 4 else AAAA) == question.kind or question.kind == ANY
            ]
            if addresses
            else None
        )
    return None if records is None else build_answer(question, data, records=records, lifetime=_HOSTS_LIFETIME)
