"""Stages, arguments and what a target takes."""

from __future__ import annotations

import pytest

from sandbox.dockerfile.arguments import Globals, Scope, platform_arguments, read_globals
from sandbox.dockerfile.errors import DockerfileError
from sandbox.dockerfile.instructions import Arg, Env
from sandbox.dockerfile.outline import find_target, list_targets, outline, reachable_stages
from sandbox.dockerfile.stages import Program, read_dockerfile
from sandbox.errors import NotFoundError
from sandbox.image.platforms import parse_platform

TEXT = """\
ARG inherited=box
ARG unused=abc${inherited}
# sfx is a suffix
ARG sfx="usy${inherited}"

FROM b${sfx} AS first
# this says nothing of an argument
ARG FOO=123
# BAR is a number
ARG BAR=${FOO}4
ENV HOST=h
RUN --mount=type=secret,id=pw,required --mount=type=ssh true

FROM alpine AS unused
ARG NOT=here

# second copies
FROM scratch AS second
ARG TARGETARCH
ARG sfx
COPY --from=first /etc/passwd /
RUN --mount=type=secret,target=/run/second$HOST,required=true --mount=from=first,target=/x true
"""


def _globals(program: Program, **given: str) -> Globals:
    platform = parse_platform("linux/amd64")
    return read_globals(program, given, platform_arguments(platform, platform, "", given))


def test_outline() -> None:
    program = read_dockerfile(TEXT)
    found = outline(program, find_target(program, ""), _globals(program))
    assert (found.name, found.description) == ("second", "copies")
    assert [(a.name, a.value, a.description, a.line) for a in found.arguments] == [
        ("inherited", "box", "", 1),
        ("sfx", "usybox", "is a suffix", 4),
        ("FOO", "123", "", 8),
        ("BAR", "1234", "is a number", 10),
        ("TARGETARCH", "amd64", "", 19),
    ]
    assert [(s.name, s.required, s.line) for s in found.secrets] == [("pw", True, 12), ("second", True, 22)]
    assert [(s.name, s.required) for s in found.ssh] == [("default", False)]


def test_given_values_are_shown() -> None:
    program = read_dockerfile(TEXT)
    found = outline(program, find_target(program, "FIRST"), _globals(program, inherited="x", FOO="9"))
    assert {a.name: a.value for a in found.arguments} == {"inherited": "x", "sfx": "usyx", "FOO": "9", "BAR": "94"}


def test_targets() -> None:
    program = read_dockerfile(TEXT)
    assert [(t.name, t.description, t.base, t.line, t.default) for t in list_targets(program)] == [
        ("first", "", "b${sfx}", 6, False),
        ("unused", "", "alpine", 14, False),
        ("second", "copies", "scratch", 18, True),
    ]


def test_find_target() -> None:
    program = read_dockerfile(TEXT)
    assert [find_target(program, name) for name in ("", "Second", "0")] == [2, 2, 0]
    with pytest.raises(NotFoundError, match="did you mean first"):
        find_target(program, "frst")
    with pytest.raises(NotFoundError):
        find_target(program, "3")
    with pytest.raises(NotFoundError):
        find_target(read_dockerfile("ARG a"), "")


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [
        ("FROM a\nFROM b\nCOPY --from=0 / /\n", 1, (0, 1)),
        ("FROM a AS x\nFROM X\nFROM c\nRUN --mount=from=1 a\n", 2, (2,)),
        ("FROM a AS x\nFROM x AS x\nFROM x\n", 2, (0, 1, 2)),
        ("FROM x AS x\nFROM b\n", 0, (0,)),
        ("ARG B=x\nFROM a AS x\nFROM $B\n", 1, (0, 1)),
    ],
)
def test_reachable_stages(text: str, target: int, expected: tuple[int, ...]) -> None:
    program = read_dockerfile(text)
    assert reachable_stages(program, target, _globals(program)) == expected


def test_a_scope_follows_the_instructions() -> None:
    program = read_dockerfile("ARG A=1\nARG B=$A$TARGETOS\nFROM x\nARG B\nARG C=$B D\nENV B=2 E=$B\nARG F=$A\n")
    scope = Scope(_globals(program, D="given"), {})
    for instruction in program.stages[0].instructions:
        if isinstance(instruction, Arg):
            scope.declare(instruction)
        elif isinstance(instruction, Env):
            scope.assign(instruction.pairs, instruction.node)
    assert scope.environment == {"B": "2", "C": "1linux", "D": "given", "E": "1linux", "F": ""}
    assert scope.declared == {"B", "C", "D", "F"}
    heir = scope.inherit()
    heir.environment["B"] = "other"
    assert scope.environment["B"] == "2"


def test_a_default_that_cannot_be_expanded() -> None:
    with pytest.raises(DockerfileError) as raised:
        _globals(read_dockerfile('ARG a=1\nARG b="${c:?say c}"\nFROM x'))
    assert (str(raised.value.place), raised.value.message) == ("Dockerfile:2:8", "c: say c")
