"""Instructions to stages: what comes before the first FROM, and what each FROM begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.dockerfile.instructions import Arg, From
from sandbox.dockerfile.parser import parse_dockerfile
from sandbox.dockerfile.readers import describe, read_instruction

if TYPE_CHECKING:
    from sandbox.dockerfile.instructions import Instruction
    from sandbox.dockerfile.parser import Dockerfile


class Stage(NamedTuple):
    """A FROM and what follows it. `description` is from the comment above it, which begins with the stage's name."""

    start: From
    instructions: tuple[Instruction, ...]

    @property
    def name(self) -> str:
        return self.start.name

    @property
    def base(self) -> str:
        return self.start.base

    @property
    def description(self) -> str:
        return describe(self.start.node.comments, self.start.name)


class Program(NamedTuple):
    """A whole file: the ARGs before the first FROM, and the stages in their order."""

    dockerfile: Dockerfile
    arguments: tuple[Arg, ...]
    stages: tuple[Stage, ...]

    def find_stage(self, name: str) -> int | None:
        """The number of the stage of this name, case aside, or of this number; the last of several."""
        wanted = name.lower()
        if wanted.isascii() and wanted.isdigit():
            return int(wanted) if len(wanted) < 10 and int(wanted) < len(self.stages) else None
        found = [i for i, stage in enumerate(self.stages) if stage.name and stage.name == wanted]
        return found[-1] if found else None


def read_dockerfile(data: bytes | str, name: str = "Dockerfile") -> Program:
    """A file understood. Raises LanguageError."""
    return read_program(parse_dockerfile(data, name))


def read_program(dockerfile: Dockerfile) -> Program:
    """The stages of a parsed file; there may be none. Raises DockerfileError."""
    arguments: list[Arg] = []
    starts: list[From] = []
    bodies: list[list[Instruction]] = []
    for node in dockerfile.nodes:
        instruction = read_instruction(node)
        if isinstance(instruction, From):
            starts.append(instruction)
            bodies.append([])
        elif bodies:
            bodies[-1].append(instruction)
        elif isinstance(instruction, Arg):
            arguments.append(instruction)
        else:
            raise node.error(
                f"{node.instruction} before the first FROM: no build stage has begun", expected="FROM, or ARG before it"
            )
    stages = tuple(Stage(start, tuple(body)) for start, body in zip(starts, bodies, strict=True))
    return Program(dockerfile, tuple(arguments), stages)
