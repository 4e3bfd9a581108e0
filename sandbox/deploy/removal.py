"""All of a stack removed, in Docker's order: services, secrets, configs, networks."""

from __future__ import annotations

from functools import partial

from sandbox.deploy.engine import Removed
from sandbox.errors import NotFoundError, SandboxError
from sandbox.network import operations as networks
from sandbox.secret import operations as objects
from sandbox.service import looking
from sandbox.service import operations as services
from sandbox.service.removed import wait_for_removed
from sandbox.stack.replica_request import NAMESPACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.deploy.engine import Tell
    from sandbox.operation_context import OperationContext
    from sandbox.secret.record import Kind

_KINDS: tuple[Kind, ...] = ("secret", "config")


def remove_stack(context: OperationContext, name: str, tell: Tell) -> Removed:
    """Remove what carries the stack's label, as far as it can be; return when its replicas are gone. One that was
    killed half way goes on where it is called again.
    """
    label = (f"label={NAMESPACE}={name}",)
    of_services = sorted(each.service.name for each in looking.list_all(context, label))
    of_networks = [network.name for network in networks.list_all(context, label)]
    of_objects = [(kind, each.name) for kind in _KINDS for each in objects.list_all(context, kind, label)]
    failures: list[str] = []
    for service in of_services:
        tell(f"Removing service {service}")
        _tried(partial(services.remove, context, service), f"service {service}", failures)
    for kind, each in of_objects:
        tell(f"Removing {kind} {each}")
        _tried(partial(objects.remove, context, kind, each), f"{kind} {each}", failures)
    if not failures:
        wait_for_removed(context, {NAMESPACE: name})
    for network in of_networks:
        tell(f"Removing network {network}")
        _tried(partial(networks.remove, context, network), f"network {network}", failures)
    return Removed(len(of_services) + len(of_objects) + len(of_networks), tuple(failures))


def _tried(remove: Callable[[], object], what: str, failures: list[str]) -> None:
    """Remove one thing; what somebody else has removed meanwhile is gone as well."""
    try:
        remove()
    except NotFoundError:
        return
    except SandboxError as error:
        failures.append(f"Failed to remove {what}: {error.message}")
