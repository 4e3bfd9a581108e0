"""What a monitor and its desk share: the run that is on, the orders that were given, what is watched beside it."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.monitor.health import HealthWatch
    from sandbox.container.monitor.mount_watch import MountWatch
    from sandbox.container.monitor.network import NetworkWatch
    from sandbox.container.monitor.run import Run


class Orders(NamedTuple):
    """Why no restart is to follow."""

    stopped_by_user: bool = False
    #: by a signal, as `kill` sends it
    killed_by_user: bool = False
    #: a signal that ends restarts, or the end of the session
    no_restart: bool = False
    #: whether that is a stop to those who follow events
    is_stop: bool = False

    @property
    def stay_down(self) -> bool:
        return self.stopped_by_user or self.no_restart


class Watches(NamedTuple):
    """What is looked after beside the container's process."""

    network: NetworkWatch
    mounts: MountWatch
    #: None where it has no health check
    health: HealthWatch | None


class Life:
    """Of one container, from its first start to its end."""

    def __init__(self, watches: Watches) -> None:
        self.watches = watches
        #: None between two runs, and before the first
        self.run: Run | None = None
        self.orders = Orders()

    def order(self, **changes: bool) -> None:
        """Set fields of the orders."""
        self.orders = self.orders._replace(**changes)
