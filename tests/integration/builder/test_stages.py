"""Stages at the same time: that they are, what becomes of the others when one fails, and that nothing is left."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.builder.conftest import Builder

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp"), pytest.mark.slow]

#: two steps meet at a named pipe: each waits there until the other has come
_MEET = "RUN --network=none --mount=type=cache,id=meet,target=/meet mkfifo -m 666 /meet/pipe 2>/dev/null;"


def test_independent_stages_are_built_at_the_same_time(builder: Builder) -> None:
    text = (
        f"FROM busybox AS gives\n{_MEET} echo met > /meet/pipe && echo given > /given\n"
        f"FROM busybox AS takes\n{_MEET} cat /meet/pipe > /taken\n"
        "FROM busybox\nCOPY --from=takes /taken /\nCOPY --from=gives /given /\n"
    )
    done = builder.build({"Dockerfile": text})
    assert builder.run("cat", "/taken", "/given") == "met\ngiven\n"
    assert "[gives 2/2] RUN" in done.stderr
    assert "[takes 2/2] RUN" in done.stderr


def test_output_of_stages_at_once_has_the_number_of_its_step(builder: Builder) -> None:
    text = (
        f"FROM busybox AS gives\n{_MEET} echo from-gives; echo met > /meet/pipe\n"
        f"FROM busybox AS takes\n{_MEET} echo from-takes; cat /meet/pipe\n"
        "FROM scratch\nCOPY --from=takes /etc/passwd /\nCOPY --from=gives /etc/group /\n"
    )
    lines = builder.build({"Dockerfile": text}).stderr.splitlines()
    for name in ("gives", "takes"):
        number = next(line.split()[0] for line in lines if f"[{name} 2/2]" in line)
        assert any(line.startswith(f"{number} ") and line.endswith(f" from-{name}") for line in lines)


def test_one_that_fails_ends_the_others_and_leaves_nothing(builder: Builder) -> None:
    text = (
        f"FROM busybox AS waits\n{_MEET} echo met > /meet/pipe; exec cat /meet/pipe\n"
        f"FROM busybox AS fails\n{_MEET} cat /meet/pipe; exit 3\n"
        "FROM busybox\nCOPY --from=waits / /\nCOPY --from=fails / /\n"
    )
    failed = builder.build({"Dockerfile": text}, status=1)
    assert "exit code: 3" in failed.stderr
    assert "CANCELED" in failed.stderr
    assert not list(builder.sandbox.home.data.glob("sandbox/builder/*"))


def test_what_is_all_cached_asks_for_no_namespace(builder: Builder) -> None:
    text = (
        "FROM busybox AS one\nWORKDIR /a\nWORKDIR b\nCOPY f .\nRUN echo x > x\nFROM busybox\n"
        "COPY --from=one /a /a\nCOPY --link f /linked\nRUN --mount=type=bind,target=/c cp /c/f /g\n"
    )
    context = builder.context({"Dockerfile": text, "f": "one"})
    first = builder.sandbox.run("build", "-q", context).stdout
    # a user namespace cannot be made without newuidmap
    again = builder.sandbox.run("build", "-q", context, env={"PATH": "/nowhere"})
    assert again.stdout == first
    (context / "f").write_text("two")
    builder.sandbox.run("build", "-q", "-t", "made", context)
    assert builder.run("ls", "/a/b") == "f\nx\n"


def test_an_interrupted_build_leaves_nothing(builder: Builder) -> None:
    context = builder.context({"Dockerfile": f"FROM busybox\n{_MEET} echo here; exec cat /meet/pipe\n"})
    process = builder.sandbox.spawn("build", context)
    assert process.stderr is not None
    while not (line := process.stderr.readline()).endswith(b" here\n"):
        assert line, "the build ended early"
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=60)
    except subprocess.TimeoutExpired as late:
        process.kill()
        process.wait()
        pytest.fail(f"the build went on, and said: {late.stderr!r}")
    assert process.returncode in (130, -signal.SIGINT)
    assert not list(builder.sandbox.home.data.glob("sandbox/builder/*"))


#: the command, with a SIGINT that comes while a finalizer runs, at the step's first line
_INTERRUPTED_IN_A_FINALIZER = """
import signal
from sandbox.builder.progress.plain_progress import PlainProgress
from sandbox.cli.main import entry

class Finalized:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

take = PlainProgress.__call__

def take_and_lose(self, event):
    take(self, event)
    if event.data == b"here\\n":
        Finalized()

PlainProgress.__call__ = take_and_lose
entry()
"""


def test_an_interrupt_in_a_finalizer_ends_a_build_too_and_is_told(builder: Builder) -> None:
    context = builder.context({"Dockerfile": f"FROM busybox\n{_MEET} echo here; exec cat /meet/pipe\n"})
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED_IN_A_FINALIZER, "build", str(context)],
        env=builder.sandbox.env, cwd=builder.sandbox.home.root, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 130
    assert done.stderr.splitlines()[-2:] == ["#1 CANCELED", "Error: interrupted: sandbox build"]
    assert not list(builder.sandbox.home.data.glob("sandbox/builder/*"))


def test_an_onbuild_copy_finds_its_stage(builder: Builder) -> None:
    builder.build({"Dockerfile": "FROM busybox\nONBUILD COPY --from=other /made /\n"})
    builder.sandbox.run("tag", "made", "triggers")
    builder.build({"Dockerfile": "FROM busybox AS other\nRUN echo x > /made\nFROM triggers\n"})
    assert builder.run("cat", "/made") == "x\n"
