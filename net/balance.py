"""Where a connection leads to: one container, or the healthy members of a service. Values and counts, no I/O.

The member with the fewest connections is chosen, for its weight; of several such each in its turn. With affinity, one
client's address leads to one member as long as that is there, and a member that comes or goes moves no other client
than its own (rendezvous hashing), in this process and in the next one.
"""

from __future__ import annotations

import time
from binascii import crc32
from math import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from net.client_address import ClientAddresses

#: who has just refused a connection gets one only where nobody else takes it
REFUSED_SECONDS = 1.0
_WORD = (1 << 64) - 1


class Target:
    """One container that connections may lead to; `open` are those that do now."""

    __slots__ = ("clients", "is_leaving", "key", "open", "refused_at", "weight")

    def __init__(self, key: str, clients: ClientAddresses, weight: int = 1) -> None:
        self.key = key
        self.clients = clients
        self.weight = weight
        self.open = 0
        #: takes no new connections
        self.is_leaving = False
        self.refused_at = -REFUSED_SECONDS


class Balance:
    """The targets of one forwarder, by key."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.targets: dict[str, Target] = {}
        #: whether a client's address decides
        self.has_affinity = False
        self._clock = clock
        self._turn = 0

    def choose(self, family: int, host: str, refused: Collection[Target] = ()) -> Target | None:
        """Where the next connection of a client at `host` is to lead; None where nobody takes it."""
        able = [
            one
            for one in self.targets.values()
            if not one.is_leaving and one not in refused and one.clients.destination(family) is not None
        ]
        if len(able) > 1:
            since = self._clock() - REFUSED_SECONDS
            able = [one for one in able if one.refused_at <= since] or able
        if len(able) < 2:
            return able[0] if able else None
        return max(able, key=lambda one: _score(host, one)) if self.has_affinity else self._least(able)

    def enter(self, target: Target) -> None:
        """A connection leads to it."""
        target.open += 1

    def leave(self, target: Target) -> None:
        """One of its connections has ended."""
        target.open -= 1

    def refused(self, target: Target) -> None:
        """It has refused a connection."""
        target.refused_at = self._clock()

    def _least(self, able: list[Target]) -> Target:
        self._turn += 1
        first = self._turn % len(able)
        return min((*able[first:], *able[:first]), key=lambda one: one.open / one.weight)


def _score(host: str, target: Target) -> float:
    # the two words are mixed well, for neither differs much from the next client's: splitmix64
    word = (crc32(host.encode()) << 32 | crc32(target.key.encode())) + 0x9E3779B97F4A7C15 & _WORD
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    word = (word ^ word >> 27) * 0x94D049BB133111EB & _WORD
    word ^= word >> 31
    # as if each had as many places as its weight
    return -target.weight / log((word + 0.5) / (_WORD + 1))
