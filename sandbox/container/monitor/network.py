"""The life of a container's private network in its monitor: when what connects it has ended, it is connected again."""

from __future__ import annotations

from sandbox.container.monitor.task import Task
from sandbox.runtime.reactor import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.container.monitor.roles import Network
    from sandbox.runtime.reactor import Reactor, Timer
    from sandbox.values import PublishedPort

_FIRST_REVIVAL_SECONDS = 0.5
_MOST_REVIVALS = 8


class NetworkWatch:
    """Watches from `begin` to `end`; `failed` is told why the network could not be connected again."""

    def __init__(self, network: Network, reactor: Reactor, failed: Callable[[Exception], None]) -> None:
        self._network = network
        self._reactor = reactor
        self._failed = failed
        #: what is published once more
        self.ports: tuple[PublishedPort, ...] = ()
        self._revivals = 0
        self._watched = -1
        self._timer: Timer | None = None
        self._task: Task | None = None

    def begin(self) -> None:
        """Watch the network, where there is one."""
        pidfd = self._network.network_pidfd
        if pidfd >= 0:
            self._watched = pidfd
            self._reactor.watch(pidfd, READ, lambda _events: self._ended())

    def end(self) -> None:
        """Watch no more, and connect nothing again; twice is safe."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._watched >= 0:
            self._reactor.forget(self._watched)
            self._watched = -1

    def _ended(self) -> None:
        self.end()
        self._revive_later()

    def _revive_later(self) -> None:
        # a container may make it crash at will: later and later, and not for ever
        delay = _FIRST_REVIVAL_SECONDS * (2**self._revivals - 1)
        self._revivals += 1
        if self._revivals <= _MOST_REVIVALS:
            self._timer = self._reactor.after(delay, self._revive)

    def _revive(self) -> None:
        self._timer = None
        steps = self._network.revive_network(self.ports)
        self._task = Task(self._reactor, steps, lambda _: self._revived(), self._not_revived)
        self._task.begin()

    def _revived(self) -> None:
        self._task = None
        self.begin()

    def _not_revived(self, error: Exception) -> None:
        self._task = None
        self._failed(error)
        self.begin()
        if self._watched < 0:
            self._revive_later()
