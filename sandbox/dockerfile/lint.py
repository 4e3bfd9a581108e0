"""`docker build --check`: what is allowed in a file and not advisable.

Here is what concerns the file as a whole and its FROM lines; `lint_stages` goes through the stages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.dockerfile import lint_rules as rules
from sandbox.dockerfile.arguments import Globals, read_globals
from sandbox.dockerfile.errors import LanguageError, did_you_mean
from sandbox.dockerfile.lint_rules import Finding, Findings, read_file_options
from sandbox.dockerfile.lint_stages import Surroundings, check_stages
from sandbox.dockerfile.readers import describe
from sandbox.errors import SandboxError
from sandbox.image.platforms import parse_platform
from sandbox.image.references import is_identifier, parse_reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.dockerfile.instructions import From
    from sandbox.dockerfile.parser import Node
    from sandbox.dockerfile.stages import Program


class Report(NamedTuple):
    """The findings in the order of the file; with `fails` the file wants them to fail the build."""

    findings: tuple[Finding, ...]
    fails: bool


def check_program(
    program: Program, given: Mapping[str, str], predefined: Mapping[str, str], surroundings: Surroundings | None = None
) -> Report:
    """Check a file against all rules. `given` is `--build-arg`, `predefined` is `arguments.platform_arguments`.

    Raises DockerfileError where a word cannot be expanded, as the build would, and for options that cannot be read.
    """
    options = read_file_options(program.dockerfile, given)
    findings = Findings(options)
    source = program.dockerfile.source
    for number in program.dockerfile.empty_continuations:
        findings.add_at(rules.NO_EMPTY_CONTINUATION, "empty line within a continued one", source.place(number))
    _check_names(program, findings)
    _check_casing(program, findings)
    _check_descriptions(program, findings)
    _check_default_bases(program, predefined, findings)
    globals_ = read_globals(program, given, predefined)
    for stage in program.stages:
        _check_from(stage.start, globals_, findings)
    check_stages(program, globals_, surroundings or Surroundings(), findings)
    found = findings.sorted()
    return Report(found, options.error and bool(found))


def _check_names(program: Program, findings: Findings) -> None:
    seen: set[str] = set()
    for stage in program.stages:
        node, name = stage.start.node, stage.name
        if not name:
            continue
        written, keyword = node.arguments[2], node.arguments[1]
        if written.text != name:
            findings.add(rules.STAGE_NAME_CASING, f"stage name {written.text!r} should be {name!r}", node)
        if not _same_case(node.keyword.text, keyword.text):
            findings.add(rules.FROM_AS_CASING, f"{keyword.text} is not in the case of {node.keyword.text}", node)
        if name in ("scratch", "context"):
            findings.add(rules.RESERVED_STAGE_NAME, f"stage name {name!r} is reserved", node)
        if name in seen:
            findings.add(rules.DUPLICATE_STAGE_NAME, f"there is a stage named {name!r} already", node)
        seen.add(name)


def _same_case(first: str, second: str) -> bool:
    if first == first.lower():
        return second == second.lower()
    # one that is of neither case is for the rule on instructions
    return first != first.upper() or second == second.upper()


def _check_casing(program: Program, findings: Findings) -> None:
    nodes = [node for stage in program.stages for node in _nodes(stage.start.node, stage.instructions)]
    lower = sum(node.keyword.text == node.keyword.text.lower() for node in nodes)
    upper = sum(node.keyword.text == node.keyword.text.upper() for node in nodes)
    wanted, case = (str.lower, "small letters") if lower > upper else (str.upper, "capitals")
    for node in nodes:
        written = node.keyword.text
        if written != wanted(written):
            findings.add(
                rules.CONSISTENT_INSTRUCTION_CASING, f"{written} should be in {case} as most instructions are", node
            )


def _nodes(start: Node, instructions: tuple[object, ...]) -> list[Node]:
    return [start, *(instruction.node for instruction in instructions if hasattr(instruction, "node"))]


def _check_descriptions(program: Program, findings: Findings) -> None:
    from sandbox.dockerfile.instructions import Arg

    for stage in program.stages:
        if stage.name:
            _check_description("FROM", (stage.name,), stage.start.node, findings)
    inner = [each for stage in program.stages for each in stage.instructions if isinstance(each, Arg)]
    for arg in (*program.arguments, *inner):
        _check_description("ARG", tuple(argument.name for argument in arg.arguments), arg.node, findings)


def _check_description(what: str, names: tuple[str, ...], node: Node, findings: Findings) -> None:
    last = node.comments[-1] if node.comments else ""
    if last and last.partition(" ")[0] not in names and not any(describe((last,), name) for name in names):
        shown = names[0] if len(names) == 1 else "NAME"
        message = f"the comment above {what} should be: # {shown} description"
        findings.add(rules.INVALID_DEFINITION_DESCRIPTION, message, node)


def _check_default_bases(program: Program, predefined: Mapping[str, str], findings: Findings) -> None:
    """Whether each FROM names an image when no --build-arg is given."""
    try:
        defaults = read_globals(program, {}, predefined)
        bases = [defaults.expand(stage.base, stage.start.node).text for stage in program.stages]
    except LanguageError:
        # with what is given it may well expand; where it does not the build says so
        return
    for stage, base in zip(program.stages, bases, strict=True):
        if is_identifier(base):
            continue  # the whole id of an image here
        try:
            parse_reference(base)
        except SandboxError:
            message = f"without --build-arg {stage.base} is no name of an image: {base!r}"
            findings.add(rules.INVALID_DEFAULT_ARG_IN_FROM, message, stage.start.node)


def _check_from(start: From, globals_: Globals, findings: Findings) -> None:
    base = globals_.expand(start.base, start.node)
    _check_undeclared(base.unset, globals_, start, findings)
    if not start.platform:
        return
    platform = globals_.expand(start.platform, start.node)
    _check_undeclared(platform.unset, globals_, start, findings)
    target = globals_.environment.get("TARGETPLATFORM", "")
    if platform.matched == {"TARGETPLATFORM"} and not platform.unset and platform.text == target:
        message = f"--platform={start.platform} is the default"
        findings.add(rules.REDUNDANT_TARGET_PLATFORM, message, start.node)
    if not platform.matched and not platform.unset:
        _check_constant(start, platform.text, findings)


def _check_undeclared(unset: frozenset[str], globals_: Globals, start: From, findings: Findings) -> None:
    known = {*globals_.environment, *globals_.arguments}
    for name in sorted(unset - known):
        message = f"no ARG {name} before the first FROM{did_you_mean(name, known)}"
        findings.add(rules.UNDEFINED_ARG_IN_FROM, message, start.node)


def _check_constant(start: From, text: str, findings: Findings) -> None:
    try:
        platform = parse_platform(text)
    except SandboxError:
        # the build will say so
        return
    # a stage that is named after its platform has it on purpose
    if platform.os not in start.name and platform.architecture not in start.name:
        message = f"--platform of FROM should not be the constant {text!r}"
        findings.add(rules.FROM_PLATFORM_FLAG_CONST_DISALLOWED, message, start.node)
