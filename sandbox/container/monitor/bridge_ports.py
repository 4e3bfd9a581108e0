"""The published ports of a container on bridge networks: their listening sockets, and who carries what comes to them.

    somebody comes ──▶ the forwarder is forked ──▶ nothing came through it for some seconds ──▶ it ends by itself

A container that nobody talks to has no such process, for it takes some megabytes. Between them, and where one was
killed, who comes waits in the kernel, for the three milliseconds of a fork.
"""

from __future__ import annotations

import select
from contextlib import suppress

from sandbox.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from net.client_address import ForwardTarget
    from net.forwarder import ForwarderProcess
    from net.listeners import Listener
    from net.ports import PortMapping
    from sandbox.values import PublishedPort
    from storage.waits import Steps


class BridgePorts:
    """Owns the listening sockets that it is given. `events` is told when somebody comes, and when a forwarder ends."""

    def __init__(self, name: str, router_fd: int, events: select.epoll) -> None:
        self._name = name
        self._router_fd = router_fd
        self._events = events
        self._listeners: tuple[Listener, ...] = ()
        self._forwarder: ForwarderProcess | None = None
        self._target: ForwardTarget | None = None

    def lead_to(self, target: ForwardTarget) -> None:
        """Have new connections lead to `target`."""
        self._target = target
        if self._forwarder is not None:
            from net.forwarder import set_target

            # where it has just ended, the next one is told
            with suppress(OSError):
                set_target(self._forwarder, target)

    def take(self, listeners: Sequence[Listener]) -> None:
        """Carry what comes to these too, which are taken over."""
        self._listeners = (*self._listeners, *listeners)
        if self._forwarder is None:
            self._await(listeners)
            return
        from net.forwarder import add_listeners

        # where it has just ended, the next one has them from the start
        with suppress(OSError):
            add_listeners(self._forwarder, listeners)

    def take_sockets(self, ports: Sequence[PublishedPort], sockets: Sequence[int]) -> None:
        """Carry what comes to the listening sockets of the ports, as they are bound."""
        if ports:
            from net.listeners import Listener
            from net.ports import PortMapping

            pairs = zip(ports, sockets, strict=True)
            self.take(tuple(Listener(PortMapping(*port), fd) for port, fd in pairs))

    def publish(self, ports: Sequence[PublishedPort]) -> tuple[PublishedPort, ...]:
        """Bind every port, or none; they come back as they are bound. Raises NetError."""
        from net.listeners import open_listeners
        from net.ports import PortMapping
        from sandbox.values import PublishedPort

        opened = open_listeners([PortMapping(*port) for port in ports])
        self.take(opened)
        return tuple(PublishedPort(*listener.mapping) for listener in opened)

    def unpublish_steps(self, ports: Sequence[PublishedPort]) -> Steps[None]:
        """Close the ports, as they are bound; connections that are open go on."""
        from net.ports import PortMapping

        yield from self._remove_steps([PortMapping(*port) for port in ports])

    def _remove_steps(self, mappings: Collection[PortMapping]) -> Steps[None]:
        """Close these ports; connections that are open go on."""
        gone = tuple(one for one in self._listeners if one.mapping in mappings)
        self._listeners = tuple(one for one in self._listeners if one not in gone)
        if not gone:
            return
        from net.listeners import close_listeners

        # also where the steps are ended before the forwarder has answered
        try:
            if self._forwarder is None:
                self._await_no_more(gone)
            else:
                from net.forwarder import read_answer, remove_listeners

                process = self._forwarder
                with suppress(OSError):
                    remove_listeners(process, gone)
                    yield process.control, None
                    read_answer(process)
        finally:
            close_listeners(gone)

    def event(self, fd: int) -> bool:
        """Whether what is readable is of the ports. What is due is done. Raises HostError where it cannot be."""
        if self._forwarder is not None and fd == self._forwarder.pidfd:
            self._end()
            self._await(self._listeners)
            return True
        if all(one.fd != fd for one in self._listeners):
            return False
        self.start()
        return True

    def start(self) -> None:
        """Have a forwarder, whoever comes. Raises HostError."""
        if self._forwarder is not None or not self._listeners:
            return
        from net.forwarder import start_forwarder

        assert self._target is not None
        # also where it fails: who waits would wake us for ever
        self._await_no_more(self._listeners)
        try:
            self._forwarder = start_forwarder(self._router_fd, self._listeners, self._target, ends_idle=True)
        except OSError as error:
            raise HostError(
                f"cannot forward the ports of container {self._name}", cause=error.strerror or str(error)
            ) from error
        self._events.register(self._forwarder.pidfd, select.EPOLLIN)

    def stay(self) -> None:
        """Have a forwarder that does not end by itself, while nobody tells of events. Raises HostError."""
        self.start()
        if self._forwarder is not None:
            from net.forwarder import have_stay

            with suppress(OSError):
                have_stay(self._forwarder)

    def close(self) -> None:
        """Carry nothing more, and close the sockets; harmless when called twice."""
        if self._forwarder is None:
            self._await_no_more(self._listeners)
        self._end()
        if self._listeners:
            from net.listeners import close_listeners

            close_listeners(self._listeners)
            self._listeners = ()

    def _await(self, listeners: Sequence[Listener]) -> None:
        for listener in listeners:
            self._events.register(listener.fd, select.EPOLLIN)

    def _await_no_more(self, listeners: Sequence[Listener]) -> None:
        for listener in listeners:
            # not there after a forwarder that could not be started
            with suppress(FileNotFoundError):
                self._events.unregister(listener.fd)

    def _end(self) -> None:
        if self._forwarder is not None:
            from net.forwarder import end_forwarder

            self._events.unregister(self._forwarder.pidfd)
            end_forwarder(self._forwarder)
            self._forwarder = None
