"""What each event in a container's life makes of its state; pure."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import ContainerState
    from sandbox.errors import ErrorKind, SandboxError
    from sandbox.values import PublishedPort

#: what a container that could not be started ended with; 128 for every other kind
_FAILED_STARTS: dict[ErrorKind, int] = {"not_started": 125, "not_executable": 126, "command_not_found": 127}


def code_of_failed_start(error: SandboxError) -> int:
    """The exit code in the record of a container that `error` kept from starting, as Docker has it."""
    return _FAILED_STARTS.get(error.kind, 128)


def health_of_ended(state: ContainerState) -> str:
    """What Docker shows of one whose check is not run any more."""
    return "unhealthy" if state.health else ""


class RunStarted(NamedTuple):
    """The container's program runs. `published_ports` None: they are as they were before a restart."""

    pid: int
    pid_start: int
    started_ns: int
    restart_count: int
    cgroup: str = ""
    published_ports: tuple[PublishedPort, ...] | None = None
    #: "" where the container has no health check
    health: str = ""

    def apply(self, state: ContainerState) -> ContainerState:
        ports = state.published_ports if self.published_ports is None else self.published_ports
        return state._replace(
            status="running",
            pid=self.pid,
            pid_start=self.pid_start,
            # when it ended before stays known, as Docker has it
            started_ns=self.started_ns,
            exit_code=0,
            error="",
            oom_killed=False,
            restart_count=self.restart_count,
            stopped_by_user=False,
            published_ports=ports,
            health=self.health,
            cgroup=self.cgroup,
            lost_mount="",
        )


class RunEnded(NamedTuple):
    """The container's first process ended; `stays_down` when no restart follows."""

    exit_code: int
    finished_ns: int
    oom_killed: bool = False
    stays_down: bool = True
    stopped_by_user: bool = False

    def apply(self, state: ContainerState) -> ContainerState:
        # stopped while it waited for a restart: it ended earlier than now
        finished_ns = self.finished_ns if state.status in ("running", "paused") else state.finished_ns
        ended = state._replace(
            status="restarting",
            pid=0,
            pid_start=0,
            exit_code=self.exit_code,
            finished_ns=finished_ns,
            oom_killed=self.oom_killed,
            health=health_of_ended(state),
        )
        if not self.stays_down:
            # Docker counts a restart from when it is decided
            return ended._replace(restart_count=state.restart_count + 1)
        return ended._replace(
            status="exited",
            monitor_pid=0,
            monitor_start=0,
            stopped_by_user=self.stopped_by_user,
            published_ports=(),
            cgroup="",
        )


class HealthChanged(NamedTuple):
    """The health check found the container to be otherwise: "healthy" or "unhealthy"."""

    health: str

    def apply(self, state: ContainerState) -> ContainerState:
        return state._replace(health=self.health) if state.health else state


def paused(state: ContainerState) -> ContainerState:
    """All processes of the container are held."""
    return state._replace(status="paused") if state.status == "running" else state


def unpaused(state: ContainerState) -> ContainerState:
    """They go on."""
    return state._replace(status="running") if state.status == "paused" else state


class MountLost(NamedTuple):
    """What served the file system at `target` ended while the container runs: it is there no more."""

    target: str
    reason: str

    def apply(self, state: ContainerState) -> ContainerState:
        what = "root file system" if self.target == "/" else f"file system at {self.target}"
        error = f"the {what} is lost: its server (FUSE) ended: {self.reason}"
        return state._replace(error=error, lost_mount=state.lost_mount or self.target)


class StartFailed(NamedTuple):
    """The container did not come to run; without a `message` it was given up, not a failure."""

    exit_code: int = 0
    message: str = ""

    def apply(self, state: ContainerState) -> ContainerState:
        noted = state._replace(exit_code=self.exit_code, error=self.message) if self.message else state
        return noted._replace(pid=0, pid_start=0, monitor_pid=0, monitor_start=0, published_ports=(), cgroup="")
