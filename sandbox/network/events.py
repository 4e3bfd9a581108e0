"""What happens to networks, as events."""

from __future__ import annotations

from sandbox.events import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.network.record import Network


def network_event(action: str, network: Network, container_id: str = "") -> Event:
    """What happens to the network, or to a container's place on it, as Docker tells it."""
    attributes = {"name": network.name, "type": network.driver}
    return Event(
        "network", action, network.id, {"container": container_id, **attributes} if container_id else attributes
    )
