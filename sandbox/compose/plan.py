"""From a project and what there is of it to the steps that bring it up. Pure.

First everything is made, in an order in which nothing misses what it needs; then containers are started, each when what
it depends on is as far as it asks. So an error in the making leaves what runs as it was.
"""

from __future__ import annotations

from sandbox.compose.observe import orphans
from sandbox.compose.plan_hooks import with_pre_start
from sandbox.compose.plan_service import Surroundings, plan_service, removals_of
from sandbox.compose.plan_shared import plan_networks, plan_volumes
from sandbox.compose.steps import COMPLETED, HEALTHY, RUNNING_OR_HEALTHY, STARTED, Plan, Step
from sandbox.stack.port_clashes import check_ports
from sandbox.stack.selecting import in_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sandbox.compose.observe import Observed, ObservedContainer
    from sandbox.compose.plan_service import Member, ServicePlan
    from sandbox.compose.plan_shared import SharedPlan
    from sandbox.compose.steps import UpOptions
    from sandbox.stack.project import Project


def plan_up(project: Project, observed: Observed, options: UpOptions) -> Plan:
    """How the project is brought up. Raises NotFoundError for what is external and is not there, UsageError,
    ComposeFileError for ports that clash.
    """
    check_ports(project)
    networks = plan_networks(project, observed)
    volumes = plan_volumes(project, observed, options.volumes_to_renew)
    first, removed, stopped = _before_shared(observed, networks, volumes, options)
    strays = orphans(observed, project)
    plans: dict[str, ServicePlan] = {}
    names = in_order(project, project.services.names)
    around = Surroundings(project, observed, options, {**networks.networks, **volumes.volumes}, removed, plans)
    for name in names:
        service = project.services.value(name)
        assert service is not None
        if service.provider is None:
            plans[name] = plan_service(around, name, service)
    tied = list(_tied(project, observed, plans, options, stopped))
    makes = [*first, *_with_needs((*networks.steps, *volumes.steps), first), *tied]
    makes += [step for plan in plans.values() for step in _behind(plan.steps, tied)]
    if options.removes_orphans:
        makes += removals_of(strays, "its service is in no file", options.timeout_seconds)
    stopped |= {step.name for step in tied}
    starts = tuple(_starts(project, observed, plans, options, stopped))
    return Plan(
        tuple(makes),
        starts,
        tuple((name, member.name) for name, plan in plans.items() for member in plan.members if member.is_running),
        tuple(_standing(plans, {step.name for step in starts})),
        (*networks.notes, *volumes.notes, *_orphan_notes(strays, options)),
        volumes.diverged_volumes,
    )


def _orphan_notes(strays: Sequence[ObservedContainer], options: UpOptions) -> Iterator[str]:
    if strays and not options.removes_orphans and not options.ignores_orphans:
        yield (
            f"Found orphan containers ([{' '.join(each.name for each in strays)}]) for this project. If you removed or "
            "renamed this service in your compose file, you can run this command with the --remove-orphans flag to "
            "clean it up."
        )


def _before_shared(
    observed: Observed, networks: SharedPlan, volumes: SharedPlan, options: UpOptions
) -> tuple[list[Step], dict[str, str], set[str]]:
    """What lets go of networks and volumes that are made again: the steps, the ids of containers that go, and the names
    of those that only stop.
    """
    steps: list[Step] = []
    removed: dict[str, str] = {}
    stopped: set[str] = set()
    for each in observed.containers:
        config = each.container.config
        lost = {mount.source for mount in config.mounts if mount.kind == "volume"} & set(volumes.replaced_volumes)
        left = {endpoint.network for endpoint in config.endpoints} & set(networks.replaced_networks)
        if lost:
            (step,) = removals_of((each,), f"volume {min(lost)} is made again", options.timeout_seconds)
            removed[each.id] = step.key
            steps.append(step)
        elif left and each.is_running:
            steps.append(_stop(each, f"network {min(left)} is made again", options))
            stopped.add(each.name)
    return steps, removed, stopped


def _stop(container: ObservedContainer, reason: str, options: UpOptions) -> Step:
    return Step(
        f"stop {container.name}", "stop", container.name, (), reason, container.service, container.number, container.id,
        timeout_seconds=options.timeout_seconds,
    )  # fmt: skip


def _with_needs(steps: Sequence[Step], before: Sequence[Step]) -> Iterator[Step]:
    """What is removed is removed when nobody is on it any more."""
    keys = tuple(step.key for step in before)
    for step in steps:
        yield step._replace(needs=(*step.needs, *keys)) if step.kind.startswith("remove") else step


