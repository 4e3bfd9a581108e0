"""All interleavings of two commands on one container at their transactions, and of the deaths of their processes.

The changes of state are the real ones; what a command does between two of them is written down here as it is in
`restart`, `monitor.process`, `stop`, `remove` and `reconcile`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from sandbox.container.life.reconcile import mended_state
from sandbox.container.model.claims import (
    ACTIVE,
    Claim,
    LostClaimError,
    TakenError,
    as_holder,
    claim_of,
    to_remove,
    to_start,
    with_claim,
)
from sandbox.container.model.record import ContainerState
from sandbox.container.model.transitions import RunEnded, RunStarted, StartFailed
from sandbox.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class World(NamedTuple):
    """The record, None where it is gone; who lives; the monitors whose program runs; where each process stands."""

    state: ContainerState | None
    alive: frozenset[int]
    programs: frozenset[int] = frozenset()
    #: pid -> its next step; a process that is done is not in it
    at: tuple[tuple[int, str], ...] = ()

    def step_of(self, pid: int) -> str:
        return dict(self.at).get(pid, "")

    def goes(self, pid: int, step: str) -> World:
        steps = dict(self.at)
        steps.pop(pid, None)
        if step:
            steps[pid] = step
        return self._replace(at=tuple(sorted(steps.items())))

    def writes(self, change: Callable[[ContainerState], ContainerState]) -> World:
        """Raises TakenError, LostClaimError."""
        return self if self.state is None else self._replace(state=change(self.state))


def _claim(pid: int) -> Claim:
    return Claim(pid, 1, "boot")


def _is_stale(world: World, state: ContainerState) -> bool:
    if not state.monitor_pid:
        return state.status in (*ACTIVE, "removing")
    return state.monitor_pid not in world.alive


def _mended(world: World) -> World:
    """`reconcile`, which every command begins with: what is left of a dead monitor's program is ended first."""
    state = world.state
    if state is None or not _is_stale(world, state):
        return world
    world = world._replace(programs=world.programs - {state.monitor_pid})
    if state.status == "removing":
        return world._replace(state=None)
    return world._replace(state=mended_state(state, same_boot=True, now_ns=1))


def _monitor_of(pid: int) -> int:
    return pid + 10


def _start(world: World, pid: int, step: str) -> World:
    monitor = _monitor_of(pid)
    if step == "start":
        world = _mended(world)
        state = world.state
        if state is None or (state.monitor_pid and state.status in ACTIVE):
            return world.goes(pid, "")
        if state.monitor_pid:
            return world  # waits for who starts or removes it
        return world._replace(alive=world.alive | {monitor}).goes(pid, "claim")
    if step == "claim":
        taken = world.state is None
        try:
            world = world.writes(to_start(_claim(monitor)))
        except TakenError:
            taken = True
        if taken:
            # the monitor is let go, undoes what is its own (nothing), and ends
            return world.goes(monitor, "undo").goes(pid, "abandoned")
        return world.goes(monitor, "run").goes(pid, "started")
    if step == "abandoned":
        return world if world.step_of(monitor) else world.goes(pid, "start")
    return world if world.step_of(monitor) in ("run", "record") else world.goes(pid, "")


def _monitor(world: World, pid: int, step: str) -> World:
    if step == "run":
        return world._replace(programs=world.programs | {pid}).goes(pid, "record")
    holder = _claim(pid)
    if step == "record":
        try:
            world = world.writes(as_holder(holder, RunStarted(pid, 1, 1, 0).apply))
        except LostClaimError:
            return _dies(world, pid)
        return _dies(world, pid) if world.state is None else world.goes(pid, "serve")
    if step == "end":
        world = world._replace(programs=world.programs - {pid})
        change = RunEnded(7, 2).apply
    else:
        change = StartFailed().apply
    with suppress(LostClaimError):
        world = world.writes(as_holder(holder, change))
    return _dies(world, pid)


def _dies(world: World, pid: int) -> World:
    """With a monitor its program, unless that has asked the kernel for something else: then `reconcile` ends it."""
    return world._replace(alive=world.alive - {pid}, programs=world.programs - {pid}).goes(pid, "")


def _stop(world: World, pid: int, step: str) -> World:
    if step == "stop":
        world = _mended(world)
        state = world.state
        if state is None or state.status not in ACTIVE:
            return world.goes(pid, "")
        if world.step_of(state.monitor_pid) != "serve":
            return world  # waits for it to listen, or to end
        return world.goes(state.monitor_pid, "end").goes(pid, f"ended {state.monitor_pid}")
    monitor = int(step.split()[1])
    return world if world.step_of(monitor) else _mended(world).goes(pid, "")


