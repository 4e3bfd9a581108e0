"""A service as it is recorded: what is wanted, what was wanted before, and how far an update has come."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from sandbox.service.spec import ServiceSpec

    UpdateState = Literal[
        "updating", "paused", "completed", "rollback_started", "rollback_paused", "rollback_completed"
    ]


class UpdateStatus(NamedTuple):
    """How the last update went, as Docker shows it."""

    state: UpdateState
    message: str
    started_ns: int
    completed_ns: int = 0

    @property
    def is_going_on(self) -> bool:
        return self.state in ("updating", "rollback_started")

    @property
    def is_paused(self) -> bool:
        return self.state in ("paused", "rollback_paused")


class UpdateRun(NamedTuple):
    """An update that is going on: by its number its tasks are told from others."""

    number: int
    #: the slots that were to be replaced when it began
    slots: int
    #: when the last of them was done with; 0 before
    done_ns: int = 0


class Service(NamedTuple):
    """One row."""

    id: str  # 25 of base 36
    name: str
    #: whose it is; "" of one that was made by itself
    stack: str
    #: a number that grows with each change: who changes it says which he has seen
    version: int
    #: the version at which the spec became what it is
    spec_version: int
    spec: ServiceSpec
    created_ns: int
    updated_ns: int
    previous_spec: ServiceSpec | None = None
    status: UpdateStatus | None = None
    run: UpdateRun | None = None
    #: it is gone to everybody, and its tasks are about to be
    removing: bool = False
    #: the directory of config.json of who deployed it last, by which its images are pulled; "" is ~/.docker
    docker_config: str = ""

    @property
    def rolls_back(self) -> bool:
        return self.status is not None and self.status.state in ("rollback_started", "rollback_paused")
