"""A service's forwarder while nobody comes: it rests as a monitor does (`runtime/rests.py`).

Its title stays readable in lists of processes meanwhile, by which it is found where its socket is lost.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from functools import partial

from net.forward_loop import raise_limit
from net.keeper_birth import forget_caller
from net.service_forwarder import ServiceForwarder, ServiceState
from sandbox.named_tuple import NamedTuple
from sandbox.runtime.rests import RestPlan, find_code_steps, rest
from storage.waits import carry_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, TypeAlias

    Rest: TypeAlias = Callable[[ServiceForwarder], None]
    ForwarderOf: TypeAlias = Callable[[Rest, float], ServiceForwarder]

_QUIET_SECONDS = 2.0
#: as of monitors: after several rests that were shorter than they are worth
_LONGEST_QUIET_SECONDS = 300.0
_WORTH_SECONDS = 60.0


class ForwarderPlaces(NamedTuple):
    """What a forwarder is called, where files are kept that can be made again, and where faults are told."""

    title: str
    cache: str
    log_path: str


class RestingForwarder:
    """A forwarder between its rests: what it knows, and what it needs to go on."""

    def __init__(self, places: ForwarderPlaces) -> None:
        self._places = places
        self._state: ServiceState | None = None
        self._code_fd = -1
        self._epoll_fd = -1
        self._rested_at = 0.0
        self._short_rests = 0

    def run(self, forwarder_of: ForwarderOf) -> NoReturn:
        """Be the forwarder; `forwarder_of` makes it with how it rests, and after how many quiet seconds."""
        quiet = min(_QUIET_SECONDS * 4 ** max(0, self._short_rests - 1), _LONGEST_QUIET_SECONDS)
        forwarder_of(self._rest, quiet).run()

    def go_on(self) -> None:
        """In a new interpreter: be the forwarder again, to the end."""
        forget_caller(self._places.title)
        os.close(self._epoll_fd)
        rested = time.monotonic() - self._rested_at
        self._short_rests = self._short_rests + 1 if rested < _WORTH_SECONDS else 0
        state, self._state = self._state, None
        assert state is not None
        self.run(partial(_again, state))

    def _rest(self, forwarder: ServiceForwarder) -> None:
        """Returns where that cannot be."""
        # descriptors are few, and what cannot be opened is not found
        with suppress(ImportError, OSError):
            self._rest_now(forwarder)

    def _rest_now(self, forwarder: ServiceForwarder) -> None:
        if self._code_fd < 0:
            self._code_fd = carry_out(find_code_steps(self._places.cache))
        if self._code_fd < 0:
            return
        self._state, self._epoll_fd, self._rested_at = forwarder.state(), forwarder.epoll.fileno(), time.monotonic()
        rest(self, RestPlan(self._places.title, self._epoll_fd, (), None, self._code_fd, self._places.log_path))


def _again(state: ServiceState, rest: Rest, quiet_seconds: float) -> ServiceForwarder:
    control = socket.socket(fileno=state.control_fd)
    forwarder = ServiceForwarder(state.service, control, state.listeners, raise_limit(), rest, quiet_seconds)
    forwarder.take_up(state)
    return forwarder
