"""What is to be done with a project, as values: options in, steps out."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    #: diverged: only a container that is not as its service says
    Recreate = Literal["diverged", "force", "never"]
    Kind = Literal[
        "create_network", "remove_network", "create_volume", "remove_volume", "remove_image",
        "create", "recreate", "rename", "pre_start", "start", "stop", "kill", "restart", "remove", "wait",
    ]  # fmt: skip

#: what is waited for that is no condition of the specification: running, and healthy where it can tell
RUNNING_OR_HEALTHY = "running_or_healthy"
HEALTHY = "service_healthy"
COMPLETED = "service_completed_successfully"
STARTED = "service_started"


class UpOptions(NamedTuple):
    """How a project is brought up."""

    #: those that were named; none is all
    services: tuple[str, ...] = ()
    recreate: Recreate = "diverged"
    #: of services that are there because others depend on them
    recreate_dependencies: Recreate = "diverged"
    renews_volumes: bool = False
    removes_orphans: bool = False
    ignores_orphans: bool = False
    #: before a container that is replaced is killed; None is its own
    timeout_seconds: int | None = None
    #: names of volumes that may be made again, with the loss of their data
    volumes_to_renew: tuple[str, ...] = ()
    #: in the end wait until all services run, and are healthy where they can tell
    waits: bool = False
    wait_timeout_seconds: int | None = None


class DownOptions(NamedTuple):
    """How a project is taken down."""

    services: tuple[str, ...] = ()
    volumes: bool = False
    #: "", local (of no name in the file), all
    images: str = ""
    removes_orphans: bool = False
    timeout_seconds: int | None = None


class Step(NamedTuple):
    """One thing that is done; `needs` are keys of steps that come before it."""

    key: str
    kind: Kind
    #: of what it is done to: a container's name, a network's, …
    name: str
    needs: tuple[str, ...] = ()
    #: why, for a person
    reason: str = ""
    #: of a network and a volume: its key in the file
    service: str = ""
    number: int = 0
    #: the container that is there
    container_id: str = ""
    #: of `recreate`: one that was made to take its place when a run was ended
    successor_id: str = ""
    #: of `wait`: which containers, by name, and for what
    containers: tuple[str, ...] = ()
    condition: str = ""
    #: of `wait`: the others go on where it fails; of `remove`: with its unnamed volumes
    flag: bool = False
    timeout_seconds: int | None = None


class Plan(NamedTuple):
    """What is to be done: first all of `makes`, which leaves everything in place, then `starts`."""

    makes: tuple[Step, ...] = ()
    starts: tuple[Step, ...] = ()
    #: services, and the containers of theirs that run and stay
    running: tuple[tuple[str, str], ...] = ()
    #: what is as it should be, and what that is called: ("Container demo-db-1", "Running")
    standing: tuple[tuple[str, str], ...] = ()
    #: for a person, a sentence each
    notes: tuple[str, ...] = ()
    #: names of volumes that are not as the file says: they stay, unless somebody says that their data may go
    diverged_volumes: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.makes and not self.starts
