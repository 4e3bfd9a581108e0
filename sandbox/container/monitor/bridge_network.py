"""A container on bridge networks, in its monitor: a wire to each bridge, the keeper told, the forwarder of its ports.

    connect   the container's namespaces are there: wires into place, the keeper told of addresses and names
    ready     the way out serves, where one is needed
    apply     while it runs: the wires are made what the records say, when nobody else changes bridges
    close     all of it gone; the last one's end is the end of the router, and of the way out

What the kernel has of it goes with the namespaces, whoever is killed. A keeper that has ended is found or started
again: `event` says that this is due.
"""

from __future__ import annotations

import os
import select
from contextlib import contextmanager, suppress

from net.endpoints import add_endpoint, remove_default_route, remove_endpoint, set_default_route
from net.errors import NetError
from net.netlink import Rtnetlink
from sandbox.container.monitor.bridge_ports import BridgePorts
from sandbox.container.monitor.endpoint_values import (
    egress_of,
    keeper_member,
    service_of,
    settings_of,
    shaping_of,
    wants_way_out,
)
from sandbox.errors import HostError, translated
from sandbox.network.forward_targets import forward_target
from sandbox.network.record import gateways_of
from sandbox.network.requested import is_shaped
from sandbox.runtime.shared_namespaces import lock_steps, locked, unlock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from net.keeper_protocol import KeeperMember
    from sandbox.container.model.record import Container
    from sandbox.container.monitor.bridge_place import Place
    from sandbox.network.record import Endpoint
    from sandbox.runtime.nested_namespaces import Wires
    from sandbox.values import PublishedPort
    from storage.waits import Steps


_HEALTH, _END = "health", "end"


