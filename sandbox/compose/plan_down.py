"""From a project, or its name alone, and what there is of it to the steps that take it down, stop or start it. Pure."""

from __future__ import annotations

from sandbox.compose.names import SERVICE
from sandbox.compose.observe import orphans
from sandbox.compose.order import dependences, in_order_of, with_dependents
from sandbox.compose.steps import RUNNING_OR_HEALTHY, STARTED, Plan, Step
from sandbox.errors import NotFoundError
from sandbox.named_tuple import NamedTuple
from sandbox.stack.canonical import image_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sandbox.compose.observe import Observed, ObservedContainer
    from sandbox.compose.order import Dependence
    from sandbox.compose.steps import DownOptions, Kind
    from sandbox.stack.project import Project


class Chosen(NamedTuple):
    """Whose containers a command is about; without names those of all services."""

    services: tuple[str, ...] = ()
    timeout_seconds: int | None = None


def plan_down(project: Project | None, observed: Observed, options: DownOptions) -> Plan:
    """How the project is taken down; without a file what labels say is its. Raises NotFoundError for a service that the
    file does not have.
    """
    _check_services(project, options.services)
    graph = dependences(project, observed.regular)
    strays = orphans(observed, project) if project is not None else ()
    known = project.services.names if project is not None else {each.service for each in observed.regular}
    chosen = set(with_dependents(options.services, graph) if options.services else known)
    steps = list(_backwards(observed, graph, chosen, "remove", options.timeout_seconds))
    steps = [step._replace(flag=options.volumes) for step in steps]
    if options.removes_orphans:
        one_offs = tuple(each for each in observed.containers if each.is_one_off)
        steps += [_of("remove", each, (), options.timeout_seconds) for each in (*strays, *one_offs)]
    gone = tuple(step.key for step in steps)
    for name in _networks(project, observed):
        steps.append(Step(f"remove network {name}", "remove_network", name, gone, flag=True))
    for name in _volumes(project, observed) if options.volumes else ():
        steps.append(Step(f"remove volume {name}", "remove_volume", name, gone, flag=True))
    for name in _images(project, observed, options.images):
        steps.append(Step(f"remove image {name}", "remove_image", name, gone, flag=True))
    notes = () if steps else (f'Warning: No resource found to remove for project "{observed.project}".',)
    return Plan(tuple(steps), notes=notes)


def _check_services(project: Project | None, names: Collection[str]) -> None:
    for name in names:
        if project is not None and project.all_services.value(name) is None:
            raise NotFoundError(f"no such service: {name}", mend="sandbox compose config --services", word=name)


def _backwards(
    observed: Observed,
    graph: Mapping[str, tuple[Dependence, ...]],
    names: Collection[str],
    kind: Kind,
    timeout_seconds: int | None,
) -> Iterator[Step]:
    """A step for each container, behind those of the services that depend on its own."""
    keys: dict[str, tuple[str, ...]] = {}
    for name in reversed(in_order_of(names, graph)):
        dependents = with_dependents((name,), graph)[1:]
        needs = tuple(key for other in dependents for key in keys.get(other, ()))
        steps = [_of(kind, each, needs, timeout_seconds) for each in observed.of(name)]
        yield from steps
        keys[name] = tuple(step.key for step in steps)


def _of(kind: Kind, container: ObservedContainer, needs: Sequence[str], timeout_seconds: int | None) -> Step:
    return Step(
        f"{kind} {container.name}", kind, container.name, tuple(needs), "", container.service, container.number,
        container.id, timeout_seconds=timeout_seconds,
    )  # fmt: skip


def _networks(project: Project | None, observed: Observed) -> tuple[str, ...]:
    own = {network.name for network in observed.own_networks}
    if project is None:
        return tuple(sorted(own))
    return tuple(each.name for _, each in project.networks if not each.external and each.name in own)


def _volumes(project: Project | None, observed: Observed) -> tuple[str, ...]:
    if project is None:
        return tuple(sorted(volume.name for volume in observed.own_volumes))
    return tuple(each.name for _, each in project.volumes if not each.external and each.name in observed.volumes)


def image_names(project: Project | None, observed: Observed, which: str) -> tuple[str, ...]:
    """The names of the images of the project's services: all, or those alone that the file does not name itself."""
    if project is None:
        names = [each.container.config.image for each in observed.regular if which == "all"]
        names += [f"{observed.project}-{each.labels[SERVICE]}" for each in observed.regular if which == "local"]
    else:
        names = [
            image_of(project, name, service)
            for name, service in project.services
            if which == "all" or (which == "local" and not service.image)
        ]
    return tuple(dict.fromkeys(names))


