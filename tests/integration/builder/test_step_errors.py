"""Steps that cannot be carried out: each error has its line, its cause in words, and what helps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.builder.conftest import Builder

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp"), pytest.mark.slow]

_CLASS = re.compile(r"\b[A-Z]\w+(Error|Exception)\b|\bopenat2\b|\[Errno")


@pytest.mark.parametrize(
    ("text", "line", "said", "mend"),
    [
        ("FROM busybox\nUSER no-one\nENV A=1\nRUN true\n", 2, "USER no-one: unable to find user", "USER UID:GID"),
        ("FROM busybox\nUSER root:no-group\nRUN true\n", 2, "USER root:no-group: unable to find group", "USER UID:GID"),
        ("FROM busybox AS a\nUSER no-one\nFROM a\nWORKDIR /made\n", 2, "USER no-one: unable to find", "USER UID:GID"),
        ("FROM with-user\nRUN true\n", 2, "USER no-one, which the stage began with: unable", "USER UID:GID"),
        ("FROM busybox\nUSER 4294967295\nRUN true\n", 2, "USER 4294967295: id 4294967295 is out", "USER UID:GID"),
        ("FROM busybox\nCOPY --chown=-1 f /f\n", 2, "--chown=-1: id -1 is out of range", "--chown=UID:GID"),
        ("FROM scratch\nCOPY --chown=no-one f /f\n", 2, "--chown=no-one: unable to find user", "--chown=UID:GID"),
        ("FROM busybox\nCOPY f /etc/passwd/f\n", 2, "cannot make the directory /etc/passwd: a file", ""),
        ("FROM busybox\nADD f /etc/passwd/\n", 2, "cannot make the directory /etc/passwd: a file", ""),
        ("FROM busybox\nWORKDIR /etc/passwd/x\n", 2, "cannot make the directory /etc/passwd/x", ""),
        ("FROM busybox\nCOPY --from=busybox /etc/passwd/x /f\n", 2, "/etc/passwd/x", ""),
        ("FROM busybox\nCOPY <<f /etc/passwd/\nx\nf\n", 2, "cannot make the directory /etc/passwd: a file", ""),
        ("FROM busybox\nRUN --mount=target=/etc/passwd/x true\n", 2, "/etc/passwd/x", ""),
        (f"FROM busybox\nRUN : {'x' * 140_000}\n", 2, "this command is 140002 bytes long", "COPY it as a script"),
        (f"FROM busybox\nRUN <<E\n: {'x' * 140_000}\nE\n", 2, "this command is 140003 bytes long", "COPY it as"),
        (f"FROM busybox\nENV LONG={'x' * 140_000}\nRUN true\n", 3, "the variable LONG is", "COPY its value as a file"),
    ],
)  # fmt: skip
def test_an_error_has_its_line_and_its_mend(builder: Builder, text: str, line: int, said: str, mend: str) -> None:
    if "with-user" in text:
        builder.sandbox.run("build", "-t", "with-user", "-", input="FROM busybox\nUSER no-one\n")
    failed = builder.build({"Dockerfile": text, "f": ""}, status=1).stderr
    error = failed[failed.rindex("Error: ") :]
    assert error.startswith(f"Error: Dockerfile:{line}:")
    assert said in error
    assert f"mend: {mend}" in error or not mend
    assert "--user" not in error
    assert not _CLASS.search(failed)


def test_root_is_0_where_nothing_names_it(builder: Builder) -> None:
    text = (
        "FROM busybox AS tools\nFROM scratch\nCOPY --from=tools /bin /bin\nCOPY --chown=root:root f /a\n"
        "ADD --chown=root f /b\nCOPY --link --chown=0:root f /c\nUSER root\nWORKDIR /w\nRUN touch /d\n"
        "USER root:root\nRUN id -u > /e && id -g >> /e\n"
    )
    builder.build({"Dockerfile": text, "f": ""})
    tree = builder.tree()
    assert {(tree[name].uid, tree[name].gid) for name in ("a", "b", "c", "w", "d")} == {(0, 0)}
    assert builder.run("cat", "/e") == "0\n0\n"
    assert builder.sandbox.run("run", "--rm", "-u", "root:root", "made", "id", "-u").stdout == "0\n"


def test_several_sources_without_a_slash(builder: Builder) -> None:
    text = "FROM busybox\nCOPY a b /x\nADD a b ./y\nCOPY a b .\nCOPY a b /z/\nCOPY a <<c /v\nx\nc\n"
    done = builder.build({"Dockerfile": text, "a": "a", "b": "b"})
    assert "Dockerfile:2:1: COPY of 2 sources to /x, without a slash: taken for a directory; write /x/" in done.stderr
    assert "Dockerfile:3:1: ADD of 2 sources to ./y" in done.stderr
    assert "Dockerfile:6:1: COPY of 2 sources to /v" in done.stderr
    assert done.stderr.count("without a slash") == 3
    assert builder.run("ls", "/x", "/y", "/v") == "/v:\na\nc\n\n/x:\na\nb\n\n/y:\na\nb\n"
    done = builder.build({"Dockerfile": "FROM busybox\nCOPY ? /x\nCOPY ? /\nCOPY a* /one\n", "a": "a", "b": "b"})
    assert done.stderr.count("go to the one file") == 1
    assert "2 sources match, and all go to the one file /x, where the last stays: write /x/" in done.stderr


def test_a_script_of_any_length_is_a_file(builder: Builder) -> None:
    text = f"FROM busybox\nRUN <<E\n#!/bin/sh\n: {'x' * 140_000}\necho done > /f\nE\n"
    builder.build({"Dockerfile": text})
    assert builder.run("cat", "/f") == "done\n"


def test_a_container_whose_variable_is_too_long(builder: Builder) -> None:
    (builder.sandbox.home.root / "env").write_text(f"LONG={'x' * 140_000}\n")
    failed = builder.sandbox.run("run", "--rm", "--env-file", "env", "busybox", "true", status=125).stderr
    assert "argument list too long" in failed
    assert "more than 128 KiB" in failed
