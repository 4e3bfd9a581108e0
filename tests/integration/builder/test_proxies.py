"""Proxies of Docker's configuration: every RUN and every container has them, and nothing that is kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.builder.conftest import Builder

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp"), pytest.mark.slow]

_FILE = """FROM busybox
ARG HTTP_PROXY
ARG https_proxy=http://of-the-file
ENV FTP_PROXY=http://of-the-env COPIED=$HTTP_PROXY-
LABEL copied=$NO_PROXY-
RUN --network=none env | grep -i proxy | sort | sed 's/^/saw /'
RUN --network=none touch /f
"""
#: progress hides credentials of URLs
_SAW = (
    "ALL_PROXY=http://c:5", "FTP_PROXY=http://of-the-env", "HTTPS_PROXY=http://c:2", "HTTP_PROXY=http://xxxxx:xxxxx@c:1",
    "NO_PROXY=c.lan", "all_proxy=http://c:5", "ftp_proxy=http://c:3", "http_proxy=http://xxxxx:xxxxx@c:1",
    "https_proxy=http://c:2", "no_proxy=c.lan",
)  # fmt: skip


def _configure(builder: Builder, proxies: dict[str, str]) -> None:
    directory = builder.sandbox.home.root / "docker"
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps({"proxies": {"default": proxies}}))


def test_a_build_and_a_container_have_them_and_nothing_keeps_them(builder: Builder) -> None:
    _configure(builder, {
        "httpProxy": "http://u:secret@c:1", "httpsProxy": "http://c:2", "ftpProxy": "http://c:3", "noProxy": "c.lan",
        "allProxy": "http://c:5",
    })  # fmt: skip
    context = builder.context({"Dockerfile": _FILE})
    first = builder.sandbox.run("build", "--progress", "plain", "-t", "made", context)
    assert tuple(line.partition("saw ")[2] for line in first.stderr.splitlines() if " saw " in line) == _SAW
    kept = (
        builder.sandbox.run("image", "inspect", "made").stdout
        + builder.sandbox.run("history", "--no-trunc", "made").stdout
    )
    kept += "".join(
        path.read_text(errors="replace")
        for path in (builder.sandbox.home.data / "sandbox/blobs/sha256").iterdir()
        if path.stat().st_size < 8192
    )
    assert "of-the-env" in kept
    assert not [text for text in ("secret", "http://c:", "c.lan") if text in kept]
    given = builder.sandbox.run(
        "build",
        "--no-cache",
        "--iidfile",
        context / "id",
        "--progress",
        "plain",
        "--build-arg",
        "no_proxy=given",
        "--build-arg",
        "ftp_proxy=",
        context,
    ).stderr
    assert "saw no_proxy=given\n" in given
    assert "saw NO_PROXY=c.lan\n" in given
    assert "saw ftp_proxy=\n" in given
    image = (context / "id").read_text()
    # a container too, and what is run in it
    saw = ["HTTP_PROXY=http://u:secret@c:1", "NO_PROXY=c.lan", "http_proxy=mine", "no_proxy=c.lan"]
    command = ("sh", "-c", "env | grep -iE '^(http|no)_proxy' | sort")
    builder.sandbox.run(
        "run", "-d", "--name", "web", "--network", "none", "-e", "http_proxy=mine", "busybox", "sleep", "100"
    )
    assert builder.sandbox.run("exec", "web", *command).lines == saw
    assert (
        builder.sandbox.run("run", "--rm", "--network", "none", "-e", "http_proxy=mine", "busybox", *command).lines
        == saw
    )
    # they are no part of a step: another proxy, and none, is the same image
    for proxies in ({"httpProxy": "http://other"}, {}):
        _configure(builder, proxies)
        again = builder.sandbox.run("build", "--iidfile", context / "id", context)
        assert again.stderr.count("CACHED") == 2
        assert (context / "id").read_text() == image
