"""The same random steps on two file systems: every outcome, and now and then the whole trees, must be equal.

One side is the overlay that is tested; the other the kernel's overlay, or a plain directory, the stronger oracle: it
has no EXDEV, no copy-up and true hard links. On the way the tested side is mounted anew, its server is killed after
fsync(2), and the kernel's overlay takes over its upper directory for a while and gives it back.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from storage.trees.tree import remove_tree
from tests.filesystem.call_list import CALLS
from tests.filesystem.calls import Caller, parse_step
from tests.filesystem.fuzz_steps import make_random_layers, random_step
from tests.filesystem.snapshot import differences, snapshot
from tests.filesystem.stands import Layers, Stand, kill_server, stand_named, unmount

if TYPE_CHECKING:
    from tests.filesystem.calls import Step

_COMPARE_EVERY = 40
_EVENTS = ("new mount", "kill", "kernel takes over")


class FuzzPlan(NamedTuple):
    """`oracle` and `tested` name stands. `kernel_turns`: the kernel's overlay mounts the tested upper directory too."""

    seed: int
    steps: int
    oracle: str = "plain"
    tested: str = "sandbox-overlay"
    kernel_turns: bool = False


class _Side:
    """One mounted file system, and its descriptors."""

    def __init__(self, stand: Stand, place: str) -> None:
        self.stand = self.own_stand = stand
        self.layers = Layers((f"{place}/top", f"{place}/bottom"), f"{place}/upper", f"{place}/work")
        self.target = f"{place}/merged"
        self.server = 0
        self.caller = Caller(CALLS)
        for directory in (*self.layers, self.target):
            if isinstance(directory, str):
                os.makedirs(directory, exist_ok=True)
        for directory in self.layers.lowers:
            os.makedirs(directory, exist_ok=True)

    def mount(self) -> None:
        self.server = self.stand.mount(self.layers, self.target)

    def unmount(self) -> None:
        self.caller.close()
        unmount(self.target, self.server)

    def run(self, step: Step) -> str:
        os.chdir(self.target)
        try:
            return self.caller.run(step)
        finally:
            os.chdir("/")

    def kill(self) -> None:
        """What is open is written to the disk first; what was closed is the server's to have kept."""
        for fd in self.caller.variables.values():
            # neither a fifo nor a socket can be
            with suppress(OSError):
                os.fsync(fd)
        kill_server(self.server)
        self.unmount()


def run_fuzz(place: str, plan: FuzzPlan) -> str:
    """Called as uid 0 of a namespace: "" where both sides were equal throughout, else what was not, and how it came."""
    os.umask(0o022)
    dice = random.Random(plan.seed)
    recent = time.time_ns() - 3600 * 10**9
    tested = _Side(stand_named(plan.tested), f"{place}/tested")
    oracle = _Side(stand_named(plan.oracle), f"{place}/oracle")
    try:
        _make_layers(place, plan, tested, oracle)
        tested.mount()
        oracle.mount()
        return _run_steps(dice, plan, tested, oracle, recent)
    finally:
        os.chdir("/")
        for side in (tested, oracle):
            side.unmount()
        for name in os.listdir(place):
            remove_tree(f"{place}/{name}")


def _make_layers(place: str, plan: FuzzPlan, tested: _Side, oracle: _Side) -> None:
    is_plain = plan.oracle == "plain"
    for side in (tested, oracle):
        dice = random.Random(-plan.seed)
        if side is tested or not is_plain:
            bottom, top = side.layers.lowers[1], side.layers.lowers[0]
            # what the kernel's overlay does to hard links is no example
            links = is_plain and not plan.kernel_turns and plan.seed % 2 == 0
            make_random_layers(dice, bottom, top, side.layers.upper, hard_links=links)
    if is_plain:
        # the view of the kernel's overlay, which is right before anything changes
        stand, view = stand_named("kernel"), f"{place}/view"
        os.mkdir(view)
        layers = tested.layers._replace(work=f"{place}/view-work")
        os.mkdir(layers.work)
        stand.mount(layers, view)
        try:
            subprocess.run(["cp", "-a", f"{view}/.", oracle.layers.upper], check=True)
        finally:
            unmount(view, 0)


def _run_steps(dice: random.Random, plan: FuzzPlan, tested: _Side, oracle: _Side, recent: int) -> str:
    history: list[str] = []

    def report(problem: str) -> str:
        return "\n".join([f"seed {plan.seed}, step {len(history)}: {problem}", "before it:", *history[-40:]])

    for number in range(plan.steps):
        if number % 211 == 210:
            history.append(f"-- {_event(dice, plan, tested, oracle)}")
        text = random_step(dice)
        step = parse_step(text)
        # the side that may say EXDEV first: what the kernel does not do with directories of lower layers, nobody does
        first, second = (oracle, tested) if oracle.stand.name == "kernel" else (tested, oracle)
        outcomes = {first: first.run(step)}
        if outcomes[first] == "EXDEV" and first.stand.name == "kernel":
            continue
        outcomes[second] = second.run(step)
        outcome, expected = outcomes[tested], outcomes[oracle]
        history.append(f"{text} = {outcome}")
        if outcome != expected:
            return report(f"{outcome} instead of {expected}")
        if number % _COMPARE_EVERY == 0 or number == plan.steps - 1:
            # the kernel's overlay copies up with times of its own; the plain directory is the truth about them
            since = recent if plan.oracle == "plain" else 0
            lines = differences(snapshot(oracle.target, since), snapshot(tested.target, since))
            if lines:
                return report("trees differ\n" + "\n".join(lines[:10]))
    return ""


def _event(dice: random.Random, plan: FuzzPlan, tested: _Side, oracle: _Side) -> str:
    oracle.caller.close()
    is_away = tested.stand is not tested.own_stand
    event = "back" if is_away else dice.choice(_EVENTS[: 3 if plan.kernel_turns else 2])
    if event == "kill" and tested.server:
        tested.kill()
    else:
        tested.unmount()
    if event == "kernel takes over":
        tested.stand = stand_named("kernel")
    elif event == "back":
        tested.stand = tested.own_stand
    tested.mount()
    return event
