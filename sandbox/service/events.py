"""What happens to services, as Docker's events."""

from __future__ import annotations

from sandbox.events import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.service.record import Service


def service_event(action: str, service: Service, attributes: dict[str, str] | None = None) -> Event:
    """Something happens to the service: create, update, remove."""
    return Event("service", action, service.id, {"name": service.name, **(attributes or {})})


def change_event(before: Service, after: Service) -> Event:
    """An update, with what of it Docker's events tell."""
    told: dict[str, str] = {}
    replicas = before.spec.mode.replicas, after.spec.mode.replicas
    if not after.spec.mode.is_global and replicas[0] != replicas[1]:
        told |= {"replicas.old": str(replicas[0]), "replicas.new": str(replicas[1])}
    images = before.spec.request.image, after.spec.request.image
    if images[0] != images[1]:
        told |= {"image.old": images[0], "image.new": images[1]}
    return service_event("update", after, told | _states(before, after))


def status_event(before: Service, after: Service) -> Event | None:
    """The update has come to another state; None where it has not."""
    states = _states(before, after)
    return service_event("update", after, states) if states else None


def _states(before: Service, after: Service) -> dict[str, str]:
    old = before.status.state if before.status else ""
    new = after.status.state if after.status else ""
    if old == new or not new:
        return {}
    return {"updatestate.old": old, "updatestate.new": new} if old else {"updatestate.new": new}
