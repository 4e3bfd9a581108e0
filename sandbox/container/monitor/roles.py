"""The roles around a monitor: what it is told, what it writes, what it starts.

Types alone: nothing imports this when it runs.

clients ──▶ requests ──▶ Desk ──▶ the run that is on, and what is watched beside it
                         Monitor ──▶ Journal   the record in the database
                           └───────▶ Engine    kernel, storage and network
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol, TypeAlias

    from sandbox.container.model.events import Tell
    from sandbox.container.model.port_changes import PortsAdded, PortsRemoved
    from sandbox.container.model.record import ContainerState
    from sandbox.container.model.transitions import MountLost
    from sandbox.container.monitor.plan import Started
    from sandbox.container.monitor.stdio import ContainerEnds
    from sandbox.runtime.enter import BegunExec
    from sandbox.values import PublishedPort, RestartPolicy
    from storage.waits import Steps

    Change = Callable[[ContainerState], ContainerState]
    #: what is written down: a change of the state, or what happened without one
    Note: TypeAlias = Change | Tell | PortsAdded | PortsRemoved
    #: told what became of something that was asked for: None where it is done
    Answer = Callable[[Exception | None], None]
else:
    Protocol = object


class Desk(Protocol):
    """Who answers what clients ask."""

    def take_input(self, data: bytes) -> bool:
        """Pass input on; False when no more should be brought for now."""

    def end_input(self, *, detached: bool) -> None: ...
    def resize(self, rows: int, columns: int) -> None: ...
    def send_signal(self, number: int) -> None:
        """Raises SandboxError."""

    def request_stop(self, signal_number: int, timeout_seconds: float | None, *, to_remove: bool = False) -> None:
        """Signal, and kill when the time is over (None: never); no restart follows. `to_remove` is no stop to those
        who follow events.
        """

    def pause(self, answer: Answer) -> None:
        """Hold all processes of the container; `answer` gets the error, None when it is done and recorded."""

    def unpause(self, answer: Answer) -> None:
        """Let them go on, and tell in the same way."""

    def probe(self, answer: Answer) -> None:
        """Run the health check now, and tell when its result is recorded."""

    def publish(self, ports: tuple[PublishedPort, ...], answer: Answer) -> None:
        """Bind the ports, or none of them, and keep them."""

    def unpublish(self, ports: tuple[PublishedPort, ...], answer: Answer) -> None:
        """Close the ports, as they are bound, and forget them."""

    def bind(self, ports: tuple[PublishedPort, ...], answer: Answer) -> None:
        """Bind those of the ports that are not bound, or none of them."""

    def unbind(self, answer: Answer) -> None:
        """Close all ports."""

    def change_networks(self, answer: Answer) -> None:
        """Have the container on those networks that the records say."""

    def withdraw(self, answer: Answer) -> None:
        """Have the names of its service not lead to the container any more."""

    def output_blocked(self, blocked: bool) -> None: ...
    def tell(self, action: str) -> None:
        """Write down what a client did that changes nothing of the container."""


class Journal(Protocol):
    """The record itself."""

    def restart_policy(self) -> RestartPolicy | None:
        """As it is kept now; None where the container is gone."""

    def update(self, *notes: Note) -> ContainerState | None:
        """All in one transaction; None where the container is gone, or another process's."""

    def end(self, *notes: Note) -> ContainerState | None:
        """The last of them, by which the container is given back."""

    def remove_steps(self, *notes: Note) -> Steps[None]:
        """Remove the container, its files and its anonymous volumes (--rm); `notes` say how it ended."""

    def hurry(self) -> None:
        """From now on raise DatabaseError where another process is just writing, and do not wait for it."""


class ServedMounts(Protocol):
    """The part of an engine that knows the file systems which processes of ours serve."""

    @property
    def mount_pidfds(self) -> Sequence[int]:
        """Each readable when what serves one of the container's file systems has ended."""

    def lost_mount(self, pidfd: int) -> MountLost:
        """What became of the file system of one of them that is readable."""

    def break_mounts(self) -> None:
        """End what serves file systems: a process that waits for one cannot be killed until that has ended."""


