"""The ports of the host's loopback that a container is let reach: their sockets inside, and who carries them."""

from __future__ import annotations

import os
import select

from sandbox.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from net.forwarder import ForwarderProcess


class HostAccess:
    """Owns the listening sockets `fds`, one for each of `ports`; `events` is told when who carries them has ended."""

    def __init__(self, events: select.epoll, ports: Sequence[int], fds: Sequence[int]) -> None:
        self._events = events
        self._ports = ports
        self._fds = tuple(fds)
        self._process: ForwarderProcess | None = None

    def start(self) -> None:
        """Have them carried, anew where it has ended; connections that come meanwhile wait. Raises HostError."""
        if not self._fds:
            return
        from net.host_access import start_host_access

        self.kill()
        try:
            self._process = start_host_access(self._ports, self._fds)
        except OSError as error:
            raise HostError(
                "cannot let the container reach ports of the host", cause=error.strerror or str(error)
            ) from error
        self._events.register(self._process.pidfd, select.EPOLLIN)

    def is_at(self, fd: int) -> bool:
        """Whether `fd`, which is readable, says that who carries them has ended."""
        return self._process is not None and fd == self._process.pidfd

    def kill(self) -> None:
        """Carry nothing more; harmless when called twice."""
        if self._process is not None:
            from net.forwarder import end_forwarder

            self._events.unregister(self._process.pidfd)
            end_forwarder(self._process)
            self._process = None

    def close(self) -> None:
        """Give the sockets up; harmless when called twice."""
        self.kill()
        for fd in self._fds:
            os.close(fd)
        self._fds = ()
