"""A job: so many tasks that are to complete, so many at once; what was changed runs anew. Pure."""

from __future__ import annotations

from sandbox.service.restarting import follow, is_followed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.service.board import Board


def advance_job(board: Board, wanted: int) -> None:
    """Start those that are still to complete, and have those that failed followed by others."""
    mode = board.service.spec.mode
    for task in board.tasks:
        if (task.slot > wanted or not board.is_clean(task)) and task.desired != "remove":
            board.change(task, desired="remove")
    _restart_failed(board)
    active = sum(task.is_live and not task.is_over for task in board.tasks)
    most = wanted if mode.is_global or mode.max_concurrent == 0 else mode.max_concurrent
    for slot in range(1, wanted + 1):
        if active >= most:
            break
        if not any(task.desired != "remove" for task in board.slot(slot)):
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
