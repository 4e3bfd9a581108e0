"""`--build-context NAME=VALUE`: what a name in a Dockerfile stands for instead of a stage or an image.

    NAME=PATH, a URL or a Git repository    files
    NAME=docker-image://REFERENCE           an image
    NAME=oci-layout://PATH[:TAG|@DIGEST]    an image of a layout on disk
    NAME=target:STAGE                       another stage of the same file

A name is compared as an image's is: `alpine` is also `docker.io/library/alpine:latest`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.dockerfile.instructions import Copy, Run
from sandbox.dockerfile.stages import Stage
from sandbox.errors import ImageError, NotFoundError, UsageError
from sandbox.image.references import parse_reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.dockerfile.stages import Program

_TARGET = "target:"


class LayoutName(NamedTuple):
    """Which image of a layout on disk; `wanted` is a tag, a digest or ""."""

    path: str
    wanted: str


def context_name(text: str) -> str:
    """The form in which names are compared."""
    try:
        return parse_reference(text).familiar.removesuffix(":latest")
    except ImageError:
        return text


def read_contexts(texts: tuple[str, ...]) -> dict[str, str]:
    """Values by their names' compared form. Raises UsageError."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals or not value:
            raise UsageError(f"invalid context value {text!r}", mend="--build-context NAME=PATH|URL|docker-image://REF")
        try:
            found[parse_reference(name).familiar.removesuffix(":latest")] = value
        except ImageError as error:
            raise UsageError(f"invalid context name {name!r}", cause=error.cause) from error
    return found


def read_layout(value: str) -> LayoutName:
    """The parts of "oci-layout://PATH[:TAG|@DIGEST]"."""
    rest = value.removeprefix("oci-layout://")
    path, at, digest = rest.partition("@")
    if at:
        return LayoutName(path, digest)
    above, slash, last = rest.rpartition("/")
    last, _, tag = last.partition(":")
    return LayoutName(above + slash + last, tag)


def replace_stages(program: Program, contexts: Mapping[str, str]) -> Program:
    """The file with each stage that has a context's name being that context and nothing more. Raises NotFoundError."""
    stages = list(program.stages)
    for number, stage in enumerate(stages):
        value = contexts.get(context_name(stage.name)) if stage.name else None
        if value is not None:
            base = _target(program, value) if value.startswith(_TARGET) else stage.name
            stages[number] = Stage(stage.start._replace(base=base), ())
    program = program._replace(stages=tuple(stages))
    for name, value in contexts.items():
        if value.startswith(_TARGET) and all(context_name(stage.name) != name for stage in stages if stage.name):
            program = _insert(program, name, _target(program, value))
    return program


def _target(program: Program, value: str) -> str:
    wanted = value.removeprefix(_TARGET).lower()
    if not any(stage.name == wanted for stage in program.stages):
        raise NotFoundError(f"--build-context {value}: there is no stage {wanted!r}")
    return wanted


def _insert(program: Program, name: str, target: str) -> Program:
    """A stage of that name right behind the one it stands for, where anybody can come after it."""
    at = next(number for number, stage in enumerate(program.stages) if stage.name == target) + 1
    if at == len(program.stages):
        return program
    if any(source.isdigit() for stage in program.stages for source in _source_names(stage)):
        raise UsageError(
            f"--build-context {name}=target:{target} is not for a file that numbers its stages",
            mend="give the stages names, FROM … AS NAME",
        )
    start = program.stages[at - 1].start
    added = Stage(start._replace(base=target, name=name, platform=""), ())
    return program._replace(stages=(*program.stages[:at], added, *program.stages[at:]))


def _source_names(stage: Stage) -> list[str]:
    found = []
    for instruction in stage.instructions:
        if isinstance(instruction, Copy):
            found.append(instruction.source_name)
        elif isinstance(instruction, Run):
            found += instruction.mount_sources
    return found
