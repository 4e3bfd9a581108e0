"""Builds of one feature each, run for real, and what must hold against a hostile context or image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.builder.conftest import Builder

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp"), pytest.mark.slow]


def test_a_build_made_again_is_all_cached_and_the_same_image(builder: Builder) -> None:
    context = builder.context({"Dockerfile": "FROM busybox\nCOPY f /f\nRUN cat /f > /g\nCMD cat /g\n", "f": "one"})
    first = builder.sandbox.run("build", "-q", context).stdout
    (context / "f").touch()
    again = builder.sandbox.run("build", "--iidfile", context / "id", context)
    assert again.stderr.count("CACHED") == 2
    assert (context / "id").read_text() == first.strip()
    (context / "f").write_text("two")
    builder.sandbox.run("build", "-t", "made", context)
    assert builder.run() == "two"


def test_a_failed_run_shows_its_line_its_output_and_its_exit_code(builder: Builder) -> None:
    failed = builder.build({"Dockerfile": "FROM busybox\nRUN echo seen && exit 7\n"}, status=1)
    assert "seen" in failed.stderr
    assert "exit code: 7" in failed.stderr
    assert "2 | RUN echo seen && exit 7" in failed.stderr
    assert not list(builder.sandbox.home.data.glob("sandbox/builder/*"))


def test_what_was_removed_is_a_whiteout(builder: Builder) -> None:
    builder.build({"Dockerfile": "FROM busybox\nRUN rm /etc/group && rm -r /home && mkdir /home && touch /home/new\n"})
    names = builder.layers()[-1].getnames()
    assert {"etc/.wh.group", "home/new", "home/.wh..wh..opq"} <= set(names)
    assert "etc/resolv.conf" not in names


def test_only_the_stages_the_target_needs_are_built(builder: Builder) -> None:
    text = "FROM busybox AS no\nRUN false\nFROM busybox AS yes\nRUN echo y > /y\nFROM no AS last\n"
    done = builder.build({"Dockerfile": text}, "--target", "yes")
    assert "RUN false" not in done.stderr
    assert builder.run("cat", "/y") == "y\n"


def test_mounts_of_a_run_leave_nothing(builder: Builder) -> None:
    text = (
        "FROM busybox AS made\nRUN echo from-stage > /file\nFROM busybox\n"
        "RUN --mount=type=secret,id=key --mount=type=cache,target=/cache --mount=type=tmpfs,target=/scratch "
        "--mount=type=bind,from=made,source=/file,target=/bound --mount=type=bind,source=f,target=/context "
        "cat /run/secrets/key /bound /context | wc -c > /count && touch /cache/x /scratch/x\n"
    )
    context = builder.context({"Dockerfile": text, "f": "12345"})
    builder.sandbox.run("build", "-t", "made", "--secret", "id=key,env=KEY", context, env={"KEY": "s3cr3t-s3cr3t"})
    assert builder.run("cat", "/count") == f"{13 + 11 + 5}\n"
    found = builder.tree()
    assert not {"cache/x", "scratch/x"} & found.keys()
    data = builder.sandbox.home.data
    kept = [path for path in data.rglob("*") if path.is_file() and b"s3cr3t-s3cr3t" in path.read_bytes()]
    assert kept == []


def test_nothing_outside_the_context_is_copied(builder: Builder) -> None:
    (builder.sandbox.home.root / "marker").write_text("outside")
    files: dict[str, str | bytes] = {
        "link": "-> ../marker", "absolute": "-> /etc/hostname", "kept/link": "-> /etc/hostname"
    }  # fmt: skip
    for line in ("COPY ../marker /x", "COPY link /x", "COPY absolute /x", "COPY kept/link /x"):
        failed = builder.build({**files, "Dockerfile": f"FROM busybox\n{line}\n"}, status=1)
        assert "not found" in failed.stderr
    builder.build({**files, "Dockerfile": "FROM busybox\nCOPY kept /kept\n"})
    assert builder.tree()["kept/link"].issym()


def test_a_link_in_a_stage_leads_to_that_stages_own_files(builder: Builder) -> None:
    text = (
        "FROM busybox AS hostile\nRUN echo mine > /etc/hostname-own && ln -s /etc/hostname-own /link && ln -s / /up\n"
        "FROM busybox\nRUN ln -s ../../../../tmp /escape\nCOPY --from=hostile /link /got\n"
        "COPY --from=hostile /up/etc/passwd /escape/passwd\n"
    )
    builder.build({"Dockerfile": text})
    assert builder.run("cat", "/got") == "mine\n"
    assert "tmp/passwd" in builder.tree()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("RUN --security=insecure true", "refused"),
    ],
)
def test_what_is_not_built_is_an_error_at_its_line(builder: Builder, line: str, said: str) -> None:
    failed = builder.build({"Dockerfile": f"FROM busybox\n{line}\n", "f": ""}, status=1)
    assert said in failed.stderr
    assert f"2 | {line}" in failed.stderr


def test_a_dockerfile_on_standard_input_has_no_context(builder: Builder) -> None:
    builder.sandbox.run("build", "-t", "made", "-", input="FROM busybox\nRUN echo here > /f\n")
    assert builder.run("cat", "/f") == "here\n"
    failed = builder.sandbox.run("build", "-", input="FROM busybox\nCOPY f /f\n", status=1)
    assert "no build context" in failed.stderr
