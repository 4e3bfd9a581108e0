"""The signals that a monitor acts on: SIGTERM, and the knock of who has lost its socket (`monitor.reach`)."""

from __future__ import annotations

import signal

from sandbox.container.model.runtime_files import KNOCK_SIGNAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.runtime.reactor import Reactor


class SignalWatch:
    """Each signal is watched from its `on_…` until it is forgotten; then it does what it does by default."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._fds: dict[int, int] = {}

    def on_shutdown(self, act: Callable[[], None]) -> None:
        """Call `act` at SIGTERM, from who ends the session or the machine."""
        self._fds[signal.SIGTERM] = self._reactor.watch_signal(signal.SIGTERM, act)

    def on_knock(self, act: Callable[[], None]) -> None:
        """Call `act` when somebody knocks, or has knocked while that was blocked."""
        self._fds[KNOCK_SIGNAL] = self._reactor.watch_signal(KNOCK_SIGNAL, act)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (KNOCK_SIGNAL,))

    def forget_shutdown(self) -> None:
        self._forget(signal.SIGTERM)

    def forget_knock(self) -> None:
        self._forget(KNOCK_SIGNAL)

    def _forget(self, number: int) -> None:
        fd = self._fds.pop(number, -1)
        if fd >= 0:
            self._reactor.forget_signal(number, fd)
