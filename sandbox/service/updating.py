"""An update, slot by slot, and what its failures make of it; as Swarm's updater does. Pure, of rows alone.

Swarm has workers, so many at once, each of which takes a slot, replaces what is in it, waits until that runs or has
ended, then for the delay. Here a slot that is between the one and the other is busy, and as many are as there would be
workers; so it goes on from the rows whenever its process is killed.

A failure is a task that the update made, and which left off before it ran, or soon after. Those by which the restart
rule follows it do not count.
"""

from __future__ import annotations

from sandbox.service.record import UpdateRun, UpdateStatus
from sandbox.service.spec import SECOND_NS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.service.board import Board
    from sandbox.service.record import UpdateState
    from sandbox.service.spec import UpdateConfig
    from sandbox.service.task import Task

NO_PREVIOUS = "cannot roll back service because no previous spec is available"


def advance_update(board: Board, wanted: int) -> None:
    """Begin an update where slots have what is wanted no more, take it further, end it."""
    status = board.service.status
    if status is not None and status.is_paused:
        return
    if board.service.run is None and not _begin(board, wanted):
        return
    if _react_to_failures(board):
        # by now it is paused, or a rollback, which begins
        advance_update(board, wanted)
        return
    _replace_slots(board, wanted)


def _begin(board: Board, wanted: int) -> bool:
    service, now_ns = board.service, board.facts.now_ns
    dirty = sum(_is_dirty(board, slot) for slot in range(1, wanted + 1))
    going_on = service.status is not None and service.status.is_going_on
    if dirty == 0:
        if going_on:
            _complete(board)
        return False
    if service.status is not None and not going_on:
        # over, with what it left: no other begins before something else is wanted
        return False
    if not going_on:
        board.change_service(status=UpdateStatus("updating", "update in progress", now_ns))
    board.change_service(run=UpdateRun(service.version, dirty))
    return True


def _rules(board: Board) -> UpdateConfig:
    return board.service.spec.rollback_rules if board.service.rolls_back else board.service.spec.update_rules


def _monitor_ns(rules: UpdateConfig) -> int:
    return rules.monitor_ns if rules.delay_ns < rules.monitor_ns else rules.delay_ns + SECOND_NS


def _is_dirty(board: Board, slot: int) -> bool:
    tasks = board.slot(slot)
    live = [task for task in tasks if task.is_live]
    if not live:
        # it rests, as what was wanted before
        return bool(tasks) and tasks[-1].at_rest and not board.is_clean(tasks[-1])
    return any(not board.is_clean(task) for task in live)


def _react_to_failures(board: Board) -> bool:
    """Pause the update, or roll back, where too much of it failed; whether that was so."""
    run, rules = board.service.run, _rules(board)
    assert run is not None
    failed = [task for task in board.tasks if _is_failure(task, run, _monitor_ns(rules))]
    if not failed or rules.failure_action == "continue" or len(failed) / run.slots <= rules.max_failure_ratio:
        return False
    last = max(failed, key=lambda task: task.ended_ns)
    due_to = f"due to failure or early termination of task {last.id}"
    if rules.failure_action != "rollback":
        _pause(board, f"update paused {due_to}")
    elif board.service.rolls_back:
        _pause(board, f"rollback paused {due_to}")
    elif board.service.previous_spec is None:
        _pause(board, f"update paused {due_to}: {NO_PREVIOUS}")
    else:
        _roll_back(board, f"update rolled back {due_to}")
    return True


def _is_failure(task: Task, run: UpdateRun, monitor_ns: int) -> bool:
    if task.update_run != run.number or not task.ended_ns or task.state in ("shutdown", "remove"):
        return False
    return task.running_ns == 0 or task.ended_ns - task.running_ns <= monitor_ns


def _pause(board: Board, message: str) -> None:
    status = board.service.status
    assert status is not None
    state: UpdateState = "rollback_paused" if board.service.rolls_back else "paused"
    board.change_service(status=status._replace(state=state, message=message), run=None)


def _roll_back(board: Board, message: str) -> None:
    service = board.service
    assert service.status is not None
    version = service.version + 1
    board.change_service(
        spec=service.previous_spec, previous_spec=None, version=version, spec_version=version, run=None,
        updated_ns=board.facts.now_ns, status=service.status._replace(state="rollback_started", message=message),
    )  # fmt: skip


def _complete(board: Board) -> None:
    status = board.service.status
    assert status is not None
    state: UpdateState = "rollback_completed" if board.service.rolls_back else "completed"
    message = "rollback completed" if board.service.rolls_back else "update completed"
    board.change_service(
        status=status._replace(state=state, message=message, completed_ns=board.facts.now_ns), run=None
    )


def _replace_slots(board: Board, wanted: int) -> None:
    run, rules, now_ns = board.service.run, _rules(board), board.facts.now_ns
    assert run is not None
    slots = range(1, wanted + 1)
    busy = [slot for slot in slots if _is_busy(board, slot, run, rules)]
    free = [slot for slot in slots if slot not in busy and _is_to_do(board, slot, run)]
    taken = free if rules.parallelism == 0 else free[: max(0, rules.parallelism - len(busy))]
    for slot in taken:
        _replace(board, slot, run, rules)
    if busy or free:
        return
    if run.done_ns == 0:
        run = run._replace(done_ns=now_ns)
        board.change_service(run=run)
    if now_ns >= run.done_ns + _monitor_ns(rules):
        _complete(board)
    else:
        board.wake_at(run.done_ns + _monitor_ns(rules))


def _is_busy(board: Board, slot: int, run: UpdateRun, rules: UpdateConfig) -> bool:
    """Whether a worker would be at the slot: what was made comes up, or the delay after that is not over."""
    for task in board.slot(slot):
        if task.update_run == 0 or not board.is_clean(task):
            continue
        settled_ns = task.running_ns or task.ended_ns
        if settled_ns == 0:
            # made by this update, or by an earlier one that wanted the same
            if task.is_live:
                return True
        elif task.update_run == run.number and settled_ns + rules.delay_ns > board.facts.now_ns:
            board.wake_at(settled_ns + rules.delay_ns)
            return True
    return False


def _is_to_do(board: Board, slot: int, run: UpdateRun) -> bool:
    """Whether the slot is still to be taken: one that was is its restart rule's, whatever became of it."""
    return _is_dirty(board, slot) and not any(task.update_run == run.number for task in board.slot(slot))


def _replace(board: Board, slot: int, run: UpdateRun, rules: UpdateConfig) -> None:
    tasks = board.slot(slot)
    live = [task for task in tasks if task.is_live]
    if rules.order == "start-first" and live:
        board.add(slot, "running", update_run=run.number)
        return
    for task in tasks:
        if task.at_rest:
            board.change(task, at_rest=False)
    for task in live:
        if not board.is_clean(task):
            board.change(task, desired="shutdown")
    # one that is wanted may be there already, and wait for its time
    if not any(board.is_clean(task) for task in live):
        board.add(slot, "ready", update_run=run.number)
