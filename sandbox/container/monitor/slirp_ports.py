"""The published ports of a container that slirp4netns forwards itself: its own, or that of all bridges.

slirp4netns listens on the host's ports, and is told of them through its API socket, by a child: it is waited for. What
it cannot do, answer on the host's loopback by udp, a small process does as long as there are such ports.
"""

from __future__ import annotations

import json
import os
import signal
from functools import partial

from net.addresses import CONTAINER_ADDRESS
from net.errors import NetError
from net.ports import PortMapping
from sandbox.errors import HostError, translated
from sandbox.runtime.bound_child import fork_bound
from sandbox.runtime.reports import decode_error, encode_error
from sandbox.values import PublishedPort
from storage.waits import child_steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from storage.waits import Steps


class SlirpPorts:
    """Asks the slirp4netns that listens on `api_socket`. The ports lead to `address`, reached from `netns_fd`.

    `what` says of an error what failed.
    """

    def __init__(self, what: str, api_socket: str, netns_fd: int, address: str = CONTAINER_ADDRESS) -> None:
        self._what = what
        self._api_socket = api_socket
        self._netns_fd = netns_fd
        self.address = address
        self._udp_loopback_pid = 0
        self._publishing_pid = 0

    def publish_steps(
        self, ports: Sequence[PublishedPort], present: Sequence[PublishedPort]
    ) -> Steps[tuple[PublishedPort, ...]]:
        """Bind every port, beside those that are present, or none; they come back as they are bound. Raises
        HostError.
        """

        def act() -> tuple[PortMapping, ...]:
            from net.slirp_api import publish

            return publish(self._api_socket, [PortMapping(*port) for port in ports], address=self.address)

        bound = tuple(PublishedPort(*mapping) for mapping in (yield from self._in_child(act)))
        if any(port.protocol == "udp" for port in bound):
            self.serve_udp_loopback((*present, *bound))
        return bound

    def unpublish_steps(self, ports: Sequence[PublishedPort], kept: Sequence[PublishedPort]) -> Steps[None]:
        """Close the ports, as they are bound; `kept` are all others. Raises HostError."""

        def act() -> tuple[PortMapping, ...]:
            from net.slirp_api import unpublish

            unpublish(self._api_socket, [PortMapping(*port) for port in ports])
            return ()

        yield from self._in_child(act)
        if any(port.protocol == "udp" for port in ports):
            self._end_udp_loopback()
            self.serve_udp_loopback(kept)

    def serve_udp_loopback(self, ports: Sequence[PublishedPort]) -> None:
        """Answer on the host's loopback for the udp ones of the bound `ports`: slirp4netns cannot. Raises HostError."""
        if all(port.protocol != "udp" for port in ports):
            return
        from net.udp_loopback import start_udp_loopback

        self._end_udp_loopback()
        mappings = [PortMapping(*port) for port in ports]
        with translated(HostError, self._what):
            self._udp_loopback_pid = start_udp_loopback(self._netns_fd, mappings, self.address)

    def end_helpers(self) -> None:
        """End the processes that help; the ports stay as they are."""
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
            # it holds what keeps slirp4netns alive, and must not do so for longer than the monitor
            self._publishing_pid = fork_bound(partial(_tell, act, told))
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


def _tell(act: Callable[[], tuple[PortMapping, ...]], told: int) -> None:
    """Write down what `act` returns, or raises."""
    try:
        os.write(told, json.dumps([list(mapping) for mapping in act()]).encode())
    except NetError as error:
        os.write(told, encode_error(HostError(error.message, cause=error.cause, mend=error.mend)))
        raise
    except Exception as error:
        os.write(told, encode_error(error, "publish ports"))
        raise
