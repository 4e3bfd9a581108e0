"""A container's own network by pasta: `--network pasta`. As with slirp4netns nobody else is on it.

pasta leads out. Published ports are carried as on bridges, by a forwarder that connects inside; it is seen there by
the container's own address.
"""

from __future__ import annotations

import select

from net.addresses import CONTAINER_ADDRESS
from net.client_address import ForwardTarget
from net.pasta import end_pasta, find_pasta, kill_pasta, ready_steps, spawn_pasta
from sandbox.container.monitor.bridge_ports import BridgePorts
from sandbox.errors import HostError, translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from net.pasta import PastaProcess
    from sandbox.values import PublishedPort
    from storage.waits import Steps

#: every client is seen as somebody of the container's own: answers to others would go out by pasta
_INSIDE = ForwardTarget(CONTAINER_ADDRESS, "", ("0.0.0.0/0", "::/0"))


class PastaNetwork:
    """`begin` starts pasta, `close` ends it. `name` is the container's. Raises HostError where it is not installed."""

    def __init__(self, name: str, network_fd: int) -> None:
        self._what = f"cannot set up the network of container {name}"
        self._network_fd = network_fd
        with translated(HostError, self._what):
            self._program = find_pasta()
        self._process: PastaProcess | None = None
        self._is_ready = False
        self._events = select.epoll()
        self._ports = BridgePorts(name, network_fd, self._events)
        self._ports.lead_to(_INSIDE)

    @property
    def pidfd(self) -> int:
        """Readable when something has happened: `event` is due."""
        return self._events.fileno()

    def begin(self) -> None:
        """Start pasta and return at once. Raises HostError."""
        with translated(HostError, self._what):
            self._process = spawn_pasta(self._program, self._network_fd)

    def ready_steps(self) -> Steps[None]:
        """Wait until pasta serves; at once when it does already. Raises HostError."""
        if self._is_ready:
            return
        process, self._process = self._process, None
        assert process is not None
        with translated(HostError, self._what):
            yield from ready_steps(process)
        self._process = process
        self._is_ready = True
        self._events.register(process.pidfd, select.EPOLLIN)

    def event(self, _refused: Callable[[str], None]) -> bool:
        """Take in what has happened; whether `revive_steps` is due."""
        is_broken = False
        for fd, _events in self._events.poll(0):
            if self._process is not None and fd == self._process.pidfd:
                is_broken = True
            else:
                is_broken |= self._is_port_broken(fd)
        if is_broken:
            # nobody looks at who comes until what is broken is mended
            self._is_port_broken(-1)
        return is_broken

    def _is_port_broken(self, fd: int) -> bool:
        try:
            if fd < 0:
                self._ports.stay()
            else:
                self._ports.event(fd)
        except HostError:
            return True
        return False

    def revive_steps(self, _ports: Sequence[PublishedPort]) -> Steps[None]:
        """Have again what has ended; the ports are bound all the time. Raises HostError."""
        if self._process is not None and select.select([self._process.pidfd], [], [], 0)[0]:
            self._end()
        if self._process is None:
            self.begin()
            yield from self.ready_steps()
        self._ports.start()

    def begin_ports(self, ports: Sequence[PublishedPort], sockets: Sequence[int]) -> None:
        """The container runs: carry what comes to the listening sockets of the ports, which are taken over."""
        self._ports.take_sockets(ports, sockets)

    def publish_steps(
        self, ports: Sequence[PublishedPort], _present: Sequence[PublishedPort]
    ) -> Steps[tuple[PublishedPort, ...]]:
        """Bind every port, or none; they come back as they are bound. Raises HostError."""
        yield from ()
        with translated(HostError, self._what):
            return self._ports.publish(ports)

    def unpublish_steps(self, ports: Sequence[PublishedPort], _kept: Sequence[PublishedPort]) -> Steps[None]:
        """Close the ports, as they are bound; connections that are open go on."""
        return self._ports.unpublish_steps(ports)

    def set_healthy(self, is_healthy: bool) -> None:
        """Nobody else finds it by a name."""

    def withdraw(self) -> None:
        """Nobody else finds it by a name."""

    def kill(self) -> None:
        """End pasta and the forwarder, without waiting for it; `close` is due."""
        self._ports.close()
        if self._process is not None:
            kill_pasta(self._process)

    def close(self) -> None:
        """End all of it; harmless when called twice."""
        self._ports.close()
        self._end()
        self._events.close()

    def _end(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            self._is_ready = False
            end_pasta(process)
