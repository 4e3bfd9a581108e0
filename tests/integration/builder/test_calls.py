"""`--check`, `--call`, and the warnings of an ordinary build."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from tests.needs import CONTAINER

if TYPE_CHECKING:
    from tests.command import Sandbox
    from tests.integration.builder.conftest import Builder

_BAD = "FROM scratch AS Big\nENV a b\n"
_FILE = (
    "# VERSION which one\nARG VERSION=1\n# one the first stage\nFROM scratch AS one\nFROM scratch AS two\nARG VERSION\n"
    "RUN --mount=type=secret,id=key,required=true true\n"
)


def test_check_finds_nothing(sandbox: Sandbox) -> None:
    done = sandbox.run("build", "--check", "-", input="FROM scratch\n")
    assert done.stdout == "Check complete, no warnings found.\n"


def test_check_finds_something(sandbox: Sandbox) -> None:
    done = sandbox.run("build", "--check", "-", input=_BAD, status=1)
    lines = done.lines
    assert lines[0] == "Check complete, 2 warnings have been found!"
    assert lines[2] == "WARNING: StageNameCasing - https://docs.docker.com/go/dockerfile/rule/stage-name-casing/"
    assert "   1 | >>> FROM scratch AS Big" in lines
    assert "   2 | >>> ENV a b" in lines
    assert sandbox.run("images", "-q").lines == []
    # what the file leaves out is not looked at
    sandbox.run("build", "--check", "-", input=f"# check=skip=all\n{_BAD}")
    assert "Did you mean --check?" in sandbox.run("build", "--chek", "-", status=125).stderr


def test_check_as_json(sandbox: Sandbox) -> None:
    done = sandbox.run("build", "--call", "check,format=json", "-", input=_BAD, status=1)
    document = json.loads(done.stdout)
    first = document["warnings"][0]
    assert first["ruleName"] == "StageNameCasing"
    assert first["location"]["ranges"][0]["start"]["line"] == 1
    assert base64.b64decode(document["sources"][0]["data"]).decode() == _BAD


def test_targets_and_outline(sandbox: Sandbox) -> None:
    targets = sandbox.run("build", "--call=targets", "-", input=_FILE).lines
    assert [line.split() for line in targets] == [
        ["TARGET", "DESCRIPTION"], ["one", "the", "first", "stage"], ["two", "(default)"]
    ]  # fmt: skip
    found = json.loads(sandbox.run("build", "--call=targets,format=json", "-", input=_FILE).stdout)["targets"]
    assert [(each["name"], each.get("default", False)) for each in found] == [("one", False), ("two", True)]
    text = sandbox.run("build", "--call=outline", "--build-arg", "VERSION=2", "-", input=_FILE).stdout
    assert "VERSION" in text
    assert "key" in text
    document = json.loads(sandbox.run("build", "--call=outline,format=json", "-", input=_FILE).stdout)
    assert document["args"][0]["value"] == "1"
    assert document["secrets"][0] | {"location": 0} == {"name": "key", "required": True, "location": 0}
    assert "no such method" in sandbox.run("build", "--call=nonesuch", "-", input=_FILE, status=125).stderr


@pytest.mark.parametrize("words", [("build",), ("image", "build"), ("builder", "build"), ("buildx", "build")])
def test_its_names(sandbox: Sandbox, words: tuple[str, ...]) -> None:
    assert "no warnings found" in sandbox.run(*words, "--check", "-", input="FROM scratch\n").stdout


@pytest.mark.requires(*CONTAINER, "busybox", "umoci")
def test_a_failed_instruction_is_shown_whole(builder: Builder) -> None:
    failed = builder.build({"Dockerfile": "FROM busybox\nRUN true && \\\n  exit 3\nCMD x\n"}, status=1)
    lines = failed.stderr.splitlines()
    at = lines.index("  2 | RUN true && \\")
    assert lines[at + 2] == "  3 |   exit 3"
    assert not any(line.startswith("  4 |") for line in lines)


@pytest.mark.requires(*CONTAINER, "busybox", "umoci")
def test_a_build_warns_and_fails_where_the_file_wants_it(builder: Builder) -> None:
    done = builder.build({"Dockerfile": "FROM busybox\nENV a b\n"})
    assert "WARNING: Dockerfile:2:1: LegacyKeyValueFormat: " in done.stderr
    failed = builder.build({"Dockerfile": "# check=error=true\nFROM busybox\nENV a b\nRUN false\n"}, status=1)
    assert "lint violation found for rules: LegacyKeyValueFormat" in failed.stderr
    assert "RUN false" not in failed.stderr
