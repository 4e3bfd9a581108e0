"""The keeper's hold of what restricted containers reach: it admits the addresses of names that they may ask for."""

from __future__ import annotations

import time

from net.egress import (
    EgressRules,
    admit_text,
    combine_egress,
    mark_of,
    may_be_admitted,
    ports_of,
    release_text,
    restrict_text,
    withdraw_text,
)
from net.errors import NetError
from net.host_names import packed_address
from net.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from net.names import ContainerNames

#: seconds for which an address is admitted at least, and beyond the lifetime of its answer: programs connect late
_LEAST, _GRACE = 60, 30
#: seconds, of an answer that says more
_LONGEST = 3600
#: addresses that one container is admitted to at once
_ADDRESSES = 4096


class _Held(NamedTuple):
    interfaces: tuple[str, ...]
    rules: EgressRules
    #: (address, port) -> when it ends
    admitted: dict[tuple[bytes, int], float]
    #: (address, port) of the rules themselves
    always: frozenset[tuple[bytes, int]]


class EgressGate:
    """Restricted containers by id. `run` does nft commands in the router; `clock` gives seconds.

    A container that leaves is held for as long as `is_there` says that one of its wires is: whoever spoke for it may
    have been lost, and comes again.
    """

    def __init__(
        self,
        run: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
        is_there: Callable[[str], bool] = lambda _interface: False,
    ) -> None:
        self._run = run
        self._clock = clock
        self._is_there = is_there
        self._held: dict[str, _Held] = {}
        #: of containers that have left
        self._left: dict[str, _Held] = {}

    def restrict(self, container: str, names: ContainerNames) -> None:
        """Hold a container to its rules, or to none where it has none. Raises NetError; it is as before then."""
        interfaces = tuple(endpoint.interface for endpoint in names.endpoints if endpoint.interface)
        if container in self._left:
            self._held[container] = self._left.pop(container)
        self._sweep()
        before = self._held.get(container)
        if not names.egress:
            if before:
                self._take_away(self._held.pop(container))
            return
        rules = combine_egress(names.egress)
        if before and (before.interfaces, before.rules) == (interfaces, rules):
            return
        text = restrict_text(interfaces, rules)
        if before:
            # in one transaction: what it may reach no more, and no packet that is not held
            marks = [mark_of(interface) for interface in before.interfaces]
            withdrawn = (withdraw_text(marks, *key) for key in before.admitted)
            text = release_text(before.interfaces, before.rules) + "".join(withdrawn) + text
        self._run(text)
        self._held[container] = _Held(interfaces, rules, {}, _always(rules))

    def release(self, container: str) -> None:
        """Forget a container; one that is not restricted is no error. What holds it goes when its wires have gone."""
        held = self._held.pop(container, None)
        if held is not None:
            self._left[container] = held
        self._sweep()

    def may_ask(self, container: str, name: str) -> bool:
        """Whether a container may ask for `name`: it is not restricted, or one of its rules says so."""
        held = self._held.get(container)
        return held is None or bool(ports_of(held.rules, name))

    def admit(self, container: str, name: str, addresses: Sequence[bytes], lifetime: int) -> bool:
        """Let a container reach `addresses`, which `name` has for `lifetime` seconds. False where that cannot be."""
        held = self._held.get(container)
        if held is None:
            return True
        now = self._clock()
        wanted = min(max(lifetime, _LEAST), _LONGEST)
        marks = [mark_of(interface) for interface in held.interfaces]
        self._forget_old(held, now)
        text, until = "", now + wanted + _GRACE
        new: dict[tuple[bytes, int], float] = {}
        for key in [(address, port) for address in addresses for port in ports_of(held.rules, name)]:
            # what is good for long enough is left alone: an answer out of the cache costs nothing
            if may_be_admitted(key[0]) and held.admitted.get(key, 0.0) < now + wanted and key not in held.always:
                text += admit_text(marks, *key, wanted + _GRACE)
                new[key] = until
        if not text:
            return True
        if len(held.admitted | new) > _ADDRESSES:
            return False
        try:
            self._run(text)
        except NetError:
            return False
        held.admitted.update(new)
        return True

    def container_of(self, mark: int) -> str | None:
        """Whose packets have that mark."""
        for container, held in self._held.items():
            if mark in map(mark_of, held.interfaces):
                return container
        return None

    def _forget_old(self, held: _Held, now: float) -> None:
        for key in [key for key, end in held.admitted.items() if end <= now]:
            del held.admitted[key]

    def _sweep(self) -> None:
        for container, held in list(self._left.items()):
            if not any(map(self._is_there, held.interfaces)):
                del self._left[container]
                self._take_away(held)

    def _take_away(self, held: _Held) -> None:
        try:
            self._run(release_text(held.interfaces, held.rules))
        except NetError:
            # the router's rules are gone, or were never there: nothing is left to take away
            return


def _always(rules: EgressRules) -> frozenset[tuple[bytes, int]]:
    return frozenset(
        (packed_address(allowed.address), allowed.port) for allowed in rules.addresses if "/" not in allowed.address
    )
