"""`compose run`: the container of a service that is made for one command. Pure."""

from __future__ import annotations

from sandbox.compose.names import NUMBER, PREFIX
from sandbox.compose.steps import COMPLETED, HEALTHY, Plan, Step
from sandbox.named_tuple import NamedTuple
from sandbox.stack.measures import Pairs
from sandbox.stack.request import Instance, request_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.compose.observe import Observed
    from sandbox.container.request.request import ContainerRequest
    from sandbox.stack.project import Project
    from sandbox.values import EndpointRequest, PublishedPort

#: 64 hex digits, of which the name has twelve
SLUG = f"{PREFIX}slug"
_SHORT = 12


class RunChoice(NamedTuple):
    """What the command line says of the container; None and empty leave what the service says."""

    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    #: "NAME=value"
    environment: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    user: str = ""
    working_directory: str = ""
    name: str = ""
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    #: as of `-v` of `run`
    volumes: tuple[str, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    #: those that the service has
    service_ports: bool = False
    use_aliases: bool = False
    terminal: bool = False
    interactive: bool = True
    auto_remove: bool = False
    pull_policy: str = ""


def one_off_request(project: Project, name: str, choice: RunChoice, slug: str, image_id: str = "") -> ContainerRequest:
    """The request for a container of the service that runs once. Raises ComposeFileError."""
    own_name = choice.name or project.separator.join((project.name, name, "run", slug[:_SHORT]))
    request = request_of(name, _restartless(project, name), Instance(1, image_id, own_name))
    labels = {key: value for key, value in request.labels if key != NUMBER} | {SLUG: slug} | dict(choice.labels)
    command = request.command
    if choice.command or choice.entrypoint is not None:
        # what the service runs is no argument of another program
        command = choice.command
    return request._replace(
        command=command,
        entrypoint=request.entrypoint if choice.entrypoint is None else choice.entrypoint,
        environment=_environment(request.environment, choice.environment),
        labels=tuple(sorted(labels.items())),
        user=choice.user or request.user,
        working_directory=choice.working_directory or request.working_directory,
        cap_add=(*(each for each in request.cap_add if each not in choice.cap_drop), *choice.cap_add),
        cap_drop=(*(each for each in request.cap_drop if each not in choice.cap_add), *choice.cap_drop),
        binds=(*request.binds, *(_bind(project, text) for text in choice.volumes)),
        published_ports=(*(request.published_ports if choice.service_ports else ()), *choice.ports),
        endpoints=request.endpoints if choice.use_aliases else tuple(_unnamed(request.endpoints, own_name)),
        terminal=choice.terminal or None,
        open_stdin=choice.interactive or None,
        stdin_once=choice.interactive or None,
        attached=("stdin", "stdout", "stderr") if choice.interactive else ("stdout", "stderr"),
        auto_remove=choice.auto_remove or None,
        pull_policy=choice.pull_policy or request.pull_policy,
    )


def _restartless(project: Project, name: str) -> Project:
    """The project with the service as one that is not started again."""
    service = project.services.value(name)
    assert service is not None
    deploy = service.deploy._replace(restart_policy=None) if service.deploy is not None else None
    changed = service._replace(restart="", deploy=deploy)
    return project._replace(
        services=Pairs.of((key, changed if key == name else each) for key, each in project.services)
    )


def _environment(present: tuple[str, ...], given: tuple[str, ...]) -> tuple[str, ...]:
    found = {text.partition("=")[0]: text for text in (*present, *given)}
    return tuple(found.values())


def _unnamed(endpoints: tuple[EndpointRequest, ...], own_name: str) -> list[EndpointRequest]:
    """By its service's name others are found, not this one."""
    return [each._replace(aliases=(own_name,)) for each in endpoints]


def _bind(project: Project, text: str) -> str:
    """A volume of the project is meant by its key."""
    source, colon, rest = text.partition(":")
    named = project.volumes.value(source) if colon else None
    return f"{named.name}:{rest}" if named is not None else text


def others_of(project: Project, name: str) -> Project:
    """The project without the service, which is started by itself."""
    on = [(key, each) for key, each in project.services if key != name]
    names = {key for key, _ in on}
    off = [(key, each) for key, each in project.all_services if key not in names]
    return project._replace(services=Pairs.of(on), disabled=Pairs.of(off))


def plan_waits(project: Project, name: str, observed: Observed) -> Plan:
    """What a container of the service waits for before it is made."""
    service = project.services.value(name)
    assert service is not None
    waits = []
    for other, each in service.depends_on:
        members = observed.of(other)
        if each.condition in (HEALTHY, COMPLETED) and members:
            waits.append(
                Step(
                    f"wait {other}", "wait", other, reason=f"{name} depends on it", service=other,
                    containers=tuple(member.name for member in members), condition=each.condition,
                    flag=not each.required,
                )
            )  # fmt: skip
    return Plan(starts=tuple(waits))
