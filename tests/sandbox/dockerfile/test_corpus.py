"""1,145 Dockerfiles of public projects: nodes, stages, mounts and errors as BuildKit has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox.dockerfile.errors import DockerfileError, WordError
from sandbox.dockerfile.instructions import Instruction, Run
from sandbox.dockerfile.json_form import NotTextError, read_json_form
from sandbox.dockerfile.mounts import read_mount
from sandbox.dockerfile.parser import parse_dockerfile
from sandbox.dockerfile.printing import document
from sandbox.dockerfile.stages import read_dockerfile
from tests.sandbox.dockerfile import shapes
from tests.sandbox.dockerfile.canonical import print_dockerfile
from tests.sandbox.dockerfile.shapes import meaning
from tests.sandbox.dockerfile.vectors import cases, dockerfiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.dockerfile.parser import Node
    from sandbox.dockerfile.stages import Stage

FILES = dockerfiles()
Case = dict[str, Any]

by_file = pytest.mark.parametrize("file", FILES)


def _wrong(file: str, key: str, check: Callable[[Case], object]) -> dict[str, object]:
    """Of the cases of `file` that have `key`, those for which `check` returns something, with what that is."""
    found = {case["id"]: check(case) for case in FILES[file] if key in case}
    return {name: wrong for name, wrong in found.items() if wrong}


def _difference(found: object, expected: object) -> object:
    return None if found == expected else {"found": found, "expected": expected}


@by_file
def test_nodes(file: str) -> None:
    def check(case: Case) -> object:
        found = parse_dockerfile(case["dockerfile"])
        empty = {_start(found.nodes, number) for number in found.empty_continuations}
        return (
            _difference([shapes.node(node) for node in found.nodes], case["nodes"])
            or _difference(found.escape, case["escape"])
            or _difference(len(empty), len(case.get("warnings", ())))
        )

    assert not _wrong(file, "nodes", check)


def _start(nodes: tuple[Node, ...], line: int) -> int:
    return max(node.start_line for node in nodes if node.start_line <= line)


@by_file
def test_stages(file: str) -> None:
    def check(case: Case) -> object:
        found = read_dockerfile(case["dockerfile"])
        arguments = [{"key": a.name, "value": a.value} for each in found.arguments for a in each.arguments]
        return _difference([_stage(stage) for stage in found.stages], [_expected(s) for s in case["stages"]]) or (
            _difference(arguments, case.get("meta_args", []))
        )

    assert not _wrong(file, "stages", check)


def _stage(stage: Stage) -> object:
    commands = [(each.node.instruction, shapes.command(each)) for each in stage.instructions]
    return stage.name, stage.base, stage.start.platform, commands


def _expected(stage: Case) -> object:
    for command in stage["commands"]:
        # they come out of a Go map, in any order
        command["body"].get("FlagsUsed", []).sort()
    commands = [(command["name"].upper(), command["body"]) for command in stage["commands"]]
    return stage["name"], stage["base"], stage["platform"], commands


@by_file
def test_mounts(file: str) -> None:
    """The vectors' mounts were read with variables left as they are."""

    def check(case: Case) -> object:
        runs = [run for stage in read_dockerfile(case["dockerfile"]).stages for run in stage.instructions]
        commands = [command for stage in case["stages"] for command in stage["commands"]]
        found = [_mounts(run) for run in runs]
        return _difference(found, ["error" if "mount_error" in c else c.get("mounts", []) for c in commands])

    assert not _wrong(file, "stages", check)


def _mounts(run: Instruction) -> object:
    try:
        return [shapes.mount(read_mount(text, str)) for text in run.mounts] if isinstance(run, Run) else []
    except WordError:
        return "error"


@by_file
def test_refused(file: str) -> None:
    """What BuildKit refuses, where it refuses it. "panic": the program that made the vectors crashed on a `# check=`
    comment above an instruction; BuildKit itself takes these files, and so do we."""

    def check(case: Case) -> object:
        expected = case.get("instruction_error", "").partition(" on line ")[2].partition(":")[0]
        panic = case.get("instruction_error") == "panic"
        try:
            read_dockerfile(case["dockerfile"])
        except DockerfileError as error:
            return f"refused: {error}" if panic else expected and _difference(error.place.line, int(expected))
        return None if panic else "not refused"

    assert not _wrong(file, "instruction_error", check)
    assert not _wrong(file, "parse_error", check)


@by_file
def test_printed_it_parses_to_the_same(file: str) -> None:
    def check(case: Case) -> object:
        found = parse_dockerfile(case["dockerfile"])
        text = print_dockerfile(found)
        again = parse_dockerfile(text)
        return _difference(print_dockerfile(again), text) or _difference(
            [meaning(document(node)) for node in again.nodes], [meaning(document(node)) for node in found.nodes]
        )

    assert not _wrong(file, "nodes", check)


FORMS = "dockerfile-parser/json-forms.json"


@pytest.mark.parametrize("case", cases(FORMS, "valid"), ids=lambda case: str(case["text"]))
def test_json_form(case: dict[str, Any]) -> None:
    assert read_json_form(case["text"]) == tuple(case["list"])


@pytest.mark.parametrize("text", cases(FORMS, "not_a_string_list"))
def test_json_that_is_not_text(text: str) -> None:
    with pytest.raises(NotTextError):
        read_json_form(text)
