"""A task that has ended is followed by another in its slot, or the slot is at rest; as Swarm decides it. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.service.board import Board
    from sandbox.service.spec import RestartRule
    from sandbox.service.task import Task


def is_followed(task: Task, rule: RestartRule, now_ns: int) -> bool:
    """Whether by the rule the ended task is followed: restarts count for each slot and version of the service."""
    if rule.condition == "none" or (rule.condition == "on-failure" and task.state == "complete"):
        return False
    if rule.max_attempts == 0:
        return True
    if not rule.window_ns:
        return task.restart_count < rule.max_attempts
    recent = [time_ns for time_ns in task.restarts if time_ns > now_ns - rule.window_ns]
    return len(recent) < rule.max_attempts


def restart_ended(board: Board, wanted: int) -> None:
    """What was to run, and has ended, makes room: for a task that is made ready now, and starts after the delay."""
    rule = board.service.spec.restart_rules
    now_ns = board.facts.now_ns
    for task in board.tasks:
        if not (task.is_over and task.is_live) or task.slot > wanted:
            continue
        if task.start_after_ns > now_ns:
            # it has failed before its time (no such image, say): the next one is not due before that either
            board.wake_at(task.start_after_ns)
            continue
        # another version's runs, or comes up, in its place already
        is_replaced = any(
            other.is_live and other.id != task.id and not other.is_over and board.is_clean(other)
            for other in board.slot(task.slot)
        )
        follows = is_followed(task, rule, now_ns)
        board.change(task, desired="shutdown", at_rest=not follows and not is_replaced)
        if follows and not is_replaced:
            follow(board, task, rule)


def follow(board: Board, task: Task, rule: RestartRule) -> None:
    """A task after the one that has ended, made ready now."""
    now_ns = board.facts.now_ns
    same = task.spec_version == board.service.spec_version
    restarts = (*task.restarts, now_ns)[-rule.max_attempts :] if same and rule.max_attempts else (now_ns,)
    board.add(
        task.slot,
        "ready",
        start_after_ns=now_ns + rule.delay_ns,
        restarts=restarts if rule.max_attempts else (),
        restart_count=task.restart_count + 1 if same else 1,
    )
