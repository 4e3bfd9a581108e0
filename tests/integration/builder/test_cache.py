"""The build cache: what is made again, and what is not; builds of one step at once; what removal leaves of it."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.builder.conftest import Builder

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp"), pytest.mark.slow]


def _cached(builder: Builder, context: Path, *options: str) -> list[bool]:
    """For each step whether it was cached, by stage and position."""
    lines = builder.sandbox.run("build", "-t", "made", *options, context).stderr.splitlines()
    ends = {line.split()[0]: line.endswith(" CACHED") for line in lines if line.endswith("CACHED") or " DONE " in line}
    # a step's title comes again where its output goes on after another's
    begun = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines if re.match(r"#[0-9]+ \[[^]]*/", line)}
    return [ends[number] for number in sorted(begun, key=lambda number: begun[number])]


def test_content_counts_and_neither_times_nor_the_place(builder: Builder) -> None:
    context = builder.context({"Dockerfile": "FROM busybox\nCOPY d /d\nRUN true\n", "d/a": "one", "d/b": "two"})
    assert _cached(builder, context) == [False, False]
    os.utime(context / "d" / "a", (1, 1))
    moved = context.with_name("moved")
    shutil.copytree(context, moved)
    assert _cached(builder, moved) == [True, True]
    (moved / "d" / "a").chmod(0o600)
    assert _cached(builder, moved) == [False, False]
    # the same size, times set back: the change time tells
    before = (context / "d" / "b").stat()
    (context / "d" / "b").write_text("owt")
    os.utime(context / "d" / "b", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert _cached(builder, context) == [False, False]


def test_a_remembered_digest_is_not_believed_after_a_change(builder: Builder) -> None:
    context = builder.context({"Dockerfile": "FROM busybox\nCOPY f /f\n", "f": "aaaa"})
    # older than any doubt about the clock: only then is the digest remembered
    past = (1, 1)
    os.utime(context / "f", past)
    for text in ("bbbb", "cccc", "dddd"):
        _cached(builder, context)
        (context / "f").write_text(text)
        os.utime(context / "f", past)
        _cached(builder, context)
        assert builder.run("cat", "/f") == text


def test_the_environment_a_step_sees_is_part_of_its_key(builder: Builder) -> None:
    context = builder.context({"Dockerfile": "FROM busybox\nARG V\nRUN echo $V > /v\nARG unused\nWORKDIR /w\n"})
    assert _cached(builder, context, "--build-arg", "V=1") == [False, False]
    assert _cached(builder, context, "--build-arg", "V=1", "--build-arg", "unused=x") == [True, True]
    assert _cached(builder, context, "--build-arg", "V=2") == [False, False]
    assert _cached(builder, context, "--build-arg", "V=1", "--build-arg", "HTTP_PROXY=http://x") == [True, True]


def test_a_stage_made_anew_with_the_same_files_costs_no_copy(builder: Builder) -> None:
    text = (
        "FROM busybox AS made\nARG V\nRUN echo $V > /noise && echo same > /file\n"
        "FROM busybox\nCOPY --from=made /file /\n"
    )
    context = builder.context({"Dockerfile": text})
    assert _cached(builder, context, "--build-arg", "V=1") == [False, False]
    assert _cached(builder, context, "--build-arg", "V=2") == [False, True]


def test_no_cache_of_all_and_of_one_stage(builder: Builder) -> None:
    text = "FROM busybox AS one\nRUN echo a > /a\nFROM busybox AS two\nRUN echo b > /b\nCOPY --from=one /a /a\n"
    context = builder.context({"Dockerfile": text})
    _cached(builder, context)
    assert _cached(builder, context) == [True] * 3
    assert _cached(builder, context, "--no-cache-filter", "one").count(True) == 2
    assert _cached(builder, context, "--no-cache") == [False] * 3
    assert _cached(builder, context) == [True] * 3


def test_builds_of_the_same_step_at_once_make_it_once(builder: Builder) -> None:
    text = "FROM busybox\nRUN --mount=type=cache,target=/c echo x >> /c/made && echo y > /y\n"
    contexts = [builder.context({"Dockerfile": text}) for _ in range(4)]
    builds = [builder.sandbox.spawn("build", "-q", context) for context in contexts]
    ids = {build.communicate()[0] for build in builds}
    assert len(ids) == 1
    builder.build({"Dockerfile": "FROM busybox\nRUN --mount=type=cache,target=/c cp /c/made /made\n"})
    assert builder.run("cat", "/made") == "x\n"


def test_steps_that_lock_two_caches_in_either_order_both_end(builder: Builder) -> None:
    mounts = ["--mount=type=cache,id=a,target=/a,sharing=locked", "--mount=type=cache,id=b,target=/b,sharing=locked"]
    steps = "".join(
        f"FROM busybox AS s{i}\nRUN {' '.join(mounts[:: 1 if i % 2 else -1])} echo {i} > /out\n" for i in range(6)
    )
    copies = "".join(f"COPY --from=s{i} /out /{i}\n" for i in range(6))
    builder.build({"Dockerfile": f"{steps}FROM busybox\n{copies}"})
    assert builder.run("sh", "-c", "cat /[0-5]").split() == list("012345")


def test_private_caches_of_steps_at_once_are_apart(builder: Builder) -> None:
    meet = "--mount=type=cache,id=meet,target=/meet"
    private = "--mount=type=cache,id=own,target=/own,sharing=private"
    pipe = "mkfifo /meet/pipe 2>/dev/null;"
    text = (
        f"FROM busybox AS a\nRUN {meet} {private} {pipe} echo a >> /own/x; echo met > /meet/pipe; cp /own/x /out\n"
        f"FROM busybox AS b\nRUN {meet} {private} {pipe} echo b >> /own/x; cat /meet/pipe; cp /own/x /out\n"
        "FROM busybox\nCOPY --from=a /out /a\nCOPY --from=b /out /b\n"
    )
    builder.build({"Dockerfile": text})
    assert builder.run("cat", "/a", "/b").split() == ["a", "b"]


def test_removing_images_leaves_the_cache(builder: Builder) -> None:
    context = builder.context({"Dockerfile": "FROM busybox\nRUN echo x > /x\n"})
    _cached(builder, context)
    builder.sandbox.run("rmi", "made")
    assert _cached(builder, context) == [True]
    assert builder.run("cat", "/x") == "x\n"


def test_a_loaded_image_is_never_a_cache(builder: Builder) -> None:
    """CVE-2024-24557: its history says it was made by these very steps, which is its own word."""
    context = builder.context({"Dockerfile": "FROM busybox\nRUN echo x > /x\n"})
    _cached(builder, context)
    saved = builder.sandbox.home.root / "saved.tar"
    builder.sandbox.run("save", "-o", saved, "made")
    builder.sandbox.run("rmi", "made")
    builder.sandbox.run("builder", "prune", "-a", "-f")
    builder.sandbox.run("load", "-i", saved)
    assert _cached(builder, context) == [False]


def test_prune_removes_what_no_image_needs_and_says_how_much(builder: Builder) -> None:
    sandbox = builder.sandbox
    sandbox.run("builder", "prune", "-a", "-f")
    text = (
        "FROM busybox\nRUN --mount=type=cache,id=c,target=/c head -c 100000 /dev/zero > /c/z\n"
        "RUN head -c 50000 /dev/zero > /z\n"
    )
    context = builder.context({"Dockerfile": text})
    _cached(builder, context)
    listed = sandbox.run("builder", "du").stdout
    assert "head -c 50000" in listed
    assert "c" in listed
    sandbox.run("builder", "prune", "-f", "--filter", "until=1h")
    assert _cached(builder, context) == [True, True]
    pruned = sandbox.run("builder", "prune", "-f").stdout
    assert "Total:" in pruned
    assert "100kB" in pruned
    # what the image is made of stays
    assert _cached(builder, context) == [True, True]
    sandbox.run("rmi", "made")
    assert "Total:\t0B" not in sandbox.run("builder", "prune", "-f").stdout
    assert _cached(builder, context) == [False, False]
    assert sandbox.run("system", "check").status == 0


def test_prune_keeps_what_was_used_last(builder: Builder) -> None:
    sandbox = builder.sandbox
    sandbox.run("builder", "prune", "-a", "-f")
    contexts = [
        builder.context({"Dockerfile": f"FROM busybox\nRUN head -c 100000 /dev/zero > /{i}\n"}) for i in range(3)
    ]
    for context in (*contexts, contexts[0]):
        sandbox.run("build", "-o", "type=cacheonly", context)
    sandbox.run("builder", "prune", "-f", "--keep-storage", "250kB")
    assert [_cached(builder, context) for context in contexts[::2]] == [[True], [False]]


def test_prune_asks_first(builder: Builder) -> None:
    context = builder.context({"Dockerfile": "FROM busybox\nRUN true\n"})
    _cached(builder, context)
    builder.sandbox.run("rmi", "made")
    asked = builder.sandbox.run("builder", "prune", input="n\n")
    assert "Are you sure you want to continue? [y/N]" in asked.stdout
    assert _cached(builder, context) == [True]


def test_prune_waits_for_nobody_and_takes_nothing_from_a_running_build(builder: Builder) -> None:
    mount = "--mount=type=cache,id=meet,target=/meet"
    text = f"FROM busybox\nRUN echo first > /first\nRUN {mount} mkfifo -m 666 /meet/pipe; echo here; cat /meet/pipe\n"
    context = builder.context({"Dockerfile": text})
    build = builder.sandbox.spawn("build", "-t", "made", context)
    assert build.stderr is not None
    while not (line := build.stderr.readline()).endswith(b" here\n"):
        assert line, "the build ended early"
    refused = builder.sandbox.run("builder", "prune", "-a", "-f", status=1)
    assert "is being built" in refused.stderr
    other = builder.context({"Dockerfile": f"FROM busybox\nRUN {mount} echo go > /meet/pipe\n"})
    builder.sandbox.run("build", other)
    build.communicate()
    assert build.returncode == 0
    assert builder.run("cat", "/first") == "first\n"