def _tied(
    project: Project, observed: Observed, plans: Mapping[str, ServicePlan], options: UpOptions, stopped: set[str]
) -> Iterator[Step]:
    """Stops of containers that ask to be started again with a service that gets other containers."""
    recreated = {name for name, plan in plans.items() if any(step.kind == "recreate" for step in plan.steps)}
    for name, service in project.services:
        tied = [other for other, each in service.depends_on if each.restart and other in recreated]
        if not tied or name not in plans:
            continue
        again = {step.container_id for step in plans[name].steps}
        for container in observed.of(name):
            if container.is_running and container.id not in again and container.name not in stopped:
                yield _stop(container, f"service {tied[0]} is recreated", options)


def _behind(steps: Sequence[Step], tied: Sequence[Step]) -> Iterator[Step]:
    """Recreated is what nobody who is tied to it still uses."""
    keys = tuple(step.key for step in tied)
    for step in steps:
        yield step._replace(needs=(*step.needs, *keys)) if keys and step.kind == "recreate" else step


def _starts(
    project: Project, observed: Observed, plans: Mapping[str, ServicePlan], options: UpOptions, stopped: set[str]
) -> Iterator[Step]:
    """Each container that is not running, behind what its service waits for."""
    started: dict[str, tuple[str, ...]] = {}
    waited: set[str] = set()
    for name in in_order(project, plans):
        service = project.services.value(name)
        assert service is not None
        needs: list[str] = []
        for other, each in service.depends_on:
            members = plans[other].members if other in plans else ()
            needs += started.get(other, ())
            if each.condition == STARTED or not members or _is_met(members, each.condition, started[other]):
                continue
            wait = _wait(name, other, members, each.condition)._replace(needs=started[other], flag=not each.required)
            needs.append(wait.key)
            if wait.key not in waited:
                waited.add(wait.key)
                yield wait
        steps = tuple(_starts_of(name, plans[name], stopped, tuple(dict.fromkeys(needs))))
        if service.pre_start:
            steps = tuple(with_pre_start(name, service, plans[name].members, steps))
        yield from steps
        started[name] = tuple(step.key for step in steps)
    yield from _started_again(observed, plans, stopped)
    if options.waits:
        for name, plan in plans.items():
            if plan.members:
                wait = _wait("", name, plan.members, COMPLETED if name in _completing(project) else RUNNING_OR_HEALTHY)
                yield wait._replace(needs=started[name], timeout_seconds=options.wait_timeout_seconds)


def _completing(project: Project) -> set[str]:
    """The services whose end another one waits for: they are not to stay."""
    depends = (pair for _, service in project.services for pair in service.depends_on)
    return {name for name, each in depends if each.condition == COMPLETED}


def _is_met(members: Sequence[Member], condition: str, starts: tuple[str, ...]) -> bool:
    return condition == HEALTHY and not starts and all(each.health == "healthy" for each in members)


def _wait(dependent: str, name: str, members: Sequence[Member], condition: str) -> Step:
    words = {HEALTHY: "healthy", COMPLETED: "completed", RUNNING_OR_HEALTHY: "up"}
    return Step(
        # of several that wait alike each may go on without it, or not
        f"wait {name} {words.get(condition, condition)}{f' for {dependent}' if dependent else ''}",
        "wait",
        name,
        reason=f"{dependent} depends on it" if dependent else "--wait",
        service=name,
        containers=tuple(each.name for each in members),
        condition=condition,
    )


def _starts_of(name: str, plan: ServicePlan, stopped: set[str], needs: tuple[str, ...]) -> Iterator[Step]:
    for member in plan.members:
        if member.made_by.startswith(("create", "recreate")):
            reason = "it is new"
        elif not member.is_running:
            reason = "it does not run"
        elif member.name in stopped:
            reason = "it was stopped for this"
        else:
            continue
        yield Step(
            f"start {member.name}", "start", member.name, needs, reason, name, member.number, member.container_id
        )


def _started_again(observed: Observed, plans: Mapping[str, ServicePlan], stopped: set[str]) -> Iterator[Step]:
    """Of services that nobody asked for what was stopped, for a network that is made again."""
    for each in observed.regular:
        if each.name in stopped and each.service not in plans:
            reason = "it was stopped for this"
            yield Step(f"start {each.name}", "start", each.name, (), reason, each.service, each.number, each.id)


def _standing(plans: Mapping[str, ServicePlan], started: set[str]) -> Iterator[tuple[str, str]]:
    for plan in plans.values():
        for member in plan.members:
            if member.is_running and member.name not in started:
                yield f"Container {member.name}", "Running"
            elif member.container_id and not member.made_by:
                yield f"Container {member.name}", "Created"
