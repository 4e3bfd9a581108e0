"""Waiting until services that are removed have left nothing behind."""

from __future__ import annotations

from contextlib import closing

from sandbox.event_stream import watch_changes
from sandbox.service.store import all_services, load_service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.operation_context import OperationContext


def wait_for_removed(context: OperationContext, labels: Mapping[str, str]) -> None:
    """Return when no container is left of the services with these labels that were removed."""
    with closing(watch_changes(context.paths, None)) as changes:
        for connection in changes:
            going = [service for service in all_services(connection, removing=True) if service.removing]
            if not any(labels.items() <= dict(service.spec.labels).items() for service in going):
                return


def wait_for_service(context: OperationContext, service_id: str) -> None:
    """Return when no container is left of the service, which was removed."""
    with closing(watch_changes(context.paths, None)) as changes:
        for connection in changes:
            if load_service(connection, service_id) is None:
                return


def wait_for_network(context: OperationContext, network: str) -> None:
    """Return when no container is on the network, by its name, of services that were removed."""
    with closing(watch_changes(context.paths, None)) as changes:
        for connection in changes:
            going = [service for service in all_services(connection, removing=True) if service.removing]
            if not any(network in [each.network for each in service.spec.request.endpoints] for service in going):
                return
