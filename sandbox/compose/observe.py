"""What there is of a project: its containers, networks and volumes, found by their labels."""

from __future__ import annotations

from sandbox.compose.names import CONFIG_FILES, CONFIG_HASH, NUMBER, ONE_OFF, PROJECT, SERVICE, WORKING_DIRECTORY
from sandbox.container.life.reconcile import reconcile_all
from sandbox.container.model.store import labelled_containers
from sandbox.errors import NotFoundError
from sandbox.events import last_event_id
from sandbox.named_tuple import NamedTuple
from sandbox.network.store import all_networks
from sandbox.state import open_state
from sandbox.volume.store import list_volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from sandbox.container.model.record import Container
    from sandbox.network.record import Network
    from sandbox.operation_context import OperationContext
    from sandbox.stack.project import Project
    from sandbox.volume.store import Volume


class ObservedContainer(NamedTuple):
    """One container of a project, by its labels."""

    container: Container
    service: str
    number: int
    is_one_off: bool
    labels: Mapping[str, str]

    @property
    def id(self) -> str:
        return self.container.id

    @property
    def name(self) -> str:
        return self.container.name

    @property
    def status(self) -> str:
        return self.container.state.status

    @property
    def is_running(self) -> bool:
        """Whether it is up, or will be again by itself: what holds its names and ports."""
        return self.status in ("running", "paused", "restarting")

    @property
    def config_hash(self) -> str:
        return self.labels.get(CONFIG_HASH, "")


class Observed(NamedTuple):
    """What there is of a project."""

    project: str
    #: by service, number, and those made first before those that are to replace them
    containers: tuple[ObservedContainer, ...] = ()
    #: all networks of this user, by name: those of others say what a name is taken by
    networks: Mapping[str, Network] = {}
    volumes: Mapping[str, Volume] = {}
    #: of the images that were asked for those that are here, by the name asked for: their ids
    images: Mapping[str, str] = {}
    #: what happens later has a higher id
    last_event: int = 0

    @property
    def regular(self) -> tuple[ObservedContainer, ...]:
        """Those that services have, without those of `run`."""
        return tuple(each for each in self.containers if not each.is_one_off)

    def of(self, service: str) -> tuple[ObservedContainer, ...]:
        """The service's containers, without those of `run`."""
        return tuple(each for each in self.regular if each.service == service)

    @property
    def own_networks(self) -> tuple[Network, ...]:
        return tuple(each for each in self.networks.values() if each.labels.get(PROJECT) == self.project)

    @property
    def own_volumes(self) -> tuple[Volume, ...]:
        return tuple(each for each in self.volumes.values() if each.labels.get(PROJECT) == self.project)


class ProjectSummary(NamedTuple):
    """A project of which there are containers."""

    name: str
    containers: tuple[ObservedContainer, ...]
    #: as the label has them, separated by commas
    config_files: str = ""
    working_directory: str = ""


def observe(context: OperationContext, project: str, images: Iterable[str] = ()) -> Observed:
    """What there is of the project now, each container as it truly is; and which of `images` are here."""
    with open_state(context.paths, durable=False) as connection:
        # before the rest: what happens meanwhile is told to who follows from here
        last = last_event_id(connection)
        found = labelled_containers(connection, PROJECT, project)
        return Observed(
            project,
            _in_order(reconcile_all(connection, context.paths, found)),
            {each.name: each for each in all_networks(connection)},
            {each.name: each for each in list_volumes(connection)},
            _image_ids(connection, images),
            last,
        )


def _image_ids(connection: sqlite3.Connection, names: Iterable[str]) -> dict[str, str]:
    from sandbox.image.store import find_image

    found = {}
    for name in dict.fromkeys(names):
        image = find_image(connection, name)
        if image is not None:
            found[name] = image.id
    return found


def observe_all(context: OperationContext) -> tuple[ProjectSummary, ...]:
    """Every project of which there are containers, by name."""
    projects: dict[str, list[Container]] = {}
    with open_state(context.paths, durable=False) as connection:
        for container in reconcile_all(connection, context.paths, labelled_containers(connection, PROJECT)):
            projects.setdefault(dict(container.config.labels)[PROJECT], []).append(container)
    return tuple(_summary(name, _in_order(containers)) for name, containers in sorted(projects.items()))


def _summary(name: str, containers: tuple[ObservedContainer, ...]) -> ProjectSummary:
    # the newest container was made of the files as they are called now
    newest = max(containers, key=lambda each: each.container.created_ns).labels
    return ProjectSummary(name, containers, newest.get(CONFIG_FILES, ""), newest.get(WORKING_DIRECTORY, ""))


def _in_order(containers: Iterable[Container]) -> tuple[ObservedContainer, ...]:
    observed = [_observed(container) for container in containers]
    return tuple(sorted(observed, key=lambda each: (each.service, each.number, each.container.created_ns)))


def _observed(container: Container) -> ObservedContainer:
    labels = dict(container.config.labels)
    number = labels.get(NUMBER, "")
    return ObservedContainer(
        container,
        labels.get(SERVICE, ""),
        # anybody may have made one with such labels
        int(number) if number.isascii() and number.isdigit() else 0,
        labels.get(ONE_OFF) == "True",
        labels,
    )


def orphans(observed: Observed, project: Project) -> tuple[ObservedContainer, ...]:
    """The containers of services that the project does not have, off or on, and what `run` has left that has ended."""
    names = set(project.all_services.names)
    return tuple(
        each
        for each in observed.containers
        if (each.status in ("exited", "dead") if each.is_one_off else each.service not in names)
    )


def container_of(observed: Observed, service: str, index: int = 0) -> ObservedContainer:
    """The running container of a service: of this number, or the first. Raises NotFoundError in Docker's words."""
    running = [each for each in observed.of(service) if each.is_running and index in (0, each.number)]
    if not running:
        which = f" container #{index}" if index else ""
        raise NotFoundError(f'service "{service}" is not running{which}', mend=f"sandbox compose start {service}")
    return running[0]
