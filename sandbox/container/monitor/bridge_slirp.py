"""A container on bridge networks whose ports slirp4netns forwards itself: `--port-driver slirp4netns`.

The slirp4netns of all bridges listens on the host, and leads to the container's address on its first network. The
keeper, told of the ports, closes them where this process is killed, and opens them again where slirp4netns was.
"""

from __future__ import annotations

from contextlib import suppress

from net.errors import NetError
from net.ports import PortMapping
from sandbox.container.monitor.bridge_network import BridgeNetwork
from sandbox.container.monitor.slirp_ports import SlirpPorts
from sandbox.errors import HostError
from sandbox.network.forward_targets import forward_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from net.keeper_protocol import KeeperMember
    from sandbox.container.model.record import Container
    from sandbox.container.monitor.bridge_place import Place
    from sandbox.network.record import Endpoint
    from sandbox.values import PublishedPort
    from storage.waits import Steps

#: for slirp4netns to close what it has open, at the end
_END_SECONDS = 5.0


class SlirpBridgeNetwork(BridgeNetwork):
    """As `BridgeNetwork`, but for its ports: no socket of theirs is here."""

    def __init__(self, container: Container, place: Place, endpoints: Sequence[Endpoint]) -> None:
        super().__init__(container, place, endpoints)
        what = f"cannot forward the ports of container {container.name}"
        self._slirp = SlirpPorts(what, place.api_socket, place.router_fd, forward_target(endpoints).address4)
        self._bound: tuple[PublishedPort, ...] = ()

    def begin_ports(self, ports: Sequence[PublishedPort], _sockets: Sequence[int]) -> None:
        """They are open: have them kept so. Raises HostError."""
        super().begin_ports((), ())
        self._know(tuple(ports))
        self._slirp.serve_udp_loopback(ports)

    def publish_steps(
        self, ports: Sequence[PublishedPort], present: Sequence[PublishedPort]
    ) -> Steps[tuple[PublishedPort, ...]]:
        """Bind every port, or none; they come back as they are bound. Raises HostError."""
        if not self._slirp.address:
            raise HostError(
                f"cannot publish a port of container {self._container.name}",
                cause="it is on no network with IPv4 that leads out, and slirp4netns forwards to no other",
            )
        bound = yield from self._slirp.publish_steps(ports, present)
        self._know((*self._bound, *bound))
        return bound

    def unpublish_steps(self, ports: Sequence[PublishedPort], kept: Sequence[PublishedPort]) -> Steps[None]:
        """Close the ports, as they are bound. Raises HostError."""
        yield from self._slirp.unpublish_steps(ports, kept)
        self._know(tuple(kept))

    def kill(self) -> None:
        """End what helps, and have the ports free for who comes next."""
        super().kill()
        self._slirp.end_helpers()
        bound, self._bound = self._bound, ()
        if bound:
            from net.slirp_api import unpublish

            # where it does not answer the keeper does it, told by our end
            with suppress(NetError):
                unpublish(self._place.api_socket, [PortMapping(*port) for port in bound], _END_SECONDS)

    def _know(self, bound: tuple[PublishedPort, ...]) -> None:
        self._bound = bound
        self._keeper.update(self._member())

    def _member(self) -> KeeperMember:
        target = forward_target(self._endpoints).address4
        forwards = tuple(PortMapping(*port) for port in self._bound) if target else ()
        return super()._member()._replace(forwards=forwards, forward_target=target)

    def _apply(self, wanted: Sequence[Endpoint], name: str) -> None:
        super()._apply(wanted, name)
        target = forward_target(self._endpoints).address4
        if target != self._slirp.address:
            self._slirp.end_helpers()
            self._slirp.address = target
            if target:
                self._slirp.serve_udp_loopback(self._bound)
