"""The life of a container's network in its monitor: when what connects it has ended, it is connected again."""

from __future__ import annotations

import time
from collections import deque
from functools import partial

from sandbox.container.monitor.task import Task
from sandbox.errors import ConflictError, SandboxError
from sandbox.named_tuple import NamedTuple
from sandbox.runtime.reactor import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sandbox.container.monitor.roles import Network
    from sandbox.runtime.reactor import Reactor, Timer
    from sandbox.values import PublishedPort
    from storage.waits import Steps

    Done = Callable[[tuple[PublishedPort, ...]], None]

_FIRST_REVIVAL_SECONDS = 0.5
_MOST_DOUBLINGS = 3
#: after so long without one, the first is at once again
_CALM_SECONDS = 60.0


class _Change(NamedTuple):
    """What is to be done, and who is told that it is, or why it cannot be."""

    steps: Callable[[], Steps[Any]]
    done: Callable[[Any], None]
    failed: Callable[[Exception], None]
    #: the network ended in the middle of it: it may be what ends it
    was_cut: bool = False


class NetworkWatch:
    """Watches from `begin` to `end`; `failed` is told why the network could not be connected again.

    `refused` is told what rules of egress keep the container from.
    """

    def __init__(
        self,
        network: Network,
        reactor: Reactor,
        failed: Callable[[Exception], None],
        refused: Callable[[str], None],
    ) -> None:
        self._network = network
        self._reactor = reactor
        self._failed = failed
        self._refused = refused
        #: what is published once more
        self.ports: tuple[PublishedPort, ...] = ()
        self._revivals = 0
        #: when it was last connected again, or could not be
        self._tried_at = 0.0
        self._watched = -1
        self._timer: Timer | None = None
        self._task: Task | None = None
        #: changes that were asked for, the first of which is being made
        self._changes: deque[_Change] = deque()

    def begin(self) -> None:
        """Watch the network, where there is one."""
        pidfd = self._network.network_pidfd
        if pidfd >= 0:
            self._watched = pidfd
            self._reactor.watch(pidfd, READ, self._happened)

    def publish(self, ports: tuple[PublishedPort, ...], done: Done, failed: Callable[[Exception], None]) -> None:
        """Bind the ports, or none; `done` gets them as they are bound."""
        self._publish(lambda: ports, done, failed)

    def bind(self, ports: tuple[PublishedPort, ...], done: Done, failed: Callable[[Exception], None]) -> None:
        """As `publish`, those of the ports that are not bound when it is its turn."""
        from sandbox.container.model.port_changes import is_of  # of few containers

        def wanted() -> tuple[PublishedPort, ...]:
            return tuple(port for port in ports if not any(is_of(one, port) for one in self.ports))

        self._publish(wanted, done, failed)

    def _publish(
        self, wanted: Callable[[], tuple[PublishedPort, ...]], done: Done, failed: Callable[[Exception], None]
    ) -> None:
        def bound(now: tuple[PublishedPort, ...]) -> None:
            self.ports = (*self.ports, *now)
            done(now)

        self._change(lambda: self._network.publish_steps(wanted(), self.ports), bound, failed)

    def unpublish(self, ports: tuple[PublishedPort, ...], done: Done, failed: Callable[[Exception], None]) -> None:
        """Close the ports, as they are bound; `done` gets them."""

        def kept() -> tuple[PublishedPort, ...]:
            # of those that are there when it is its turn
            return tuple(port for port in self.ports if port not in ports)

        def closed(_nothing: object) -> None:
            self.ports = kept()
            done(ports)

        self._change(lambda: self._network.unpublish_steps(ports, kept()), closed, failed)

    def change_networks(self, done: Callable[[], None], failed: Callable[[Exception], None]) -> None:
        """Have the container on those networks that the records say."""

        self._change(self._network.change_networks_steps, lambda _nothing: done(), failed)

    def withdraw(self) -> None:
        """Have the names of its service not lead to the container any more."""
        self._network.withdraw()

    def _change(
        self, steps: Callable[[], Steps[Any]], done: Callable[[Any], None], failed: Callable[[Exception], None]
    ) -> None:
        """One change after the other, each told what became of it; while the network is connected again, they wait."""
        if self._watched < 0 and self._timer is None and self._task is None:
            failed(ConflictError("its network is not there yet, or no more", mend="try again"))
            return
        self._changes.append(_Change(steps, done, failed))
        if self._timer is not None:
            # somebody wants it now
            self._timer.cancel()
            self._revive()
        elif len(self._changes) == 1 and self._watched >= 0:
            self._begin_change()

    def _begin_change(self) -> None:
        change = self._changes[0]

        def tell(then: Callable[[Any], None], value: object) -> None:
            self._task = None
            self._changes.popleft()
            then(value)
            if self._changes:
                self._begin_change()

        try:
            self._task = Task(self._reactor, change.steps(), partial(tell, change.done), partial(tell, change.failed))
        except SandboxError as error:
            tell(change.failed, error)
            return
        self._task.begin()

    def end(self) -> None:
        """Watch no more, and connect nothing again; twice is safe."""
        self._stop()
        self._fail_changes(ConflictError("its network ended meanwhile", mend="try again"))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._watched >= 0:
            self._reactor.forget(self._watched)
            self._watched = -1

    def _fail_changes(self, error: Exception) -> None:
        changes, self._changes = self._changes, deque()
        for change in changes:
            change.failed(error)

    def _happened(self, _events: int) -> None:
        if self._network.network_event(self._refused):
            is_cut = self._task is not None
            self._stop()
            if is_cut:
                self._put_back()
            self._revive_later()

    def _put_back(self) -> None:
        """The change in hand is made anew on the network that is connected again, but once."""
        change = self._changes.popleft()
        if change.was_cut:
            change.failed(ConflictError("its network ended meanwhile", mend="try again"))
        else:
            self._changes.appendleft(change._replace(was_cut=True))

    def _revive_later(self) -> None:
        # a container may make it crash at will: later and later, up to a few seconds
        if time.monotonic() - self._tried_at > _CALM_SECONDS:
            self._revivals = 0
        delay = _FIRST_REVIVAL_SECONDS * (2**self._revivals - 1)
        self._revivals = min(self._revivals + 1, _MOST_DOUBLINGS)
        self._timer = self._reactor.after(delay, self._revive)

    def _revive(self) -> None:
        self._timer = None
        steps = self._network.revive_network(self.ports)
        self._task = Task(self._reactor, steps, lambda _: self._revived(), self._not_revived)
        self._task.begin()

    def _revived(self) -> None:
        self._task = None
        self._tried_at = time.monotonic()
        self.begin()
        if self._changes:
            self._begin_change()

    def _not_revived(self, error: Exception) -> None:
        self._task = None
        self._tried_at = time.monotonic()
        self._failed(error)
        self._fail_changes(error)
        self.begin()
        if self._watched < 0:
            self._revive_later()
