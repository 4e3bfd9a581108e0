"""A job: so many tasks that are to complete, so many at once; with each update all of it runs anew. Pure."""

from __future__ import annotations

from sandbox.service.restarting import follow, is_followed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.service.board import Board
    from sandbox.service.record import Service
    from sandbox.service.spec import ServiceSpec
    from sandbox.service.task import Task


def is_of_iteration(task: Task, service: Service) -> bool:
    """Whether the task was made since the last update of the job, which began another iteration of it."""
    return task.spec_version == service.spec_version


def desired_state(task: Task, spec: ServiceSpec) -> str:
    """What the task is to be, in Docker's words: of a job, to complete. `spec` is the one that it was made of."""
    completes = task.desired == "running" or (task.state == "complete" and task.desired != "remove")
    return "complete" if spec.mode.is_job and completes else task.desired


def advance_job(board: Board, wanted: int) -> None:
    """Start those that are still to complete, and have those that failed followed by others."""
    service, mode = board.service, board.service.spec.mode
    for task in board.tasks:
        if not is_of_iteration(task, service) and task.desired != "remove":
            # what has ended is history
            board.change(task, desired="shutdown" if task.is_over else "remove", at_rest=task.is_over)
    _restart_failed(board)
    present = [task for task in board.tasks if is_of_iteration(task, service) and task.desired != "remove"]
    taken = {task.slot for task in present}
    active = sum(task.is_live and not task.is_over for task in present)
    most = wanted if mode.is_global or mode.max_concurrent == 0 else mode.max_concurrent
    for slot in range(1, wanted + 1):
        if active >= most:
            break
        if slot not in taken:
            board.add(slot, "ready" if board.facts.is_held else "running")
            active += 1


def _restart_failed(board: Board) -> None:
    rule = board.service.spec.restart_rules
    for task in board.tasks:
        if not (task.is_over and task.is_live) or task.at_rest:
            continue
        if task.start_after_ns > board.facts.now_ns:
            board.wake_at(task.start_after_ns)
            continue
        # one that has completed is what was wanted
        if task.state == "complete":
            board.change(task, at_rest=True)
        else:
            follows = is_followed(task, rule, board.facts.now_ns)
            board.change(task, desired="shutdown", at_rest=not follows)
            if follows:
                follow(board, task, rule)
