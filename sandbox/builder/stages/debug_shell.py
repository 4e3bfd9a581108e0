"""`--debug-shell`: a shell in place of the step that failed, with its mounts, environment, user and network.

The build is carried out once more, with the shell instead of that step and nothing after it: all up to there is in
the cache. What the shell changes is lost with it. The stage's process has the command's own streams, and carries what
is typed to a terminal of the container (`RunRoom.shell`); the person's own never gets into it.
"""

from __future__ import annotations

import termios
from typing import TYPE_CHECKING

from sandbox.builder.stages.builder import build
from sandbox.dockerfile.instructions import DebugShell, Run
from sandbox.dockerfile.outline import reachable_stages

if TYPE_CHECKING:
    from sandbox.builder.progress.progress import Event
    from sandbox.builder.request import BuildPlan
    from sandbox.dockerfile.errors import Place
    from sandbox.paths import Paths


def with_shell(plan: BuildPlan, place: Place) -> BuildPlan | None:
    """The plan with a shell instead of the instruction at `place`, where that is one of the file's."""
    if place.file != plan.program.dockerfile.source.name:
        return None
    for number in plan.stages:
        stage = plan.program.stages[number]
        for position, instruction in enumerate(stage.instructions):
            if instruction.node.start_line <= place.line <= instruction.node.end_line:
                shell = DebugShell(instruction.node, instruction if isinstance(instruction, Run) else None)
                stages = list(plan.program.stages)
                stages[number] = stage._replace(instructions=(*stage.instructions[:position], shell))
                program = plan.program._replace(stages=tuple(stages))
                return plan._replace(
                    program=program, target=number, stages=reachable_stages(program, number, plan.globals),
                    no_cache=False, no_cache_stages=frozenset(), events=_tell_nobody,
                )  # fmt: skip
    return None


def open_shell(paths: Paths, plan: BuildPlan) -> None:
    """Run the shell of a plan `with_shell` until it ends; the caller holds the store, and has a terminal on 0 and 1.

    Raises SandboxError where it could not be started.
    """
    settings = termios.tcgetattr(0)
    try:
        build(paths, plan)
    finally:
        # whoever read from the terminal may have been killed
        termios.tcsetattr(0, termios.TCSANOW, settings)


def _tell_nobody(_event: Event) -> None:
    """The build that failed has been shown; this one makes nothing new."""