class Network(Protocol):
    """The part of an engine that connects the container."""

    @property
    def network_pidfd(self) -> int:
        """Readable when something has happened to what connects the container's network; -1 where nothing does."""

    def network_event(self, refused: Callable[[str], None]) -> bool:
        """Take in what has happened; whether the network must be connected again.

        `refused` is told each name or address that the container was kept from.
        """

    def revive_network(self, ports: Sequence[PublishedPort]) -> Steps[None]:
        """Connect the network again, and publish the same ports again. Raises SandboxError."""

    def publish_steps(
        self, ports: Sequence[PublishedPort], present: Sequence[PublishedPort]
    ) -> Steps[tuple[PublishedPort, ...]]:
        """Bind every port, beside those that are present, or none; they come back as bound. Raises SandboxError."""

    def unpublish_steps(self, ports: Sequence[PublishedPort], kept: Sequence[PublishedPort]) -> Steps[None]:
        """Close the ports, as they are bound; `kept` are all others. Raises SandboxError."""

    def change_networks_steps(self) -> Steps[None]:
        """Have the container on those networks that the records say, while it runs. Raises SandboxError."""

    def set_healthy(self, is_healthy: bool) -> None:
        """Have the names of its service lead to it, or not; of a container of no service nothing changes."""

    def withdraw(self) -> None:
        """Have the names of its service not lead to it any more: it is about to be stopped."""


class Connection(Protocol):
    """What connects a container, of the one kind or the other; each method is what `Network` has of it."""

    @property
    def pidfd(self) -> int: ...
    def event(self, refused: Callable[[str], None]) -> bool: ...
    def ready_steps(self) -> Steps[None]:
        """Wait until it leads out. Raises HostError."""

    def begin_ports(self, ports: Sequence[PublishedPort], sockets: Sequence[int]) -> None:
        """The ports are bound: by sockets, which are taken over, or where slirp4netns has them by itself."""

    def set_healthy(self, is_healthy: bool) -> None: ...
    def withdraw(self) -> None: ...
    def revive_steps(self, ports: Sequence[PublishedPort]) -> Steps[None]: ...
    def publish_steps(
        self, ports: Sequence[PublishedPort], present: Sequence[PublishedPort]
    ) -> Steps[tuple[PublishedPort, ...]]: ...
    def unpublish_steps(self, ports: Sequence[PublishedPort], kept: Sequence[PublishedPort]) -> Steps[None]: ...
    def kill(self) -> None:
        """End what helps, without waiting for it; `close` is due."""

    def close(self) -> None:
        """End all of it; harmless when called twice."""


class Prober(Protocol):
    """The part of an engine that runs a health check's command."""

    def begin_probe(self, pid: int, words: tuple[str, ...], output_fd: int) -> BegunExec:
        """Make a process on its way into the container whose first process is `pid`, with the container's own user,
        environment and directory; it writes to `output_fd`. Raises SandboxError, OSError.
        """


class Freezer(Protocol):
    """How the processes of one run are held."""

    def freeze_steps(self) -> Steps[None]:
        """Hold all of them. Raises SandboxError, and then they go on."""

    def thaw(self) -> None:
        """Let them go on; harmless where they were not held."""

    def holds_back(self, number: int) -> bool:
        """Whether this signal would let a held process go on."""


class Engine(ServedMounts, Network, Prober, Protocol):
    """What the kernel, storage and network are asked for; what may take its time in steps (`storage.waits`)."""

    def start_steps(self, ends: ContainerEnds | None) -> Steps[None]:
        """Make a process, up to its gate; `ends` None asks for a terminal. Raises SandboxError, nothing being left."""

    def release_steps(self) -> Steps[Started]:
        """Let it become the container's program. Raises SandboxError where it cannot, and nothing is left of it."""

    def abandon(self) -> None:
        """End the process at its gate. Without one, nothing happens."""

    def freezer(self, process: Started) -> Freezer:
        """What holds the processes of the run that `process` began."""

    def after_exit(self) -> bool:
        """One run ended; another may follow. Whether the kernel killed one of its processes for want of memory."""

    @property
    def cgroup(self) -> str:
        """The cgroup of the run that is on, or ""."""

    def close_steps(self) -> Steps[None]:
        """Remove mounts, network and helpers."""
