"""Which stage a name means: in FROM, in `COPY --from`, in a mount's `from`; else it is an image's.

A stage takes from those above it, the nearest where several have the name. The name of one that begins further down is
an error, and never an image's name: that would be fetched from a registry, where anybody may have taken it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.dockerfile.instructions import Copy, Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandbox.dockerfile.arguments import Globals
    from sandbox.dockerfile.instructions import Instruction
    from sandbox.dockerfile.parser import Node
    from sandbox.dockerfile.stages import Program


def sources(instructions: Sequence[Instruction]) -> Iterator[tuple[str, Node]]:
    """Each `from` of COPY and of mounts, with its instruction."""
    for instruction in instructions:
        if isinstance(instruction, Copy) and instruction.source_name:
            yield instruction.source_name, instruction.node
        elif isinstance(instruction, Run):
            yield from ((name, instruction.node) for name in instruction.mount_sources if name)


def find_above(program: Program, number: int, name: str, *, by_number: bool = False) -> int | None:
    """The nearest stage of that name above stage `number`; with `by_number`, "0" is the first."""
    if by_number and _is_number(name):
        return int(name) if len(name) < 6 and int(name) < number else None
    wanted = name.lower()
    return next((i for i in reversed(range(number)) if program.stages[i].name == wanted != ""), None)


def find_source(program: Program, number: int, name: str, node: Node, globals_: Globals) -> int | None:
    """The stage above that `from=name` in stage `number` means; None where it is an image.

    Raises DockerfileError for the stage itself, for one that begins below, and for a number that no stage above has: no
    image is called that.
    """
    above = find_above(program, number, name, by_number=True)
    if above is not None:
        return above
    if name.lower() == program.stages[number].name or name == str(number):
        raise _circle(program, number, node)
    if _is_number(name):
        below = len(name) < 6 and int(name) < len(program.stages)
        stages = f"the stages above are {_numbers(number)}" if number else "no stage is above"
        raise node.error(f"invalid stage index {name}: {'that stage begins below; ' if below else ''}{stages}")
    _refuse_below(program, number, name, node, globals_)
    return None


def find_base(program: Program, number: int, name: str, globals_: Globals) -> int | None:
    """The stage above that stage `number` starts from by the `name` of its FROM; None where that is an image.

    Raises DockerfileError for a stage that begins below, unless that starts from this name too, `FROM x AS x`: then the
    name was an image's before it was a stage's.
    """
    above = find_above(program, number, name)
    if above is None:
        below = _find_below(program, number, name)
        if below is not None and _base(program, below, globals_).lower() != name.lower():
            _refuse_below(program, number, name, program.stages[number].start.node, globals_)
    return above


def _refuse_below(program: Program, number: int, name: str, node: Node, globals_: Globals) -> None:
    below = _find_below(program, number, name)
    if below is None:
        return
    if number in _made_of(program, below, globals_):
        raise _circle(program, number, node)
    raise node.error(
        f"stage {name!r} begins below, in line {program.stages[below].start.node.start_line}:"
        " a stage takes from those above it",
        mend=f"put it above; where an image of that name is meant: docker.io/library/{name.lower()}",
    )


def _made_of(program: Program, number: int, globals_: Globals) -> set[int]:
    """The stages that a stage is made of, above and below, itself among them."""
    found: set[int] = set()
    waiting = [number]
    while waiting:
        at = waiting.pop()
        if at not in found:
            found.add(at)
            stage = program.stages[at]
            names = [_base(program, at, globals_), *(name for name, _node in sources(stage.instructions))]
            above = [find_above(program, at, name, by_number=position > 0) for position, name in enumerate(names)]
            either = [_find_below(program, at, name) if i is None else i for i, name in zip(above, names, strict=True)]
            waiting += [i for i in either if i is not None]
    return found


def _find_below(program: Program, number: int, name: str) -> int | None:
    wanted = name.lower()
    below = range(number + 1, len(program.stages))
    return next((i for i in below if program.stages[i].name == wanted != ""), None)


def _base(program: Program, number: int, globals_: Globals) -> str:
    stage = program.stages[number]
    return globals_.expand(stage.base, stage.start.node).text


def _circle(program: Program, number: int, node: Node) -> Exception:
    return node.error(
        f"circular dependency detected on stage: {program.stages[number].name or f'stage-{number}'}",
        mend="name a stage above, or leave --from out for the build context",
    )


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _numbers(count: int) -> str:
    return "0" if count == 1 else f"0 to {count - 1}"
