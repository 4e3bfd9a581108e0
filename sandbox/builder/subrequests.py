"""`--check` and `--call=check|outline|targets`: what is asked of a Dockerfile instead of a build; as text, or as the
JSON that BuildKit's frontend answers with.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.builder.sources.contexts import ContextRoom
from sandbox.dockerfile.arguments import platform_arguments, read_globals
from sandbox.dockerfile.directives import TRUE
from sandbox.dockerfile.errors import printable
from sandbox.dockerfile.lint import check_program
from sandbox.dockerfile.lint_stages import Surroundings
from sandbox.dockerfile.outline import find_target, list_targets, outline
from sandbox.dockerfile.stages import read_dockerfile
from sandbox.errors import UsageError
from sandbox.image.platforms import host_platform, parse_platform

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandbox.builder.build_image import BuildOptions
    from sandbox.dockerfile.lint import Report
    from sandbox.dockerfile.lint_rules import Finding
    from sandbox.dockerfile.source_text import Source
    from sandbox.dockerfile.stages import Program
    from sandbox.paths import Paths

_METHODS = {"check": "check", "lint": "check", "outline": "outline", "targets": "targets", "build": "build"}
_FORMATS = ("text", "json")
#: lines shown around what a finding is about
_AROUND = 2


class Call(NamedTuple):
    """What is asked; `method` is "build" for an ordinary build."""

    method: str = "build"
    format: str = "text"


class Answer(NamedTuple):
    """What is printed, and the exit status: 1 where a check found something."""

    text: str
    status: int = 0


def read_call(text: str, *, check: bool) -> Call:
    """`METHOD[,format=FORMAT]`, or `--check`. Raises UsageError."""
    method, *fields = text.split(",") if text else ["check" if check else "build"]
    call = Call(_METHODS.get(method, ""))
    if not call.method:
        raise UsageError(f"--call {text!r}: no such method", mend="--call check|outline|targets[,format=json]")
    for field in fields:
        key, _, value = field.partition("=")
        if key != "format" or value not in _FORMATS:
            raise UsageError(f"--call {text!r}: unexpected {field!r}", mend="format=text or format=json")
        call = call._replace(format=value)
    if check and call.method != "check":
        raise UsageError("--check and --call cannot be used together", mend="--call check")
    return call


def answer_call(
    paths: Paths, env: Mapping[str, str], options: BuildOptions, call: Call,
    table: Callable[[Sequence[Sequence[str]]], str],
) -> Answer:  # fmt: skip
    """Read the Dockerfile as a build would, make nothing, and answer; `table` writes rows. Raises SandboxError."""
    room = ContextRoom(paths, options.cwd, env, options.secrets, env.get("SSH_AUTH_SOCK", ""))
    try:
        keep_git_dir = options.arguments.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR") in TRUE
        main = room.open_main(options.context, options.file, keep_git_dir=keep_git_dir)
        program = read_dockerfile(main.dockerfile.data, main.dockerfile.name)
        ignore = None if main.tree is None else main.tree.rules
        asker = _Asker(program, main.dockerfile.data, options, table)
        match call.method:
            case "check":
                return asker.check(Surroundings(ignore=ignore), as_json=call.format == "json")
            case "outline":
                return asker.outline(as_json=call.format == "json")
            case _:
                return asker.targets(as_json=call.format == "json")
    finally:
        room.close()


class _Asker:
    def __init__(
        self, program: Program, data: bytes, options: BuildOptions, table: Callable[[Sequence[Sequence[str]]], str]
    ) -> None:
        self._program = program
        self._source = program.dockerfile.source
        self._data = data
        self._options = options
        self._table = table
        self._target = find_target(program, options.target)
        platform = parse_platform(options.platform) if options.platform else host_platform()
        self._predefined = platform_arguments(
            host_platform(), platform, program.stages[self._target].name, options.arguments
        )

    def check(self, surroundings: Surroundings, *, as_json: bool) -> Answer:
        report = check_program(self._program, self._options.arguments, self._predefined, surroundings)
        status = 1 if report.findings else 0
        if as_json:
            warnings = [self._warning(finding) for finding in report.findings]
            return Answer(_as_text({"warnings": warnings, "sources": [self._described()]}), status)
        return Answer(_check_text(report, self._source), status)

    def outline(self, *, as_json: bool) -> Answer:
        globals_ = read_globals(self._program, self._options.arguments, self._predefined)
        found = outline(self._program, self._target, globals_)
        if as_json:
            document: dict[str, Any] = {"name": found.name, "description": found.description}
            document["args"] = [
                {"name": each.name, "description": each.description, "value": each.value,
                 "location": _location(each.line, each.line)}
                for each in found.arguments
            ]  # fmt: skip
            for key, sources in (("secrets", found.secrets), ("ssh", found.ssh)):
                document[key] = [
                    {"name": each.name, "required": each.required, "location": _location(each.line, each.line)}
                    for each in sources
                ]
            document["sources"] = [base64.b64encode(self._data).decode()]
            return Answer(_as_text({key: value for key, value in document.items() if value}))
        parts = []
        heads = [row for row in (("TARGET:", found.name), ("DESCRIPTION:", found.description)) if row[1]]
        if heads:
            parts.append(self._table(heads))
        if found.arguments:
            rows = [(each.name, each.value, each.description) for each in found.arguments]
            parts.append(self._table([("BUILD ARG", "VALUE", "DESCRIPTION"), *rows]))
        for title, sources in (("SECRET", found.secrets), ("SSH", found.ssh)):
            if sources:
                rows = [(each.name, "true" if each.required else "", "") for each in sources]
                parts.append(self._table([(title, "REQUIRED", ""), *rows]))
        return Answer("\n".join(parts).rstrip("\n"))

    def targets(self, *, as_json: bool) -> Answer:
        found = list_targets(self._program)
        if not as_json:
            rows = [
                (f"{each.name} (default)".strip() if each.default else each.name, each.description) for each in found
            ]
            return Answer(self._table([("TARGET", "DESCRIPTION"), *rows]).rstrip("\n"))
        targets = []
        for each in found:
            known = {
                "name": each.name, "default": each.default, "description": each.description, "base": each.base,
                "platform": each.platform,
            }  # fmt: skip
            location = _location(each.line, each.line)
            targets.append({**{key: value for key, value in known.items() if value}, "location": location})
        return Answer(_as_text({"targets": targets, "sources": [base64.b64encode(self._data).decode()]}))

    def _warning(self, finding: Finding) -> dict[str, Any]:
        first, last = _lines_of(self._program, finding.place.line)
        return {
            "ruleName": finding.rule.name,
            "description": finding.rule.summary,
            "url": finding.rule.url,
            "detail": finding.message,
            "location": _location(first, last),
        }

    def _described(self) -> dict[str, str]:
        return {
            "filename": self._source.name, "language": "Dockerfile", "data": base64.b64encode(self._data).decode()
        }  # fmt: skip


def _check_text(report: Report, source: Source) -> str:
    count = len(report.findings)
    if not count:
        return "Check complete, no warnings found."
    told = f"{count} warning has" if count == 1 else f"{count} warnings have"
    lines = [f"Check complete, {told} been found!"]
    for finding in report.findings:
        number = finding.place.line
        lines += [
            "", f"WARNING: {finding.rule.name} - {finding.rule.url}", printable(finding.message),
            f"{finding.place.file}:{number}", *excerpt(source, number, number),
        ]  # fmt: skip
    return "\n".join(lines)


def excerpt(source: Source, first: int, last: int) -> list[str]:
    """Lines of the file around those meant, which are marked; framed as BuildKit frames them."""
    rows = []
    for number in range(max(1, first - _AROUND), min(len(source.lines), last + _AROUND) + 1):
        mark = ">>>" if first <= number <= last else "   "
        rows.append(f"{number:4} | {mark} {printable(source.lines[number - 1].rstrip(chr(10) + chr(13)))}")
    return ["-" * 20, *rows, "-" * 20]


def _lines_of(program: Program, line: int) -> tuple[int, int]:
    """The lines of the instruction that the line belongs to."""
    for node in program.dockerfile.nodes:
        if node.start_line <= line <= node.end_line:
            return node.start_line, node.end_line
    return line, line


def _location(first: int, last: int) -> dict[str, Any]:
    ends = {"start": {"line": first, "character": 0}, "end": {"line": last, "character": 0}}
    return {"sourceIndex": 0, "ranges": [ends]}


def _as_text(document: object) -> str:
    return json.dumps(document, indent=2)
