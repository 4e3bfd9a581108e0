"""All of a stack as values: what its files ask for, by the names that an engine will know."""

from __future__ import annotations

from functools import partial

from sandbox.errors import SandboxError, UsageError
from sandbox.named_tuple import NamedTuple
from sandbox.stack.consistency import place_of
from sandbox.stack.errors import problem
from sandbox.stack.replica_request import NAMESPACE
from sandbox.stack.selecting import in_order
from sandbox.stack.service_spec import service_spec_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.secret.record import Kind
    from sandbox.service.spec import ServiceSpec
    from sandbox.stack.project import FileObject, Network, Project

_MODES = frozenset({"host", "none", "bridge", "default"})


class ObjectSpec(NamedTuple):
    """A secret or a config; `data` is None for one that the stack does not make."""

    kind: Kind
    name: str
    data: bytes | None = None
    labels: tuple[tuple[str, str], ...] = ()
    #: "golang" where the content is a template
    template: str = ""

    def __repr__(self) -> str:
        return f"ObjectSpec(kind={self.kind!r}, name={self.name!r}, data=…, labels={self.labels!r})"


class StackSpec(NamedTuple):
    """A stack. Its services stand behind those that they start after; their grants name objects."""

    name: str
    services: tuple[ServiceSpec, ...] = ()
    #: those to be made, with the stack's label
    networks: tuple[Network, ...] = ()
    #: names of those that are there
    external_networks: tuple[str, ...] = ()
    objects: tuple[ObjectSpec, ...] = ()


def stack_spec_of(project: Project) -> StackSpec:
    """The stack that a project comes to. Raises ComposeFileError."""
    networks = [network for _, network in project.networks]
    return StackSpec(
        project.name,
        tuple(service_spec_of(name, project) for name in in_order(project, project.services.names)),
        tuple(_labelled(project, network) for network in networks if not network.external),
        tuple(network.name for network in networks if network.external and network.name not in _MODES),
        (*_objects(project, "secret"), *_objects(project, "config")),
    )


def check_names(stack: StackSpec) -> None:
    """Raise SandboxError, before anything is made, where one of them could not be called as it would be."""
    from sandbox.secret.operations import check_name as check_object_name
    from sandbox.service.checks import check_service_name

    named: list[tuple[str, str, Callable[[str], None]]] = [
        ("service", service.name, check_service_name) for service in stack.services
    ]
    named += [
        (each.kind, each.name, partial(check_object_name, each.kind)) for each in stack.objects if each.data is not None
    ]
    for kind, name, check in named:
        try:
            check(name)
        except UsageError as error:
            raise SandboxError(
                f"failed to create {kind} {name}: {error.message}",
                cause="what belongs to a stack is called STACK_NAME",
            ) from error


def _labelled(project: Project, network: Network) -> Network:
    from sandbox.stack.measures import Pairs

    return network._replace(labels=Pairs.of({**dict(network.labels), NAMESPACE: project.name}.items()))


def _objects(project: Project, kind: Kind) -> Iterator[ObjectSpec]:
    objects = project.secrets if kind == "secret" else project.configs
    for key, described in objects:
        data = None if described.external else _data(project, f"{kind}s.{key}", described)
        labels = {**dict(described.labels), NAMESPACE: project.name}
        yield ObjectSpec(kind, described.name, data, tuple(sorted(labels.items())), described.template_driver)


def _data(project: Project, path: str, described: FileObject) -> bytes:
    place = place_of(project.places, path)
    if described.driver:
        raise problem(place, path, "secrets and configs are kept here, and by no driver", mend="remove the driver")
    if described.environment:
        value = project.environment.get(described.environment)
        if value is None:
            raise problem(place, f"{path}.environment", f"the variable {described.environment} is not set")
        return value.encode(errors="surrogateescape")
    if not described.file:
        return described.content.encode()
    try:
        with open(described.file, "rb") as stream:
            return stream.read(_MOST_BYTES)
    except OSError as error:
        raise problem(place, f"{path}.file", f"cannot read {described.file}: {error.strerror}") from error


#: beyond what any object may have: who keeps it says how much that is
_MOST_BYTES = 2 << 20


def check_name(name: str) -> None:
    """Raise SandboxError for what Docker takes for no name of a stack."""
    if not name.strip(" \t\n\"'"):
        raise SandboxError(f'invalid stack name: "{name}"', mend="a name of letters and digits")
