"""One stage, instruction by instruction.

A `StageBuilder` can stop before a step and go on in a forked process: what it knows stands in it between two steps, and
a step that could not be carried out leaves it as it was.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sandbox.builder.cache.step_cache import BuildLayer
from sandbox.builder.image_state import ImageState
from sandbox.builder.progress.progress import Event, Vertex, begin_step, vertex_id
from sandbox.builder.request import image_key
from sandbox.builder.sources.named_contexts import context_name
from sandbox.builder.stage_state import StageState, configure
from sandbox.dockerfile.arguments import Scope
from sandbox.dockerfile.errors import DockerfileError
from sandbox.dockerfile.instructions import Add, Copy, DebugShell, Run, Workdir
from sandbox.dockerfile.parser import parse_dockerfile
from sandbox.dockerfile.readers import read_instruction
from sandbox.dockerfile.stage_names import find_above
from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.builder.progress.progress import EventSink, StepReport
    from sandbox.builder.request import BuildPlan
    from sandbox.builder.steps.steps import Steps
    from sandbox.dockerfile.instructions import Instruction
    from sandbox.dockerfile.parser import Node
    from sandbox.image.platforms import Platform

    StageFinder = Callable[[int], StageState]


#: what is shown as a step of its own, and counted, as BuildKit does it; ENV, CMD and the like only configure
_STEPS = (Run, Copy, Add, Workdir, DebugShell)


class StageBuilder:
    """Builds stage `number`. `find_stage` gives a finished stage, and may wait for it or raise."""

    def __init__(self, plan: BuildPlan, number: int) -> None:
        self.number = number
        self._plan = plan
        self._stage = plan.program.stages[number]
        self._state: StageState | None = None
        self._instructions: tuple[Instruction, ...] = ()
        self._next = 0
        #: a base that is an image or a context is the first step
        self._base_steps = 0
        self._above: tuple[str, ...] = ()

    def told(self, plan: BuildPlan) -> StageBuilder:
        """The same, telling the events of this plan."""
        self._plan = plan
        return self

    @property
    def base_stage(self) -> int | None:
        """The stage this one starts from, where it has not begun and starts from one."""
        if self._state is not None:
            return None
        return find_above(self._plan.program, self.number, self._base())

    def run(self, steps: Steps, find_stage: StageFinder, *, hold: bool = False) -> StageState:
        """Go on to the stage's end. Raises what a step raises, and can be called again then.

        With `hold` nothing is told of a step that cannot be carried out.

        Of its own it raises DockerfileError for an instruction that is not built yet.
        """
        state = self._state
        if state is None:
            state = self._start(steps, find_stage, hold=hold)
        while self._next < len(self._instructions):
            instruction = self._instructions[self._next]
            if isinstance(instruction, Run | Copy | Add | Workdir | DebugShell):
                for name in _source_names(instruction):
                    # waited for before the step is said to have begun
                    above = find_above(self._plan.program, self.number, name, by_number=True)
                    if above is not None:
                        find_stage(above)
                self._carry_out(state, instruction, steps, hold=hold)
            elif not configure(state, instruction):
                raise instruction.node.error(f"{instruction.node.instruction} is not built yet")
            else:
                self._tell_instruction(instruction.node)
            self._next += 1
        return state

    def _carry_out(
        self, state: StageState, instruction: Run | Copy | Add | Workdir | DebugShell, steps: Steps, *, hold: bool
    ) -> None:
        def act(report: StepReport) -> None:
            match instruction:
                case Run():
                    steps.run(state, instruction, report)
                case Workdir():
                    steps.work_in(state, instruction, report)
                case DebugShell():
                    steps.open_shell(state, instruction)
                case _:
                    steps.copy(state, instruction, report)

        position = self._base_steps + _count_steps(self._instructions[: self._next + 1])
        self._report(self._describe(instruction.node, position), act, hold=hold)

    def _report(self, vertex: Vertex, act: Callable[[StepReport], None], *, hold: bool) -> None:
        held: list[Event] = []
        sink: EventSink = held.append if hold else self._plan.events
        report = begin_step(sink, vertex)
        try:
            act(report)
        except SandboxError as error:
            report.failed(error.message)
            raise
        self._above = (vertex.id,)
        for event in held:
            self._plan.events(event)

    def _tell_instruction(self, node: Node) -> None:
        """Of one that is no step, for who shows a build as the file is written."""
        if self._plan.is_classic:
            stages = (self._plan.program.stages[number] for number in self._plan.stages)
            total = sum(1 + len(stage.instructions) for stage in stages)
            told = Vertex("", node.original, self._shown_stage, total=total, line=node.start_line)
            self._plan.events(Event("instruction", "", time.time_ns(), told))

    def _base(self) -> str:
        return self._plan.globals.expand(self._stage.base, self._stage.start.node).text

    def _start(self, steps: Steps, find_stage: StageFinder, *, hold: bool) -> StageState:
        node = self._stage.start.node
        base = self._base()
        above = find_above(self._plan.program, self.number, base)
        if above is not None:
            parent = find_stage(above)
            state = StageState(parent.image.inherit(), list(parent.layers), parent.scope.inherit())
            state.arguments = list(parent.arguments)
            state.user_node = parent.user_node
            state.records = list(parent.records)
        elif base == "scratch":
            state = self._from_scratch()
        elif context_name(base) in self._plan.contexts:
            self._base_steps = 1
            state = self._from_scratch()
            self._report(
                self._describe(node, 1), lambda report: steps.import_context(state, base, node, report), hold=hold
            )
        else:
            self._base_steps = 1
            state = image_stage(self._plan, base, self._plan.stage_platform(self.number))
        triggers = read_triggers(state.image.document, node)
        state.image.config.pop("OnBuild", None)
        self._instructions = (*triggers, *self._stage.instructions)
        self._tell_instruction(node)
        self._state = state
        return state

    def _from_scratch(self) -> StageState:
        image = ImageState.scratch(self._plan.stage_platform(self.number) or self._plan.platform)
        return StageState(image, [], Scope(self._plan.globals, image.environment))

    @property
    def _shown_stage(self) -> str:
        return self._stage.name or ("" if len(self._plan.stages) == 1 else f"stage-{self.number}")

    def _describe(self, node: Node, position: int) -> Vertex:
        stage = self._shown_stage
        total = self._base_steps + _count_steps(self._instructions or self._stage.instructions)
        shown = " ".join(filter(None, (stage, f"{position:>{len(str(total))}}/{total}")))
        name = f"[{shown}] {node.original}"
        return Vertex(
            vertex_id(self.number, position, name), name, stage, position, total, self._above, node.start_line
        )


def _count_steps(instructions: Sequence[Instruction]) -> int:
    return sum(isinstance(instruction, _STEPS) for instruction in instructions)


def _source_names(instruction: Instruction) -> tuple[str, ...]:
    match instruction:
        case Copy():
            return (instruction.source_name,)
        case Run():
            return tuple(name for name in instruction.mount_sources if name)
        case DebugShell():
            return _source_names(instruction.run) if instruction.run else ()
        case _:
            return ()


def image_stage(plan: BuildPlan, name: str, platform: Platform | None) -> StageState:
    """The image `name` as a stage that has ended."""
    found = plan.images[image_key(name, platform)]
    image = ImageState.from_base(found.config)
    return StageState(image, [BuildLayer(*layer) for layer in found.layers], Scope(plan.globals, image.environment))


def find_tree(plan: BuildPlan, number: int, find_stage: StageFinder, name: str, node: Node) -> StageState:
    """What `from=` names in stage `number`: a stage above by name or number, else an image. Raises DockerfileError."""
    above = find_above(plan.program, number, name, by_number=True)
    if above is not None:
        return find_stage(above)
    if name == "scratch" or image_key(name, plan.wanted_platform) not in plan.images:
        raise node.error(f"there is no stage or image {name!r}")
    return image_stage(plan, name, plan.wanted_platform)


def read_triggers(config: dict[str, Any], node: Node) -> tuple[Instruction, ...]:
    """The instructions a base's ONBUILD left, to be carried out right after FROM. Raises DockerfileError."""
    found = []
    for text in (config.get("config") or {}).get("OnBuild") or ():
        try:
            found += [read_instruction(trigger) for trigger in parse_dockerfile(str(text), "ONBUILD of the base").nodes]
        except DockerfileError as error:
            raise node.error(f"ONBUILD of the base image: {error.message}") from error
    return tuple(found)
