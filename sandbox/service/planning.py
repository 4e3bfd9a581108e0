"""What is to become of a service's tasks: decided of rows alone, again after everything that happens. Pure.

A decision is written before anything is done, and what there is to do can be read off the rows (`acts`): so whoever
comes after a killed process goes on as if nothing had been.
"""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple
from sandbox.service.board import Board
from sandbox.service.jobs import advance_job
from sandbox.service.restarting import restart_ended
from sandbox.service.updating import advance_update

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.service.board import Facts
    from sandbox.service.record import Service
    from sandbox.service.task import Task

#: of a slot, those that are history among them
TASKS_KEPT = 5


class Decision(NamedTuple):
    """The service and those of its tasks that are new or changed."""

    service: Service
    changed: tuple[Task, ...]
    #: all of them, as they are to be
    tasks: tuple[Task, ...]
    #: when to decide again though nothing happens; 0 is never
    wake_ns: int

    @property
    def is_over(self) -> bool:
        """Whether the service is to be removed, and nothing is left of it."""
        return self.service.removing and not self.tasks

    @property
    def is_settled(self) -> bool:
        """Whether nothing is to be done, or waited for."""
        return self.wake_ns == 0 and not self.is_over and all(_is_settled(task) for task in self.tasks)


def plan(service: Service, tasks: Iterable[Task], facts: Facts) -> Decision:
    """What is to be of the service, as it is wanted and as its tasks are."""
    board = Board(service, tasks, facts)
    wanted = 0 if service.removing else service.spec.mode.slots
    if service.removing:
        _remove_beyond(board, 0)
    elif service.spec.mode.is_job:
        advance_job(board, wanted)
    else:
        _remove_beyond(board, wanted)
        # first: by a rollback another task follows one that has failed
        advance_update(board, wanted)
        restart_ended(board, wanted)
        _fill(board, wanted)
        _supersede(board)
    _start_ready(board)
    _forget_oldest(board)
    return Decision(board.service, tuple(board.changed()), tuple(board.tasks), board.wake_ns)


def _is_settled(task: Task) -> bool:
    if task.is_over:
        return task.desired != "remove"
    return task.state == "running" and task.desired == "running" and not task.error


def _remove_beyond(board: Board, wanted: int) -> None:
    """The highest slots go first, with their history."""
    for task in board.tasks:
        if task.slot > wanted and task.desired != "remove":
            board.change(task, desired="remove")


def _fill(board: Board, wanted: int) -> None:
    """A task in each slot that has none, and is not at rest."""
    version, rolls_back = board.service.spec_version, board.service.rolls_back
    for slot in range(1, wanted + 1):
        tasks = board.slot(slot)
        if any(task.is_live for task in tasks):
            continue
        if tasks and tasks[-1].at_rest and not (rolls_back and tasks[-1].spec_version != version):
            continue
        waits = board.facts.is_held or any(not task.is_over for task in tasks)
        board.add(slot, "ready" if waits else "running")


def _supersede(board: Board) -> None:
    """Beside one that runs, and is what is wanted, no other is needed in its slot."""
    for slot in board.slots():
        live = [task for task in board.slot(slot) if task.is_live]
        if len(live) < 2:
            continue
        runs = next(
            (task for task in live if task.state == "running" and not task.error and board.is_clean(task)), None
        )
        clean = [task for task in live if board.is_clean(task)]
        # of two that come up one is too many
        spare = [task for task in live if task is not runs] if runs else clean[1:]
        for task in spare:
            board.change(task, desired="shutdown")


def _start_ready(board: Board) -> None:
    """What is made ready starts when its delay is over, and those that it replaces have ended."""
    for task in board.tasks:
        if task.desired != "ready" or board.facts.is_held:
            continue
        if task.start_after_ns > board.facts.now_ns:
            board.wake_at(task.start_after_ns)
        elif all(other.is_over or other.is_live for other in board.slot(task.slot)):
            board.change(task, desired="running")


def _forget_oldest(board: Board) -> None:
    run = board.service.run
    for slot in board.slots():
        tasks = [task for task in board.slot(slot) if task.desired != "remove"]
        beyond = len(tasks) - TASKS_KEPT
        for task in tasks:
            if beyond <= 0:
                break
            # what an update made counts until that is over
            if task.is_over and not task.is_live and not (run is not None and task.update_run == run.number):
                board.change(task, desired="remove")
                beyond -= 1