def _remove(world: World, pid: int, step: str, *, force: bool) -> World:
    if step == "look":
        world = _mended(world)
        state = world.state
        if state is None:
            return _dies(world, pid)
        if force and state.monitor_pid and state.status != "removing":
            killed = state.monitor_pid
            # a run is ended by its monitor, a start by killing that
            if world.step_of(killed) == "serve":
                return world.goes(killed, "end")
            return world if world.step_of(killed) == "end" else _dies(world, killed)
        return world.goes(pid, "claim")
    if step == "claim":
        try:
            world = world.writes(to_remove(_claim(pid), Claim()))
        except TakenError:
            assert world.state is not None
            again = force or _is_stale(world, world.state)
            return world.goes(pid, "look") if again else _dies(world, pid)
        return _dies(world, pid) if world.state is None else world.goes(pid, "delete")
    return _dies(world._replace(state=None), pid)


_FIRST = {"start": "start", "stop": "stop", "rm": "look", "rm -f": "look"}


def _steps(world: World, kinds: dict[int, str]) -> Iterator[World]:
    """The worlds that one step of one process, or one death, leads to."""
    for pid, step in world.at:
        kind = kinds.get(pid, "monitor")
        if kind == "monitor":
            if step != "serve":
                yield _monitor(world, pid, step)
        elif kind == "start":
            yield _start(world, pid, step)
        elif kind == "stop":
            yield _stop(world, pid, step)
        else:
            yield _remove(world, pid, step, force=kind == "rm -f")


def _deaths(world: World, kinds: dict[int, str]) -> Iterator[World]:
    for pid, step in world.at:
        yield _dies(world, pid)
        if kinds.get(pid, "monitor") == "monitor" and step in ("serve", "end"):
            # its program lives on: it has taken its death signal away
            died = _dies(world, pid)
            yield died._replace(programs=world.programs)


def _check(world: World) -> None:
    """Never two writers, and what runs is what the record names (or, of a dead monitor, what `reconcile` ends)."""
    assert len(world.programs) <= 1, world
    for monitor in world.programs:
        assert world.state is not None, world
        assert world.state.monitor_pid == monitor, world


def _explore(first: World, kinds: dict[int, str], deaths: int) -> tuple[int, set[World]]:
    """How many worlds there are, and those in which nothing more happens."""
    seen: set[tuple[World, int]] = set()
    ends: set[World] = set()
    todo = [(first, deaths)]
    while todo:
        world, left = todo.pop()
        if (world, left) in seen:
            continue
        seen.add((world, left))
        _check(world)
        after = {step for step in _steps(world, kinds) if step != world}
        if not after:
            ends.add(world)
        todo += [(step, left) for step in after]
        if left:
            todo += [(step, left - 1) for step in _deaths(world, kinds)]
    return len(seen), ends


def _world(*, running: bool) -> World:
    if not running:
        return World(ContainerState(), frozenset())
    state = RunStarted(50, 1, 1, 0).apply(with_claim(ContainerState(), _claim(50)))
    return World(state, frozenset({50}), frozenset({50})).goes(50, "serve")


@pytest.mark.parametrize("deaths", [0, 1, 2])
@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("second", list(_FIRST))
@pytest.mark.parametrize("first", list(_FIRST))
def test_two_commands_never_make_two_writers_nor_a_program_that_no_record_names(
    first: str, second: str, running: bool, deaths: int
) -> None:
    kinds = {1: first, 2: second}
    world = _world(running=running)
    world = world._replace(alive=world.alive | {1, 2}).goes(1, _FIRST[first]).goes(2, _FIRST[second])
    count, ends = _explore(world, kinds, deaths)
    assert count > 3
    for end in ends:
        # whoever waits does so for somebody
        assert not [pid for pid, _step in end.at if pid in kinds], end
        told = _mended(end).state
        assert (told is not None and told.status == "running") == bool(_mended(end).programs), end


def test_of_two_starts_one_gets_the_container_and_both_find_it_up() -> None:
    world = _world(running=False)
    world = world._replace(alive=frozenset({1, 2})).goes(1, "start").goes(2, "start")
    _count, ends = _explore(world, {1: "start", 2: "start"}, 0)
    assert {end.state.status for end in ends if end.state is not None} == {"running"}
    assert {len(end.programs) for end in ends} == {1}
    holders = {claim_of(end.state).pid for end in ends if end.state is not None}
    assert holders == {11, 12}
