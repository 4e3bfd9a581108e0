"""`idmap`: the caller's files belong to the container's user inside, and what is made there to the caller outside."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from sandbox.live_processes import process_start
from tests.integration.container.conftest import state_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("subids", "fuse", "pyfuse3", "busybox"), pytest.mark.slow]

RUN = ("run", "--rm", "--network", "none")
SCRIPT = "cd /src; stat -c %U mine; cat mine; echo made > made; mkdir dir; stat -c %u:%g made"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "mine").write_text("from the caller\n")
    (tmp_path / "mine").chmod(0o600)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ("-u", "user", "-v", "{}:/src:idmap"),
        ("-u", "1000:1000", "--mount", "type=bind,src={},dst=/src,idmap"),
        ("-u", "1000", "-v", "{}:/src:idmap"),
        ("-u", "user", "--mount", "type=bind,src={},dst=/src,idmap=user"),
        ("-u", "user", "--mount", "type=bind,src={},dst=/src,idmap=1000:1000"),
    ],
)
def test_both_ways(sandbox: Sandbox, busybox: str, source: Path, words: tuple[str, ...]) -> None:
    given = [word.format(source) for word in words]
    done = sandbox.run(*RUN, *given, busybox, "sh", "-c", SCRIPT)
    assert done.stdout == "user\nfrom the caller\n1000:1000\n"
    for name in ("made", "dir"):
        status = (source / name).stat()
        assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid())
    assert state_files(sandbox) == []


def test_read_only_files_and_inspect(sandbox: Sandbox, busybox: str, source: Path) -> None:
    given = ("-u", "user", "-v", f"{source}:/src:ro,idmap", "-v", f"{source}/mine:/one:idmap")
    sandbox.run("create", "--name", "made", "--network", "none", *given, busybox, "sh", "-c", "cat /one; touch /src/x")
    started = sandbox.run("start", "-a", "made", status=1)
    assert started.stdout == "from the caller\n"
    assert "Read-only file system" in started.stderr
    mounts = json.loads(sandbox.run("container", "inspect", "made").stdout)[0]["Mounts"]
    assert [mount["Mode"] for mount in mounts] == ["ro,idmap", "idmap"]


def test_a_lost_server_is_told_and_mended(
    sandbox: Sandbox, busybox: str, source: Path, eventually: Callable[..., None]
) -> None:
    sandbox.run(
        "run", "-d", "--name", "lost", "--network", "none", "-v", f"{source}:/src:idmap", busybox, "sleep", "1000"
    )
    (record,) = sandbox.home.runtime.glob("sandbox/containers/*/mapped-0.server")
    server = int(record.read_text().split()[0])
    os.kill(server, signal.SIGKILL)
    eventually(lambda: "(lost /src)" in sandbox.run("ps").stdout)
    refused = sandbox.run("exec", "lost", "cat", "/src/mine", status=1).stderr
    assert "not connected" in refused
    sandbox.run("restart", "-t", "0", "lost")
    assert sandbox.run("exec", "lost", "cat", "/src/mine").stdout == "from the caller\n"
    (record,) = sandbox.home.runtime.glob("sandbox/containers/*/mapped-0.server")
    server = int(record.read_text().split()[0])
    sandbox.run("rm", "-f", "lost")
    eventually(lambda: process_start(server) == 0)


def test_bad_words(sandbox: Sandbox, busybox: str, source: Path) -> None:
    unknown = sandbox.run(
        *RUN, "--mount", f"type=bind,src={source},dst=/src,idmap=nobodyhere", busybox, "true", status=125
    )
    assert "nobodyhere" in unknown.stderr
    volume = sandbox.run(*RUN, "-v", "named:/src:idmap", busybox, "true", status=125)
    assert "idmap is for host directories only" in volume.stderr
    assert state_files(sandbox) == []
