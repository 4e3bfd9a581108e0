"""Which stage a name means, and which names are errors."""

from __future__ import annotations

import pytest

from sandbox.dockerfile.arguments import read_globals
from sandbox.dockerfile.errors import DockerfileError
from sandbox.dockerfile.stage_names import find_base, find_source, sources
from sandbox.dockerfile.stages import read_dockerfile


def _resolve(text: str, number: int) -> list[int | None]:
    """What the FROM and each `from` of a stage mean."""
    program = read_dockerfile(text)
    globals_ = read_globals(program, {}, {})
    stage = program.stages[number]
    base = globals_.expand(stage.base, stage.start.node).text
    found = [find_base(program, number, base, globals_)]
    return [*found, *(find_source(program, number, name, node, globals_) for name, node in sources(stage.instructions))]


@pytest.mark.parametrize(
    ("text", "number", "expected"),
    [
        ("FROM x AS x", 0, [None]),
        ("FROM x AS a\nFROM x AS x", 0, [None]),
        ("FROM x AS a\nFROM X AS x\nFROM x", 2, [1]),
        (
            "FROM i AS a\nFROM i AS a\nFROM A\nCOPY --from=a / /\nCOPY --from=0 / /\nCOPY --from=j / /",
            2,
            [1, 1, 0, None],
        ),
        ("ARG B=a\nFROM i AS a\nFROM ${B}\nRUN --mount=from=a,target=/m true", 1, [0, 0]),
        # an image that no stage is named after, whatever its name ends in
        ("FROM docker.io/library/b AS a\nCOPY --from=b:latest / /\nFROM i AS b", 0, [None, None]),
    ],
)
def test_what_a_name_means(text: str, number: int, expected: list[int | None]) -> None:
    assert _resolve(text, number) == expected


_BELOW = "a stage takes from those above it"
_CIRCLE = "circular dependency detected on stage: "


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("FROM later\nFROM i AS later", 1, f"stage 'later' begins below, in line 2: {_BELOW}"),
        ("FROM i\nCOPY --from=Later / /\nFROM i AS later", 2, f"stage 'Later' begins below, in line 3: {_BELOW}"),
        ("FROM i\nADD x /\nRUN --mount=from=later,target=/m true\nFROM i AS later", 3, "begins below, in line 4"),
        # FROM takes that for an image's name, and COPY could mean either
        ("FROM i\nCOPY --from=x / /\nFROM x AS x", 2, "begins below, in line 3"),
        ("FROM b AS a\nFROM a AS b", 1, f"{_CIRCLE}a"),
        ("FROM i AS a\nCOPY --from=b / /\nFROM i AS b\nCOPY --from=a / /", 2, f"{_CIRCLE}a"),
        ("FROM i AS a\nCOPY --from=c / /\nFROM a AS b\nFROM i AS c\nCOPY --from=1 / /", 2, f"{_CIRCLE}a"),
        (
            "FROM c\nFROM i AS b\nRUN --mount=from=d,target=/m true\nFROM b AS c\nFROM i AS d\nCOPY --from=0 / /",
            1,
            _CIRCLE,
        ),
        ("FROM i AS a\nCOPY --from=A / /", 2, f"{_CIRCLE}a"),
        ("ARG N=later\nFROM $N\nFROM i AS later", 2, "begins below, in line 3"),
    ],
)
def test_a_stage_below_is_no_image(text: str, line: int, said: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        _resolve(text, 0)
    assert said in caught.value.message
    assert caught.value.place.line == line
