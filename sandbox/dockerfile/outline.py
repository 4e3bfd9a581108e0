"""`--call=targets` and `--call=outline`: what a file can build, and what that takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.dockerfile.arguments import Globals, Scope, read_mounts
from sandbox.dockerfile.errors import did_you_mean
from sandbox.dockerfile.instructions import Arg, Env, Run
from sandbox.dockerfile.stage_names import find_above, sources
from sandbox.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.dockerfile.mounts import Mount
    from sandbox.dockerfile.stages import Program, Stage


class Target(NamedTuple):
    """A stage as `--call=targets` lists it; `default` is the last."""

    name: str
    description: str
    base: str
    platform: str
    line: int
    default: bool


class OutlineArgument(NamedTuple):
    name: str
    value: str
    description: str
    line: int


class OutlineSource(NamedTuple):
    """A secret or an SSH agent that a RUN takes."""

    name: str
    required: bool
    line: int


class Outline(NamedTuple):
    """What one target takes, each in the order of the file."""

    name: str
    description: str
    arguments: tuple[OutlineArgument, ...]
    secrets: tuple[OutlineSource, ...]
    ssh: tuple[OutlineSource, ...]


def list_targets(program: Program) -> tuple[Target, ...]:
    """All stages in their order."""
    last = len(program.stages) - 1
    return tuple(
        Target(stage.name, stage.description, stage.base, stage.start.platform, stage.start.node.start_line, i == last)
        for i, stage in enumerate(program.stages)
    )


def find_target(program: Program, name: str) -> int:
    """The stage to build: the last one where `name` is empty. Raises NotFoundError."""
    if not program.stages:
        raise NotFoundError(f"{program.dockerfile.source.name} has no stage to build", mend="FROM IMAGE")
    if not name:
        return len(program.stages) - 1
    found = program.find_stage(name)
    if found is None:
        names = [stage.name for stage in program.stages if stage.name]
        raise NotFoundError(f"no stage {name!r} in {program.dockerfile.source.name}{did_you_mean(name, names)}")
    return found


def reachable_stages(program: Program, target: int, globals_: Globals) -> tuple[int, ...]:
    """The stages a target is made of, itself among them, in the order of the file. Raises DockerfileError."""
    found: set[int] = set()
    waiting = [target]
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += _sources(program, number, globals_)
    return tuple(sorted(found))


def _sources(program: Program, number: int, globals_: Globals) -> Iterator[int]:
    stage = program.stages[number]
    base = globals_.expand(stage.base, stage.start.node).text
    # of the sources only COPY's may be a number
    names = [(base, False), *((name, at.instruction == "COPY") for name, at in sources(stage.instructions))]
    for name, by_number in names:
        found = find_above(program, number, name, by_number=by_number)
        if found is not None:
            yield found


def outline(program: Program, target: int, globals_: Globals) -> Outline:
    """What the target takes. Raises DockerfileError."""
    arguments: dict[str, OutlineArgument] = {}
    secrets: dict[str, OutlineSource] = {}
    ssh: dict[str, OutlineSource] = {}
    wanted: set[str] = set()
    for number in reachable_stages(program, target, globals_):
        stage = program.stages[number]
        wanted |= globals_.expand(stage.base, stage.start.node).matched
        wanted |= globals_.expand(stage.start.platform, stage.start.node).matched
        _walk(stage, globals_, arguments, wanted, secrets, ssh)
    for name in _with_origins(wanted, globals_):
        found = globals_.arguments[name]
        arguments.setdefault(
            name, OutlineArgument(name, found.value or "", found.argument.description, found.node.start_line)
        )
    chosen = program.stages[target]
    return Outline(
        chosen.name,
        chosen.description,
        tuple(sorted(arguments.values(), key=lambda argument: argument.line)),
        tuple(sorted(secrets.values(), key=lambda source: source.line)),
        tuple(sorted(ssh.values(), key=lambda source: source.line)),
    )


def _walk(
    stage: Stage,
    globals_: Globals,
    arguments: dict[str, OutlineArgument],
    wanted: set[str],
    secrets: dict[str, OutlineSource],
    ssh: dict[str, OutlineSource],
) -> None:
    scope = Scope(globals_, {})
    for instruction in stage.instructions:
        if isinstance(instruction, Arg):
            scope.declare(instruction)
            for argument in instruction.arguments:
                name = argument.name
                if argument.value is None and name not in globals_.given and name in globals_.arguments:
                    wanted.add(name)
                    continue
                line = instruction.node.start_line
                value = scope.environment.get(name, "")
                arguments.setdefault(name, OutlineArgument(name, value, argument.description, line))
        elif isinstance(instruction, Env):
            scope.assign(instruction.pairs, instruction.node)
        elif isinstance(instruction, Run):
            for mount in read_mounts(instruction, scope):
                name, line = _source_name(mount), instruction.node.start_line
                if mount.type == "secret":
                    secrets.setdefault(name, OutlineSource(name, mount.required, line))
                elif mount.type == "ssh":
                    ssh.setdefault(name, OutlineSource(name, mount.required, line))


def _source_name(mount: Mount) -> str:
    if mount.type == "ssh":
        return mount.id or mount.source or "default"
    return mount.id or mount.source or mount.target.rsplit("/", 1)[-1]


def _with_origins(names: set[str], globals_: Globals) -> set[str]:
    """The names that are global ARGs, and those their defaults are made of."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in globals_.arguments and name not in found:
            found.add(name)
            waiting += globals_.arguments[name].made_of
    return found
