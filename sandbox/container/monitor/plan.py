"""Values around a monitor: what it is told before it starts anything, and what it gets from who plays its roles."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from sandbox.container.model.record import Container
    from sandbox.container.monitor.neighbours import Neighbours
    from sandbox.network.record import Endpoint

#: cgroup file writes as (controller, file, value)
Writes = tuple[tuple[str, str, str], ...]


class SpawnRequest(NamedTuple):
    """What a monitor must know before it is told the rest."""

    container_id: str
    #: the container is made by the same command: where that fails or dies, it goes again
    is_new: bool
    #: the container whose network is shared, whose outer user namespace is entered for that; 0 is none
    join_pid: int = 0
    #: on bridge networks, below the user namespace that those containers share
    on_bridges: bool = False
    #: with a network of its own where this host can have no bridges: nobody has asked for them
    may_be_private: bool = False


class Attachment(NamedTuple):
    """What the command that starts the container wants of it from the first byte on; none for `-d`."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False

    @property
    def wanted(self) -> bool:
        return self.stdin or self.stdout or self.stderr


class Limits(NamedTuple):
    """`subtree` is the cgroup directory given to the container and its monitor, "" where none is needed."""

    subtree: str = ""
    writes: Writes = ()
    #: RLIMIT_NPROC in the container's user namespace; 0 is none
    process_limit: int = 0

    @classmethod
    def of(cls, plain: list[Any]) -> Limits:  # Any: JSON
        """The limits in a message's list. Raises ValueError where it has other than three fields."""
        subtree, writes, process_limit = plain
        return cls(subtree, tuple((str(a), str(b), str(c)) for a, b, c in writes), process_limit)


class Started(NamedTuple):
    """A container's first process; the descriptors are the monitor's now. `master_fd` is its terminal's, or -1."""

    pid: int
    pidfd: int
    master_fd: int = -1


class HealthPlaces(NamedTuple):
    """Where a health check's results lie, while the container runs and afterwards; and the file that those lock who
    follow events.
    """

    running: str
    kept: str
    followers: str


class Records(NamedTuple):
    """What an engine asks of the database at each start: others may have changed meanwhile."""

    neighbours: Callable[[], Neighbours]
    #: the container's places on networks
    endpoints: Callable[[], tuple[Endpoint, ...]]
    #: its name, "" where it is gone
    name: Callable[[], str]
    #: the container with what its links tell it of others
    linked: Callable[[Container], Container] = lambda container: container
    #: what its hosts file says of those
    link_host_lines: Callable[[], tuple[str, ...]] = lambda: ()


class Door(NamedTuple):
    """How the monitor is found again by those who have lost its socket."""

    listen_again: Callable[[], list[socket.socket]]
    #: tell those who knocked
    answer: Callable[[], None]
