"""Carries out a plan: stage by stage, in the order of the file, each only where the target needs it.

Runs in a process of its own, root of the outer user namespace. Errors of the Dockerfile go back as values with their
place, for the command to show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.build.arguments import Scope
from sandbox.build.errors import DockerfileError
from sandbox.build.image_state import ImageState
from sandbox.build.instructions import Add, Copy, Run, Workdir
from sandbox.build.named_contexts import context_name
from sandbox.build.parser import parse_dockerfile
from sandbox.build.progress import Vertex, begin_step, vertex_id
from sandbox.build.readers import read_instruction
from sandbox.build.request import BuildResult
from sandbox.build.stage_state import StageState, configure
from sandbox.build.step_layers import BuildLayer, Workshop
from sandbox.build.steps import Steps
from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.build.instructions import Instruction
    from sandbox.build.parser import Node
    from sandbox.build.progress import StepReport
    from sandbox.build.request import BuildPlan
    from sandbox.build.stages import Stage
    from sandbox.paths import Paths


def build_in_namespace(paths: Paths, plan: BuildPlan) -> dict[str, Any]:
    """Build; the result, or the error of the Dockerfile, as plain values."""
    try:
        return {"result": list(_build(paths, plan))}
    except DockerfileError as error:
        return {"error": [error.message, list(error.place), error.expected, error.mend]}


def _build(paths: Paths, plan: BuildPlan) -> BuildResult:
    workshop = Workshop(paths, plan.rewritten_epoch)
    try:
        return _Builder(paths, plan, workshop).run()
    finally:
        workshop.close()


def read_triggers(config: dict[str, Any], node: Node) -> tuple[Instruction, ...]:
    """The instructions a base's ONBUILD left, to be carried out right after FROM. Raises DockerfileError."""
    found = []
    for text in (config.get("config") or {}).get("OnBuild") or ():
        try:
            found += [read_instruction(trigger) for trigger in parse_dockerfile(str(text), "ONBUILD of the base").nodes]
        except DockerfileError as error:
            raise node.error(f"ONBUILD of the base image: {error.message}") from error
    return tuple(found)


class _Builder:
    def __init__(self, paths: Paths, plan: BuildPlan, workshop: Workshop) -> None:
        self._plan = plan
        self._done: dict[int, StageState] = {}
        self._current = 0
        self._steps = Steps(paths, plan, workshop, self._tree)

    def run(self) -> BuildResult:
        try:
            for number in self._plan.stages:
                self._current = number
                self._done[number] = self._build_stage(self._plan.program.stages[number], number)
        finally:
            self._steps.close()
        target = self._done[self._plan.target]
        document = target.image.finished([layer.diff_id for layer in target.layers], self._plan.labels)
        return BuildResult(
            document, [layer.descriptor for layer in target.layers], [layer.chain_id for layer in target.layers]
        )

    def _build_stage(self, stage: Stage, number: int) -> StageState:
        state, triggers = self._start(stage, number)
        name = stage.name or ("" if len(self._plan.stages) == 1 else f"stage-{number}")
        instructions: Sequence[Instruction] = (*triggers, *stage.instructions)
        above: tuple[str, ...] = ()
        for position, instruction in enumerate(instructions, 2):
            if isinstance(instruction, Run | Copy | Add | Workdir):
                vertex = _describe(instruction.node, name, number, (position, len(instructions) + 1), above)
                self._carry_out(state, instruction, begin_step(self._plan.events, vertex))
                above = (vertex.id,)
            elif not configure(state, instruction):
                raise instruction.node.error(f"{instruction.node.instruction} is not built yet")
        return state

    def _carry_out(self, state: StageState, instruction: Run | Copy | Add | Workdir, report: StepReport) -> None:
        try:
            match instruction:
                case Run():
                    self._steps.run(state, instruction, report)
                case Workdir():
                    self._steps.work_in(state, instruction, report)
                case _:
                    self._steps.copy(state, instruction, report)
        except SandboxError as error:
            report.failed(error.message)
            raise

    def _start(self, stage: Stage, number: int) -> tuple[StageState, tuple[Instruction, ...]]:
        node = stage.start.node
        base = self._plan.globals.expand(stage.base, node).text
        above = stage_above(self._plan, base, number)
        if above is not None:
            parent = self._done[above]
            state = StageState(parent.image.inherit(), list(parent.layers), parent.scope.inherit())
            state.arguments = list(parent.arguments)
        elif base == "scratch":
            image = ImageState.scratch(self._plan.platform)
            state = StageState(image, [], Scope(self._plan.globals, image.environment))
        elif context_name(base) in self._plan.contexts:
            image = ImageState.scratch(self._plan.platform)
            state = StageState(image, [], Scope(self._plan.globals, image.environment))
            vertex = _describe(node, stage.name, number, (1, len(stage.instructions) + 1), ())
            self._steps.import_context(state, base, node, begin_step(self._plan.events, vertex))
        else:
            state = self._from_image(base)
        triggers = read_triggers(state.image.document, node)
        state.image.config.pop("OnBuild", None)
        return state, triggers

    def _from_image(self, name: str) -> StageState:
        found = self._plan.images[name]
        image = ImageState.from_base(found.config)
        layers = [BuildLayer(*layer) for layer in found.layers]
        return StageState(image, layers, Scope(self._plan.globals, image.environment))

    def _tree(self, name: str, node: Node) -> StageState:
        """What `from=` names: a stage above by name or number, else an image."""
        number = stage_above(self._plan, name, self._current, by_number=True)
        if number is not None and number in self._done:
            return self._done[number]
        if number is not None:
            raise node.error(f"stage {name!r} is not built before this one")
        if name == "scratch" or name not in self._plan.images:
            raise node.error(f"there is no stage or image {name!r}")
        return self._from_image(name)


def _describe(node: Node, stage: str, number: int, place: tuple[int, int], inputs: tuple[str, ...]) -> Vertex:
    shown = " ".join(filter(None, (stage, f"{place[0]}/{place[1]}")))
    name = f"[{shown}] {node.original}"
    return Vertex(vertex_id(number, place[0], name), name, stage, *place, inputs, node.start_line)


def stage_above(plan: BuildPlan, name: str, number: int, *, by_number: bool = False) -> int | None:
    """The nearest stage of that name above stage `number`; with `by_number`, "0" is the first."""
    stages = plan.program.stages
    if by_number and name.isascii() and name.isdigit():
        return int(name) if len(name) < 6 and int(name) < number else None
    found = [i for i in range(number) if stages[i].name and stages[i].name == name.lower()]
    return found[-1] if found else None