def _images(project: Project | None, observed: Observed, which: str) -> tuple[str, ...]:
    return tuple(name for name in image_names(project, observed, which) if name in observed.images)


def _services(project: Project | None, observed: Observed) -> Collection[str]:
    """Those of the file that have a container; without one all that have."""
    present = {each.service for each in observed.regular}
    return present if project is None else present & set(project.services.names)


def plan_stop(project: Project | None, observed: Observed, chosen: Chosen) -> Plan:
    """How containers are stopped, those first that depend on others. Raises NotFoundError."""
    _check_services(project, chosen.services)
    graph = dependences(project, observed.regular)
    names = chosen.services or _services(project, observed)
    return Plan(tuple(_backwards(observed, graph, names, "stop", chosen.timeout_seconds)))


def plan_kill(observed: Observed, services: Collection[str]) -> Plan:
    """How what still runs of some services is ended at once."""
    running = [each for each in observed.regular if each.service in services and each.is_running]
    return Plan(tuple(_of("kill", each, (), None) for each in running))


def plan_restart(project: Project | None, observed: Observed, chosen: Chosen, *, alone: bool = False) -> Plan:
    """How containers are restarted, with those that ask to be where one of the chosen is, unless they are `alone`.
    Raises NotFoundError.
    """
    _check_services(project, chosen.services)
    graph = dependences(project, observed.regular)
    tied = {name: tuple(each for each in needed if each.restart) for name, needed in graph.items()}
    names = chosen.services or _services(project, observed)
    names = names if alone else with_dependents(names, tied)
    keys: dict[str, tuple[str, ...]] = {}
    steps: dict[str, Step] = {}
    for name in in_order_of(names, tied):
        needs: list[str] = []
        for each in () if alone else tied.get(name, ()):
            needs += keys.get(each.service, ())
            for wait in _waits(observed, name, each, keys) if each.service in keys else ():
                steps[wait.key] = wait
                needs.append(wait.key)
        own = [_of("restart", each, needs, chosen.timeout_seconds) for each in observed.of(name)]
        keys[name] = tuple(step.key for step in own)
        steps |= {step.key: step for step in own}
    # nothing is made or removed: what is waited for may take as long as it likes
    return Plan(starts=tuple(steps.values()))


def _waits(observed: Observed, name: str, each: Dependence, keys: Mapping[str, tuple[str, ...]]) -> Iterator[Step]:
    """What a service waits for beyond the start of another one."""
    waiting = tuple(other.name for other in observed.of(each.service))
    if each.condition != STARTED and waiting:
        yield Step(
            f"wait {each.service} {each.condition} for {name}", "wait", each.service, keys.get(each.service, ()), "",
            each.service, containers=waiting, condition=each.condition, flag=not each.required,
        )  # fmt: skip


def plan_start(project: Project | None, observed: Observed, chosen: Chosen, *, waits: bool = False) -> Plan:
    """How containers that are there are started, each when what it depends on is as far as it asks. Raises
    NotFoundError for a service that has none.
    """
    _check_services(project, chosen.services)
    graph = dependences(project, observed.regular)
    names = chosen.services or _services(project, observed)
    keys: dict[str, tuple[str, ...]] = {}
    steps: dict[str, Step] = {}
    for name in in_order_of(with_needed(names, graph), graph):
        containers = observed.of(name)
        if not containers:
            if name in names:
                raise NotFoundError(f'service "{name}" has no container to start', mend=f"sandbox compose up {name}")
            continue
        needs: list[str] = []
        for each in graph.get(name, ()):
            needs += keys.get(each.service, ())
            for wait in _waits(observed, name, each, keys):
                steps[wait.key] = wait
                needs.append(wait.key)
        own = [_of("start", each, needs, None) for each in containers if not each.is_running]
        keys[name] = tuple(step.key for step in own)
        steps |= {step.key: step for step in own}
    if waits:
        for name in names:
            own_names = tuple(each.name for each in observed.of(name))
            key = f"wait {name} up"
            steps[key] = Step(key, "wait", name, keys[name], "--wait", name, containers=own_names,
                              condition=RUNNING_OR_HEALTHY)  # fmt: skip
    return Plan(starts=tuple(steps.values()))


def with_needed(names: Collection[str], graph: Mapping[str, tuple[Dependence, ...]]) -> tuple[str, ...]:
    """`names` and all that they depend on."""
    found = dict.fromkeys(names)
    waiting = list(found)
    while waiting:
        for each in graph.get(waiting.pop(), ()):
            if each.service not in found:
                found[each.service] = None
                waiting.append(each.service)
    return tuple(found)
