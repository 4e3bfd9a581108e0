"""A container's own network: slirp4netns between its network namespace and the host, for as long as its monitor lives.

slirp4netns is a process like any other: when it is killed, or a container makes it crash, it is started again over the
same namespace and the same ports are published. Connections that were open are lost, the container is not.
"""

from __future__ import annotations

import os
from contextlib import suppress

from net.slirp import SlirpPlan, assume_features, close_slirp, end_slirp, kill_slirp, ready_steps, spawn_slirp
from sandbox.container.monitor.slirp_ports import SlirpPorts
from sandbox.errors import HostError, translated
from storage.waits import carry_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from net.slirp import SlirpProcess
    from sandbox.values import PublishedPort
    from storage.waits import Steps


class PrivateNetwork:
    """`begin` starts slirp4netns, `finish` waits for it; `close` ends it. `name` is the container's, for errors.

    Raises HostError where slirp4netns is not installed.
    """

    def __init__(self, name: str, network_fd: int, api_socket: str) -> None:
        self._what = f"cannot set up the network of container {name}"
        with translated(HostError, self._what):
            self._plan = SlirpPlan(assume_features(), network_fd, api_socket)
        self._process: SlirpProcess | None = None
        self._is_ready = False
        self._ports = SlirpPorts(self._what, api_socket, network_fd)

    @property
    def pidfd(self) -> int:
        """Readable when slirp4netns has ended; -1 where there is none."""
        return self._process.pidfd if self._process is not None else -1

    def begin(self) -> None:
        """Start slirp4netns and return at once. Raises HostError."""
        with translated(HostError, self._what):
            self._process = spawn_slirp(self._plan)

    def finish(self) -> None:
        """Wait until slirp4netns serves; at once when it does already. Raises HostError."""
        carry_out(self.ready_steps())

    def ready_steps(self) -> Steps[None]:
        """`finish`, for who does something else meanwhile."""
        if self._is_ready:
            return
        process, self._process = self._process, None
        assert process is not None
        with translated(HostError, self._what):
            self._process = yield from ready_steps(self._plan, process)
        self._is_ready = True

    def event(self, _refused: Callable[[str], None]) -> bool:
        """It has ended, which is all that is watched for."""
        return True

    def begin_ports(self, ports: Sequence[PublishedPort], _sockets: Sequence[int]) -> None:
        """slirp4netns has bound them: what it cannot do by itself is begun. Raises HostError."""
        self._ports.serve_udp_loopback(ports)

    def set_healthy(self, is_healthy: bool) -> None:
        """Nobody else finds it by a name."""

    def withdraw(self) -> None:
        """Nobody else finds it by a name."""

    def revive_steps(self, ports: Sequence[PublishedPort]) -> Steps[None]:
        """After slirp4netns has ended: start it again, and publish `ports` again. Raises HostError."""
        self._ports.end_helpers()
        if self._process is not None:
            close_slirp(self._process)
            os.waitpid(self._process.pid, 0)
            self._process = None
        with suppress(FileNotFoundError):
            os.unlink(self._plan.api_socket)
        self._is_ready = False
        self.begin()
        yield from self.ready_steps()
        if not ports:
            return
        yield from self.publish_steps(ports, ())

    def publish_steps(
        self, ports: Sequence[PublishedPort], present: Sequence[PublishedPort]
    ) -> Steps[tuple[PublishedPort, ...]]:
        """Bind every port, beside those that are present, or none; they come back as they are bound. Raises
        HostError.
        """
        return self._ports.publish_steps(ports, present)

    def unpublish_steps(self, ports: Sequence[PublishedPort], kept: Sequence[PublishedPort]) -> Steps[None]:
        """Close the ports, as they are bound; `kept` are all others. Raises HostError."""
        return self._ports.unpublish_steps(ports, kept)

    def kill(self) -> None:
        """End slirp4netns and what helps it, without waiting for it; `close` is due."""
        self._ports.end_helpers()
        if self._process is not None:
            kill_slirp(self._process)

    def close(self) -> None:
        """End slirp4netns and what helps it; harmless when called twice."""
        self._ports.end_helpers()
        if self._process is not None:
            end_slirp(self._process)
            self._process = None
