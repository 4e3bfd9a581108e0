"""The state before a step that failed, as an image without a name: `--debug-shell` opens a shell in it.

It is built like any other: the file is cut before the failed instruction, and all up to there is in the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.build.builder import build
from sandbox.build.exporting import Exported, ExportRequest, export_result
from sandbox.build.outline import reachable_stages
from sandbox.build.outputs import Output

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.build.errors import Place
    from sandbox.build.progress import Event
    from sandbox.build.request import BuildPlan
    from sandbox.paths import Paths


def keep_state(paths: Paths, env: Mapping[str, str], plan: BuildPlan, place: Place) -> Exported | None:
    """The image that the failed instruction at `place` was to change, stored here; None where no instruction of the
    file is there. The caller holds the store. Raises SandboxError.
    """
    cut = _cut(plan, place)
    if cut is None:
        return None
    result = build(paths, cut)
    return export_result(paths, env, result, ExportRequest((Output("image"),)), _tell_nobody)


def _cut(plan: BuildPlan, place: Place) -> BuildPlan | None:
    if place.file != plan.program.dockerfile.source.name:
        return None
    for number in plan.stages:
        stage = plan.program.stages[number]
        for position, instruction in enumerate(stage.instructions):
            if instruction.node.start_line <= place.line <= instruction.node.end_line:
                stages = list(plan.program.stages)
                stages[number] = stage._replace(instructions=stage.instructions[:position])
                program = plan.program._replace(stages=tuple(stages))
                return plan._replace(
                    program=program, target=number, stages=reachable_stages(program, number, plan.globals),
                    no_cache=False, no_cache_stages=frozenset(), events=_tell_nobody,
                )  # fmt: skip
    return None


def _tell_nobody(_event: Event) -> None:
    """The build that failed has been shown; this one makes nothing new."""
