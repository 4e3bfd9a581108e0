"""A container's own network: slirp4netns between its network namespace and the host, for as long as its monitor lives.

slirp4netns is a process like any other: when it is killed, or a container makes it crash, it is started again over the
same namespace and the same ports are published. Connections that were open are lost, the container is not.
"""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress

from net.errors import NetError
from net.ports import PortMapping
from net.slirp import SlirpPlan, assume_features, close_slirp, end_slirp, kill_slirp, ready_steps, spawn_slirp
from net.syscalls import PR_SET_PDEATHSIG, prctl
from sandbox.errors import HostError, translated
from sandbox.runtime.reports import decode_error, encode_error
from sandbox.values import PublishedPort
from storage.waits import carry_out, child_steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from net.slirp import SlirpProcess
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

    def event(self, _refused: Callable[[str], None]) -> bool:
        """It has ended, which is all that is watched for."""
        return True

    def begin_ports(self, ports: Sequence[PublishedPort], _sockets: Sequence[int]) -> None:
        """slirp4netns has bound them: what it cannot do by itself is begun. Raises HostError."""
        self._serve_udp_loopback(ports)

    def _serve_udp_loopback(self, ports: Sequence[PublishedPort]) -> None:
        """Answer on the host's loopback for the udp ones of the bound `ports`: slirp4netns cannot. Raises HostError."""
        if all(port.protocol != "udp" for port in ports):
            return
        from net.udp_loopback import start_udp_loopback

        self._end_udp_loopback()
        with translated(HostError, self._what):
            self._udp_loopback_pid = start_udp_loopback(self._plan.netns_fd, [PortMapping(*port) for port in ports])

    def set_healthy(self, is_healthy: bool) -> None:
        """Nobody else finds it by a name."""

    def withdraw(self) -> None:
        """Nobody else finds it by a name."""

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
        yield from self.publish_steps(ports, ())

    def publish_steps(
        self, ports: Sequence[PublishedPort], present: Sequence[PublishedPort]
    ) -> Steps[tuple[PublishedPort, ...]]:
        """Bind every port, beside those that are present, or none; they come back as they are bound. Raises
        HostError.
        """

        def act() -> tuple[PortMapping, ...]:
            from net.slirp_api import publish

            return publish(self._plan.api_socket, [PortMapping(*port) for port in ports])

        bound = tuple(PublishedPort(*mapping) for mapping in (yield from self._in_child(act)))
        if any(port.protocol == "udp" for port in bound):
            self._serve_udp_loopback((*present, *bound))
        return bound

    def unpublish_steps(self, ports: Sequence[PublishedPort], kept: Sequence[PublishedPort]) -> Steps[None]:
        """Close the ports, as they are bound; `kept` are all others. Raises HostError."""

        def act() -> tuple[PortMapping, ...]:
            from net.slirp_api import unpublish

            unpublish(self._plan.api_socket, [PortMapping(*port) for port in ports])
            return ()

        yield from self._in_child(act)
        if any(port.protocol == "udp" for port in ports):
            self._end_udp_loopback()
            self._serve_udp_loopback(kept)

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
        self._end_publishing()
        self._end_udp_loopback()

    def _end_udp_loopback(self) -> None:
        if self._udp_loopback_pid:
            from net.udp_loopback import end_udp_loopback

            end_udp_loopback(self._udp_loopback_pid)
            self._udp_loopback_pid = 0

    def _in_child(self, act: Callable[[], tuple[PortMapping, ...]]) -> Steps[list[list[Any]]]:  # Any: JSON
        """What `act` returns; in a child, for it waits for slirp4netns' answers. Raises HostError."""
        told = os.memfd_create("ports", os.MFD_CLOEXEC)
        try:
            self._publishing_pid = _fork(act, told)
            status = yield from child_steps(self._publishing_pid)
            self._publishing_pid = 0
            answer = os.pread(told, os.fstat(told).st_size, 0)
        finally:
            self._end_publishing()
            os.close(told)
        if status:
            error = decode_error(answer) if answer else HostError("the process that publishes ports was killed")
            raise HostError(error.message, cause=error.cause, mend=error.mend)
        found: list[list[Any]] = json.loads(answer)
        return found

    def _end_publishing(self) -> None:
        if self._publishing_pid:
            os.kill(self._publishing_pid, signal.SIGKILL)
            os.waitpid(self._publishing_pid, 0)
            self._publishing_pid = 0


def _fork(act: Callable[[], tuple[PortMapping, ...]], told: int) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            # it holds what keeps slirp4netns alive, and must not do so for longer than the monitor
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == parent:
                os.write(told, json.dumps([list(mapping) for mapping in act()]).encode())
                status = 0
        except NetError as error:
            os.write(told, encode_error(HostError(error.message, cause=error.cause, mend=error.mend)))
        except Exception as error:  # noqa: BLE001  # a process boundary: the monitor reads it as a report
            os.write(told, encode_error(error, "publish ports"))
        finally:
            os._exit(status)
    return pid
