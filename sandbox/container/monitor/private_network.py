"""A container's own network: slirp4netns between its network namespace and the host, for as long as its monitor lives.

slirp4netns is a process like any other: when it is killed, or a container makes it crash, it is started again over the
same namespace and the same ports are published. Connections that were open are lost, the container is not.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from net.slirp import SlirpPlan, assume_features, close_slirp, end_slirp, kill_slirp, ready_steps, spawn_slirp
from net.syscalls import PR_SET_PDEATHSIG, prctl
from sandbox.errors import HostError, translated
from storage.waits import carry_out, child_steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

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
        self._udp_loopback_pid = 0
        self._publishing_pid = 0

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

    def serve_udp_loopback(self, ports: Sequence[PublishedPort]) -> None:
        """Answer on the host's loopback for the udp ones of the bound `ports`: slirp4netns cannot. Raises HostError."""
        if all(port.protocol != "udp" for port in ports):
            return
        from net.ports import PortMapping
        from net.udp_loopback import start_udp_loopback

        with translated(HostError, self._what):
            self._udp_loopback_pid = start_udp_loopback(self._plan.netns_fd, [PortMapping(*port) for port in ports])

    def revive_steps(self, ports: Sequence[PublishedPort]) -> Steps[None]:
        """After slirp4netns has ended: start it again, and publish `ports` again. Raises HostError."""
        self._end_helpers()
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
        self._publishing_pid = self._start_publishing(ports)
        status = yield from child_steps(self._publishing_pid)
        self._publishing_pid = 0
        if status:
            raise HostError(f"{self._what}: the ports are not published", cause="slirp4netns refused them")
        self.serve_udp_loopback(ports)

    def kill(self) -> None:
        """End slirp4netns and what helps it, without waiting for it; `close` is due."""
        self._end_helpers()
        if self._process is not None:
            kill_slirp(self._process)

    def close(self) -> None:
        """End slirp4netns and what helps it; harmless when called twice."""
        self._end_helpers()
        if self._process is not None:
            end_slirp(self._process)
            self._process = None

    def _end_helpers(self) -> None:
        if self._publishing_pid:
            os.kill(self._publishing_pid, signal.SIGKILL)
            os.waitpid(self._publishing_pid, 0)
            self._publishing_pid = 0
        if self._udp_loopback_pid:
            from net.udp_loopback import end_udp_loopback

            end_udp_loopback(self._udp_loopback_pid)
            self._udp_loopback_pid = 0

    def _start_publishing(self, ports: Sequence[PublishedPort]) -> int:
        # in a child: it waits for slirp4netns' answers
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                # it holds what keeps slirp4netns alive, and must not do so for longer than the monitor
                prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != parent:
                    os._exit(status)
                from net.ports import PortMapping
                from net.slirp_api import publish

                publish(self._plan.api_socket, [PortMapping(*port) for port in ports])
                status = 0
            finally:
                os._exit(status)
        return pid
