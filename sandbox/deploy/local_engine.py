"""This machine as a place where stacks run: services, networks, secrets and configs of this user."""

from __future__ import annotations

from sandbox.deploy.engine import Removed, StackSummary
from sandbox.deploy.plan import (
    PlannedRefusalError,
    Present,
    PresentObject,
    PresentService,
    Refusal,
    plan_of,
    with_ids,
)
from sandbox.errors import ConflictError, NotFoundError, SandboxError, UsageError
from sandbox.network import operations as networks
from sandbox.project_locks import ProjectLock
from sandbox.secret import operations as objects
from sandbox.service import looking
from sandbox.service import operations as services
from sandbox.service.checks import check_containers, check_spec
from sandbox.service.placement import check_placement
from sandbox.stack.replica_request import NAMESPACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandbox.container.view.log_entries import LogEntry
    from sandbox.container.view.logs import LogSelection
    from sandbox.deploy.engine import Tell
    from sandbox.deploy.plan import Change, Plan
    from sandbox.deploy.stack_spec import StackSpec
    from sandbox.network.create import NetworkRequest
    from sandbox.operation_context import OperationContext
    from sandbox.secret.record import Kind
    from sandbox.service.looking import ServiceCount, TaskRow
    from sandbox.stack.project import Network

#: how often a change is tried again that somebody else was quicker with
_TRIES = 5


