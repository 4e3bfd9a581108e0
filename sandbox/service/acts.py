"""What there is to do, read off the rows: done twice it is done once. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from sandbox.service.task import Task

    #: prepare: have a container; start it; stop it, whatever there is of it; remove it and the row
    Act = Literal["prepare", "start", "stop", "remove"]

_UNPREPARED = ("new", "allocated", "pending", "assigned", "accepted", "preparing")


def act_of(task: Task) -> Act | None:
    """The next thing to do for the task; None where it is as it is to be, or what happens next is its container's."""
    if task.is_over:
        return "remove" if task.desired == "remove" else None
    if not task.is_live or task.error:
        return "stop"
    if task.state in _UNPREPARED:
        return "prepare"
    # one that is starting, and has no process yet, is started again: its starter may be gone
    if task.desired == "running" and (task.state == "ready" or (task.state == "starting" and task.pid == 0)):
        return "start"
    return None