class BridgeNetwork:
    """Owns the wires and the listening sockets from when they are given to `close`. Raises HostError."""

    def __init__(self, container: Container, place: Place, endpoints: Sequence[Endpoint]) -> None:
        self._container = container
        self._wanted = tuple(endpoints)
        self._place = place
        self._keeper = place.keeper
        self._network_fd = -1
        self._routing: Rtnetlink | None = None
        self._inside: Rtnetlink | None = None
        self._name_sockets: tuple[int, ...] = ()
        self._endpoints: tuple[Endpoint, ...] = ()
        #: of the networks that it is on, or was
        self.gateways: set[str] = set()
        self._events = select.epoll()
        self._ports = BridgePorts(container.name, place.router_fd, self._events)
        #: of the host's loopback, where the container may reach some
        self._host_ports = BridgePorts(container.name, -1, self._events)
        self._are_ports_due = False
        #: why the names of its service do not lead to it: its health, its end
        self._kept_out = {_HEALTH} if container.config.health.test[:1] in (("CMD",), ("CMD-SHELL",)) else set()
        self._watch_keeper()

    @property
    def pidfd(self) -> int:
        """Readable when something has happened: `event` is due."""
        return self._events.fileno()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Those it is on."""
        return self._endpoints

    def connect(self, network_fd: int, wires: Wires) -> None:
        """Put the container, whose network namespace is `network_fd`, on its networks; `wires` are taken over."""
        self._network_fd = network_fd
        self._routing = Rtnetlink.from_fd(wires.router_netlink)
        self._inside = Rtnetlink.from_fd(wires.netlink)
        self._name_sockets = wires.name_sockets
        if wires.host_sockets:
            from net.host_access import HOST_TARGET, host_listeners

            self._host_ports.lead_to(HOST_TARGET)
            self._host_ports.take(host_listeners(self._container.config.host_ports, wires.host_sockets))
        with self._explained(), locked(self._place.lock_directory):
            self._restrict(self._wanted)
            for endpoint in self._wanted:
                self._add(endpoint)
        self._keeper.join(self._member(), self._name_sockets)

    def ready_steps(self) -> Steps[None]:
        """Wait until the way out serves, where the container has one."""
        if wants_way_out(self._endpoints):
            with self._explained():
                yield from self._keeper.ready_steps()
            # another one, where the first was killed meanwhile
            self._watch_keeper()

    def event(self, refused: Callable[[str], None]) -> bool:
        """Take in what has happened; whether `revive_steps` is due."""
        is_broken = False
        for fd, _events in self._events.poll(0):
            if self._is_of_ports(fd):
                is_broken = is_broken or self._are_ports_due
            else:
                for _time, _kind, what in self._keeper.receive():
                    refused(what)
        if self._keeper.is_lost:
            is_broken = True
        else:
            self._watch_keeper()
        if is_broken:
            # nobody looks at who comes until what is broken is mended
            with suppress(HostError):
                self._ports.stay()
                self._host_ports.stay()
        return is_broken

    def _is_of_ports(self, fd: int) -> bool:
        try:
            return self._ports.event(fd) or self._host_ports.event(fd)
        except HostError:
            self._are_ports_due = True
            return True

    def revive_steps(self, _ports: Sequence[PublishedPort]) -> Steps[None]:
        """Have again what has ended, or could not be had; the ports are bound all the time."""
        if self._keeper.is_lost:
            if self._keeper.delay_seconds:
                yield -1, self._keeper.delay_seconds
            with self._explained():
                self._keeper.open()
            self._watch_keeper()
        self._ports.start()
        self._host_ports.start()
        self._are_ports_due = False

    def apply_steps(self, find_wanted: Callable[[], tuple[Sequence[Endpoint], str]]) -> Steps[Sequence[Endpoint]]:
        """Make of the container's places on networks what is wanted, with the name that it has from now on, which are
        looked up when nothing is waited for any more; the places.
        """
        with self._explained():
            lock = yield from lock_steps(self._place.lock_directory)
            try:
                wanted, name = find_wanted()
                self._apply(wanted, name)
            finally:
                unlock(lock)
        return wanted

    def _apply(self, wanted: Sequence[Endpoint], name: str) -> None:
        """What lacks is made, what is too much goes."""
        self._container = self._container._replace(name=name)
        gone = [one for one in self._endpoints if all(one.number != other.number for other in wanted)]
        new = [one for one in wanted if all(one.number != other.number for other in self._endpoints)]
        for endpoint in gone:
            self._remove(endpoint)
        self._move_default_route(wanted)
        self._restrict(wanted)
        for endpoint in new:
            self._add(endpoint)
        self._endpoints = tuple(wanted)
        self._keeper.update(self._member())
        self._ports.lead_to(forward_target(self._endpoints))

    def set_healthy(self, is_healthy: bool) -> None:
        """Have the names of its service lead to it, or not."""
        self._keep_out(self._kept_out - {_HEALTH} if is_healthy else self._kept_out | {_HEALTH})

    def withdraw(self) -> None:
        """Have the names of its service not lead to it any more."""
        self._keep_out(self._kept_out | {_END})

    def _keep_out(self, reasons: set[str]) -> None:
        if self._kept_out != reasons:
            self._kept_out = reasons
            if service_of(self._container):
                self._keeper.update(self._member())

    def _member(self) -> KeeperMember:
        return keeper_member(self._container, self._endpoints, serves=not self._kept_out)

    # -- ports -------------------------------------------------------------------------------------------------------

    def begin_ports(self, ports: Sequence[PublishedPort], sockets: Sequence[int]) -> None:
        """The container runs: carry what comes to the listening sockets of the ports, which are taken over."""
        self._keeper.started()
        if ports:
            self._ports.lead_to(forward_target(self._endpoints))
            self._ports.take_sockets(ports, sockets)

    def publish_steps(
        self, ports: Sequence[PublishedPort], _present: Sequence[PublishedPort]
    ) -> Steps[tuple[PublishedPort, ...]]:
        """Bind every port, or none; they come back as they are bound."""
        yield from ()
        self._ports.lead_to(forward_target(self._endpoints))
        with self._explained():
            return self._ports.publish(ports)

    def unpublish_steps(self, ports: Sequence[PublishedPort], _kept: Sequence[PublishedPort]) -> Steps[None]:
        """Close the ports, as they are bound; connections that are open go on."""
        return self._ports.unpublish_steps(ports)

    # -- the end -----------------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """End what helps, so that it is gone when `close` comes."""
        self._ports.close()
        self._host_ports.close()

    def close(self) -> None:
        """Leave the networks; harmless when called twice."""
        self.kill()
        self._keeper.close()
        if self._routing is not None and self._inside is not None:
            from net.bridges import remove_unused_bridges

            # the wires go with the namespaces, for which nobody waits: removing one takes the kernel 10 to 30 ms. Until
            # then their bridges stay, and go with the next container; those that others left have no ports by now
            with suppress(NetError, HostError), locked(self._place.lock_directory):
                remove_unused_bridges(self._routing)
            self._routing.close()
            self._inside.close()
            self._routing = self._inside = None
        for fd in self._name_sockets:
            os.close(fd)
        self._name_sockets = self._endpoints = ()
        self._events.close()

    # -- wires -------------------------------------------------------------------------------------------------------

    def _restrict(self, wanted: Sequence[Endpoint]) -> None:
        """Hold the wires to rules of egress, before they are there: no packet passes unheld. The keeper goes on."""
        egress = egress_of(self._container, wanted)
        if egress:
            from functools import partial

            from net.egress import combine_egress, restrict_text
            from net.nft import load_rules
            from net.router import call_in_thread

            text = restrict_text([settings_of(one).host_interface for one in wanted], combine_egress(egress))
            call_in_thread(self._place.router_fd, partial(load_rules, text))

    def _add(self, endpoint: Endpoint) -> None:
        assert self._routing is not None
        assert self._inside is not None
        settings = settings_of(endpoint)
        add_endpoint(self._routing, self._inside, self._network_fd, settings)
        self._endpoints = (*self._endpoints, endpoint)
        self.gateways |= gateways_of((endpoint,))
        if endpoint.driver_options:
            self._set_interface(endpoint)
        if is_shaped(self._container.config):
            from net.shaping import shape_endpoint

            shape_endpoint(self._routing, self._inside, settings, shaping_of(self._container))

    def _set_interface(self, endpoint: Endpoint) -> None:
        from net.interface_settings import write_interface_settings
        from sandbox.grammar.endpoint_options import interface_settings  # few interfaces have any

        settings = interface_settings(endpoint.driver_options, settings_of(endpoint).interface)
        if settings:
            write_interface_settings(self._network_fd, settings)

    def _remove(self, endpoint: Endpoint) -> None:
        assert self._routing is not None
        remove_endpoint(self._routing, settings_of(endpoint))
        self._endpoints = tuple(one for one in self._endpoints if one.number != endpoint.number)

    def _move_default_route(self, wanted: Sequence[Endpoint]) -> None:
        assert self._inside is not None
        after = {one.number: one for one in wanted}
        for before in self._endpoints:
            now = after[before.number]
            if before.default_route and not now.default_route:
                remove_default_route(self._inside, settings_of(before))
            if now.default_route and not before.default_route:
                # who has power over it inside may have it down: then there is no way out by it, and no more is wrong
                with suppress(NetError):
                    set_default_route(self._inside, settings_of(now))

    # -- what is watched ---------------------------------------------------------------------------------------------

    def _watch_keeper(self) -> None:
        """Its descriptor changes with each connection; one that is closed is watched no more."""
        if self._keeper.is_lost:
            # a container that starts again does not wait for it: `event` has told, and `revive_steps` comes
            return
        with suppress(FileExistsError):
            self._events.register(self._keeper.fileno(), select.EPOLLIN)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        with translated(HostError, f"cannot set up the network of container {self._container.name}"):
            yield