class LocalEngine:
    """Stacks of the one whose context this is; an `Engine`."""

    def __init__(self, context: OperationContext) -> None:
        self._context = context

    def alone(self, name: str) -> ProjectLock:
        """Alone among those who change the stack, from here until it is released. Raises HostError."""
        return ProjectLock(self._context.paths, name, "stack")

    def plan(self, stack: StackSpec, *, prunes: bool = False) -> Plan:
        """What would be changed; only reads."""
        plan = plan_of(stack, self._present(stack), prunes=prunes)
        return plan._replace(refusals=(*plan.refusals, *_impossible(stack), *self._misplaced(stack)))

    def _misplaced(self, stack: StackSpec) -> Iterator[Refusal]:
        """The services that this machine, the only node, does not fit."""
        for spec in stack.services:
            try:
                if spec.constraints:
                    check_placement(spec.constraints, looking.node_of(self._context))
            except UsageError as error:
                yield Refusal(f"failed to create service {spec.name}: {error.message}: {error.cause}", error.mend)

    def _present(self, stack: StackSpec) -> Present:
        label = (f"label={NAMESPACE}={stack.name}",)
        found = looking.list_all(self._context, label)
        return Present(
            {each.service.name: PresentService(each.service.id, each.service.version, each.service.spec)
             for each in found},
            frozenset(network.name for network in networks.list_all(self._context, label)),
            frozenset(network.name for network in networks.list_all(self._context)),
            self._objects(stack, "secret"),
            self._objects(stack, "config"),
        )  # fmt: skip

    def _objects(self, stack: StackSpec, kind: Kind) -> dict[str, PresentObject]:
        wanted = {each.name: each for each in stack.objects if each.kind == kind}
        found = {}
        for each in objects.list_all(self._context, kind):
            if each.name not in wanted:
                continue
            data = wanted[each.name].data
            same = data is None or objects.same_content(self._context, kind, each.id, data)
            found[each.name] = PresentObject(each.id, tuple(sorted(each.labels.items())), same)
        return found

    def apply(self, plan: Plan, tell: Tell) -> list[str]:
        """Change it; the ids of the plan's services. Raises SandboxError, PlannedRefusalError."""
        if plan.refusals:
            raise PlannedRefusalError(plan.refusals)
        ids = []
        for change in plan.changes:
            if change.noun == "network":
                self._apply_network(change, tell)
            elif change.noun != "service":
                self._apply_object(change, tell)
            elif change.action == "remove":
                self._remove_service(change, tell)
            else:
                ids.append(self._apply_service(plan, change, tell))
        return ids

    def _apply_network(self, change: Change, tell: Tell) -> None:
        if change.action != "create" or change.network is None:
            return
        tell(f"Creating network {change.name}")
        try:
            networks.create(self._context, _network_request(change.network))
        except ConflictError as error:
            if not self._is_of_this_stack(change):
                raise _failed("create network", change.name, error) from error
        except SandboxError as error:
            raise _failed("create network", change.name, error) from error

    def _is_of_this_stack(self, change: Change) -> bool:
        """Whether somebody else who deploys the same stack was quicker."""
        assert change.network is not None
        wanted = dict(change.network.labels)[NAMESPACE]
        named = networks.list_all(self._context, (f"label={NAMESPACE}={wanted}",))
        return any(network.name == change.name for network in named)

    def _apply_object(self, change: Change, tell: Tell) -> None:
        wanted = change.object
        if change.action == "keep" or wanted is None or wanted.data is None:
            return
        try:
            if change.action == "update":
                objects.update(self._context, wanted.kind, wanted.name, dict(wanted.labels))
                return
            tell(f"Creating {wanted.kind} {wanted.name}")
            request = objects.ObjectRequest(wanted.name, wanted.data, wanted.labels, wanted.template)
            objects.create(self._context, wanted.kind, request)
        except ConflictError as error:
            if not objects.same_content(self._context, wanted.kind, wanted.name, wanted.data):
                raise _failed(f"create {wanted.kind}", wanted.name, error) from error
        except SandboxError as error:
            raise _failed(f"{change.action} {wanted.kind}", wanted.name, error) from error

    def _remove_service(self, change: Change, tell: Tell) -> None:
        tell(f"Removing service {change.name}")
        try:
            services.remove(self._context, change.name)
        except NotFoundError:
            # somebody else was quicker
            return

    def _apply_service(self, plan: Plan, change: Change, tell: Tell) -> str:
        spec = change.service
        assert spec is not None
        spec = with_ids(spec, Present(secrets=self._ids("secret", plan), configs=self._ids("config", plan)))
        present = change.present
        tell(f"Creating service {spec.name}" if present is None else f"Updating service {spec.name} (id: {present.id})")
        for left in range(_TRIES, 0, -1):
            try:
                if present is None:
                    return services.create(self._context, spec, plan.stack).id
                wanted = spec._replace(force_update=present.spec.force_update)
                if wanted == present.spec:
                    return present.id
                return services.update(self._context, present.id, present.version, wanted).id
            except NotFoundError as error:
                # somebody has removed it by hand meanwhile
                present = None
                if left == 1:
                    raise _failed("update service", spec.name, error) from error
            except ConflictError as error:
                present = self._again(plan, change) if left > 1 else None
                if present is None:
                    raise _failed("create service", spec.name, error) from error
            except SandboxError as error:
                verb = "create" if present is None else "update"
                raise _failed(f"{verb} service", spec.name, error) from error
        raise AssertionError

    def _again(self, plan: Plan, change: Change) -> PresentService | None:
        """The service as another deploy of the stack left it meanwhile; None where it is none of the stack's."""
        for each in looking.list_all(self._context, (f"label={NAMESPACE}={plan.stack}", f"name={change.name}")):
            if each.service.name == change.name:
                return PresentService(each.service.id, each.service.version, each.service.spec)
        return None

    def _ids(self, kind: Kind, plan: Plan) -> dict[str, PresentObject]:
        wanted = {grant.source for change in plan.changes if change.service is not None
                  for grant in (*change.service.request.secrets, *change.service.request.configs)}  # fmt: skip
        found = objects.list_all(self._context, kind) if wanted else ()
        return {each.name: PresentObject(each.id, ()) for each in found if each.name in wanted}

    def services(self, name: str, filters: Sequence[str] = ()) -> list[ServiceCount]:
        """The services of a stack that pass the filters (id, label, mode, name)."""
        return looking.list_all(self._context, (*filters, f"label={NAMESPACE}={name}"))

    def tasks(self, name: str, filters: Sequence[str] = ()) -> list[TaskRow]:
        """The tasks of a stack that pass the filters (desired-state, id, name, node)."""
        return looking.tasks(self._context, (), (*filters, f"label={NAMESPACE}={name}"))

    def stacks(self) -> list[StackSummary]:
        """All stacks there are, by name."""
        counts: dict[str, int] = {}
        for each in looking.list_all(self._context, (f"label={NAMESPACE}",)):
            name = dict(each.service.spec.labels)[NAMESPACE]
            counts[name] = counts.get(name, 0) + 1
        return [StackSummary(name, count) for name, count in sorted(counts.items())]

    def remove(self, name: str, tell: Tell) -> Removed:
        """Remove all of a stack; networks go when the last replica on them has."""
        from sandbox.deploy.removal import remove_stack

        with self.alone(name):
            return remove_stack(self._context, name, tell)

    def logs(self, word: str, selection: LogSelection) -> Iterator[tuple[TaskRow, LogEntry]]:
        """What a service or a task wrote."""
        return looking.logs(self._context, word, selection)


def _impossible(stack: StackSpec) -> Iterator[Refusal]:
    """The services of which no replica could be made."""
    for spec in stack.services:
        try:
            check_spec(spec)
            check_containers(spec)
        except UsageError as error:
            cause = f": {error.cause}" if error.cause else ""
            yield Refusal(
                f"failed to create service {spec.name}: {error.message}{cause}", "sandbox stack config -c FILE"
            )


def _network_request(network: Network) -> NetworkRequest:
    from net.subnets import AskedSubnet
    from sandbox.network.create import NetworkRequest

    driver = network.driver or "overlay"
    return NetworkRequest(
        network.name,
        driver,
        tuple(
            AskedSubnet(pool.subnet, pool.gateway, pool.ip_range, tuple(pool.aux_addresses))
            for pool in network.ipam.config
            if pool.subnet
        ),
        network.enable_ipv4,
        network.enable_ipv6,
        network.internal,
        network.attachable,
        tuple(network.driver_opts),
        tuple(network.labels),
        network.ipam.driver or "default",
    )


def _failed(what: str, name: str, error: SandboxError) -> SandboxError:
    """`error`, which says what of the stack could not be done."""
    error.message = f"failed to {what} {name}: {error.message}"
    return error
