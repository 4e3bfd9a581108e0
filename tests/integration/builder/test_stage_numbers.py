"""The numbers of steps and of stages, as BuildKit has them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.builder.conftest import Builder

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp"), pytest.mark.slow]

_STEP = re.compile(r"#[0-9]+ \[([^\]]*[0-9]+/[0-9]+)\] ([A-Z]+)")


def _steps(text: str) -> list[tuple[str, str]]:
    return list(dict.fromkeys(_STEP.findall(text)))


def test_what_only_configures_is_not_counted(builder: Builder) -> None:
    text = "FROM busybox\nENV A=1\nRUN true\nEXPOSE 80\nLABEL a=b\nCOPY f /\nUSER 0\nWORKDIR /w\nCMD x\n"
    done = builder.build({"Dockerfile": text, "f": ""})
    assert _steps(done.stderr) == [("2/4", "RUN"), ("3/4", "COPY"), ("4/4", "WORKDIR")]


def test_only_a_base_that_is_an_image_is_a_step(builder: Builder) -> None:
    text = (
        "FROM busybox AS one\nENV A=1\nCOPY f /\nFROM one AS two\nCMD x\nCOPY f /g\n"
        "FROM scratch\nADD f /\n" + "COPY --from=two f /f\n" * 9
    )
    done = builder.build({"Dockerfile": text, "f": ""})
    numbers = [number for number, _word in _steps(done.stderr)]
    assert {"one 2/2", "two 1/1", "stage-2  1/10", "stage-2 10/10"} <= set(numbers)
    assert len(numbers) == 12


def test_a_trigger_of_the_base_is_counted(builder: Builder) -> None:
    builder.build({"Dockerfile": "FROM busybox\nONBUILD ENV A=1\nONBUILD RUN true\n"})
    done = builder.build({"Dockerfile": "FROM made\nENV B=1\nRUN echo\n"})
    assert _steps(done.stderr) == [("2/3", "RUN"), ("3/3", "RUN")]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("FROM busybox\nCOPY --from=0 /a /b\n", 2, "circular dependency detected on stage: stage-0"),
        ("FROM busybox AS one\nCOPY --from=ONE /a /b\n", 2, "circular dependency detected on stage: one"),
        (
            "FROM busybox AS one\nFROM one\nRUN --mount=from=1,target=/m true\n",
            3,
            "circular dependency detected on stage: stage-1",
        ),
        ("FROM busybox\nCOPY --from=1 /a /b\n", 2, "invalid stage index 1: no stage is above"),
        (
            "FROM busybox AS one\nCOPY --from=later /a /b\nFROM busybox AS later\nFROM one\n",
            2,
            "stage 'later' begins below",
        ),
        ("FROM later AS one\nFROM busybox AS later\nFROM one\n", 1, "stage 'later' begins below"),
        ("FROM b AS a\nFROM a AS b\n", 1, "circular dependency detected on stage: a"),
        (
            "FROM busybox AS one\nFROM one AS two\nFROM two\nCOPY --from=12345678 /a /b\n",
            4,
            "invalid stage index 12345678: the stages above are 0 to 1",
        ),
    ],
)
def test_a_stage_that_cannot_be_copied_from(builder: Builder, text: str, line: int, said: str) -> None:
    failed = builder.build({"Dockerfile": text}, status=1).stderr
    assert said in failed
    assert f"Dockerfile:{line}" in failed
    assert "pull" not in failed


def test_a_number_of_a_stage_below_is_no_image(builder: Builder) -> None:
    text = "FROM busybox AS one\nCOPY --from=1 /a /b\nFROM busybox AS two\nFROM one\n"
    failed = builder.build({"Dockerfile": text}, status=1).stderr
    assert "invalid stage index 1: that stage begins below; no stage is above" in failed


def test_a_stage_takes_from_an_earlier_one_of_its_name(builder: Builder) -> None:
    text = (
        "FROM busybox AS one\nRUN echo a >/a\nFROM busybox AS one\nCOPY --from=one /a /b\n"
        "RUN --mount=from=0,source=/a,target=/m cp /m /c\nFROM alpine AS alpine\nCOPY --from=1 /c /d\n"
    )
    builder.build({"Dockerfile": text})
    assert builder.run("cat", "/d") == "a\n"
    # nothing else needs the first stage
    builder.build(
        {"Dockerfile": "FROM busybox\nRUN echo b >/a\nFROM busybox\nRUN --mount=from=0,target=/m cp /m/a /e\n"}
    )
    assert builder.run("cat", "/e") == "b\n"


def test_a_name_is_never_the_beginning_of_an_id(builder: Builder) -> None:
    """What is here and begins so is not taken; the whole ID is. The proxy is nobody: nothing is pulled either."""
    found = json.loads(builder.sandbox.run("image", "inspect", "busybox").stdout)[0]["Id"]
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9"}
    digits = found.removeprefix("sha256:")
    # of digits alone it would be the number of a stage
    short = next(digits[:length] for length in range(4, 64) if not digits[:length].isdecimal())
    for name in (digits[: max(12, len(short))], short):
        for text in (f"FROM {name}\n", f"FROM scratch\nCOPY --from={name} /bin /\n"):
            failed = builder.sandbox.run("build", "-", input=text, status=1, env=nowhere).stderr
            assert f"[internal] pull {name}" in failed
    for name in (found, digits):
        builder.build({"Dockerfile": f"FROM {name}\nCOPY --from={name} /bin/busybox /copied\n"})
        missing = name[:-4] + ("0000" if name[-4:] != "0000" else "1111")
        failed = builder.build({"Dockerfile": f"FROM {missing}\n"}, status=1).stderr
        assert "no image of this ID and platform is here" in failed
        assert "pull" not in failed
