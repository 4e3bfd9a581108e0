"""What the hooks of a service ask for: commands in its containers, and containers that run before them. Pure."""

from __future__ import annotations

from sandbox.container.session.exec_request import ExecRequest
from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple
from sandbox.stack.request import Instance, request_of
from sandbox.values import EndpointRequest, HealthCheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.request.request import ContainerRequest
    from sandbox.stack.model import Hook, Service
    from sandbox.stack.project import Project
    from sandbox.warm.values import Descriptor


class Hooks(NamedTuple):
    """Commands that are run in a container, one after another."""

    service: str = ""
    commands: tuple[ExecRequest, ...] = ()
    #: where they write; without it an error tells the end of it
    output: Descriptor | None = None


class BeforeHook(NamedTuple):
    """A container that comes to its end before a service's own is started; `number` is its hook's in the file."""

    service: str
    number: int
    request: ContainerRequest


def post_start(project: Project | None, name: str) -> Hooks:
    """What is run in a container of the service once it has started."""
    service = _service(project, name)
    return _hooks(name, service.post_start) if service is not None else Hooks()


def pre_stop(project: Project | None, name: str) -> Hooks:
    """What is run in a container of the service before it is stopped."""
    service = _service(project, name)
    return _hooks(name, service.pre_stop) if service is not None else Hooks()


def _service(project: Project | None, name: str) -> Service | None:
    return project.all_services.value(name) if project is not None else None


def _hooks(name: str, hooks: tuple[Hook, ...]) -> Hooks:
    return Hooks(
        name,
        tuple(
            ExecRequest(
                hook.command or (),
                tuple(_environment(hook)),
                hook.user,
                hook.working_dir,
                privileged=hook.privileged,
            )
            for hook in hooks
        ),
    )


def _environment(hook: Hook) -> list[str]:
    return [f"{key}={value}" for key, value in hook.environment if value is not None]


def runs_before(service: Service, *, per_replica: bool) -> bool:
    """Whether there is a hook that runs before each of the service's containers, or once before all of them."""
    return any(hook.per_replica == per_replica for hook in service.pre_start)


def pre_start(project: Project, name: str, number: int, image_id: str) -> tuple[BeforeHook, ...]:
    """The containers that run before the one with `number` is started, with 0 those that run once before all. Raises
    ComposeFileError.
    """
    service = _service(project, name)
    assert service is not None
    return tuple(
        BeforeHook(name, position, _before(project, name, Instance(number or 1, image_id), position, hook))
        for position, hook in enumerate(service.pre_start)
        if hook.per_replica == bool(number)
    )


def _before(project: Project, name: str, instance: Instance, position: int, hook: Hook) -> ContainerRequest:
    """As a container of the service, but for the command, and for what others know the service by."""
    own = f"{project.name}-{name}-pre_start-{position}" + (f"-{instance.number}" if hook.per_replica else "")
    request = request_of(name, project, instance._replace(one_off_name=own))
    if not hook.command:
        raise UsageError(f"services.{name}.pre_start[{position}] has no command")
    return request._replace(
        image=hook.image or request.image,
        entrypoint=(),
        command=hook.command,
        environment=(*request.environment, *_environment(hook)),
        user=hook.user or request.user,
        working_directory=hook.working_dir or request.working_directory,
        privileged=hook.privileged or request.privileged,
        published_ports=(),
        restart=None,
        health=HealthCheck(("NONE",)),
        endpoints=tuple(EndpointRequest(endpoint.network) for endpoint in request.endpoints),
        pull_policy="missing",
    )
