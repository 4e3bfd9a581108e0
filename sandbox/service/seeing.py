"""What a task's container says of the task. Pure."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import ContainerState
    from sandbox.service.task import Task, TaskState

UNHEALTHY = "task: unhealthy container"


def seen(task: Task, container: ContainerState | None, now_ns: int) -> Task:
    """The task as it is, where its container is in that state; None where it is gone."""
    if task.is_over or not task.container_id:
        return task
    if container is None:
        return ended(task, End(f"No such container: {task.container_id[:12]}", 0), now_ns)
    if container.status in ("running", "paused"):
        return _seen_running(task, container, now_ns)
    if container.status == "created":
        # what could not be started says why
        return ended(task, End(container.error, container.exit_code), now_ns) if container.error else task
    if container.status in ("exited", "dead"):
        return ended(task, End(container.error, container.exit_code), now_ns)
    return task


class End(NamedTuple):
    """How a container ended: with an error that is not its program's own, or with a code."""

    error: str
    exit_code: int


def ended(task: Task, end: End, now_ns: int) -> Task:
    """The task after its container's end: one that was to end is shut down, whatever it ended with."""
    state: TaskState
    error = task.error or end.error
    if not task.is_live and not task.error:
        state, error = "shutdown", ""
    elif error or end.exit_code:
        state, error = "failed", error or f"task: non-zero exit ({end.exit_code})"
    else:
        state = "complete"
    return task._replace(
        state=state, state_ns=now_ns, ended_ns=task.ended_ns or now_ns, exit_code=end.exit_code, error=error, pid=0,
        message="finished" if state == "complete" else state,
    )  # fmt: skip


def rejected(task: Task, error: str, now_ns: int) -> Task:
    """The task of which no container could be made."""
    if not task.is_live:
        return ended(task, End("", 0), now_ns)
    return task._replace(state="rejected", state_ns=now_ns, ended_ns=now_ns, error=error, message="preparing", pid=0)


def _seen_running(task: Task, container: ContainerState, now_ns: int) -> Task:
    if container.health == "unhealthy" and not task.error and task.is_live:
        # its end is a failure from now on, and it gets nobody's requests until then
        return task._replace(error=UNHEALTHY, ended_ns=now_ns, draining=True)
    state: TaskState = "starting" if container.health == "starting" and task.running_ns == 0 else "running"
    if task.state == state and task.pid == container.pid:
        return task
    running_ns = task.running_ns or (now_ns if state == "running" else 0)
    return task._replace(
        state=state, pid=container.pid, running_ns=running_ns, message="started" if state == "running" else "starting",
        state_ns=task.state_ns if state == task.state else now_ns,
    )  # fmt: skip
