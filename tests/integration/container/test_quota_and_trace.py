"""What only the FUSE overlay can do for a root: hold its size, and record what is read of the image."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("subids", "fuse", "pyfuse3", "busybox"), pytest.mark.slow]

RUN = ("run", "--rm", "--network", "none")
FILL = "dd if=/dev/zero of=/big bs=64k count=64 2>&1 | grep -i space; stat -c %s /big"


def _available(sandbox: Sandbox, name: str) -> int:
    return int(sandbox.run("exec", name, "stat", "-f", "-c", "%a", "/").stdout)


def test_a_write_beyond_the_size_fails_at_once(sandbox: Sandbox, busybox: str) -> None:
    script = f"stat -f -c '%b %S' /; {FILL}; rm /big; {FILL}; echo x > /small && echo fits"
    lines = sandbox.run(*RUN, "--storage-opt", "size=2m", busybox, "sh", "-c", script).lines
    blocks, size = map(int, lines[0].split())
    assert blocks * size == 2 << 20
    for said, written in ((lines[1], lines[2]), (lines[3], lines[4])):
        assert "No space left" in said
        assert 1_800_000 < int(written) <= 2 << 20
    assert lines[5:] == ["fits"]


def test_the_count_survives_the_server_and_the_container(
    sandbox: Sandbox, busybox: str, eventually: Callable[..., None]
) -> None:
    sandbox.run(
        "run", "-d", "--name", "held", "--network", "none", "--storage-opt", "size=2m", busybox, "sleep", "1000"
    )
    assert sandbox.run("container", "inspect", "-f", "{{.Driver}} {{.HostConfig.StorageOpt.size}}", "held").lines == [
        "fuse 2m"
    ]
    sandbox.run("exec", "held", "sh", "-c", "dd if=/dev/zero of=/half bs=64k count=16 && sync /half")
    before = _available(sandbox, "held")
    (record,) = sandbox.home.runtime.glob("sandbox/containers/*/rootfs.server")
    os.kill(int(record.read_text().split()[0]), signal.SIGKILL)
    eventually(lambda: "lost" in sandbox.run("ps", "-a").stdout)
    sandbox.run("restart", "-t", "0", "held")
    assert abs(_available(sandbox, "held") - before) < 16
    assert "No space" in sandbox.run("exec", "held", "sh", "-c", FILL).stdout


def test_what_cannot_be(sandbox: Sandbox, busybox: str) -> None:
    other = sandbox.run(*RUN, "--storage-opt", "size=2m", "--storage-driver", "copy", busybox, "true", status=125)
    assert "the storage driver copy cannot limit the size" in other.stderr
    unknown = sandbox.run(*RUN, "--storage-opt", "colour=red", busybox, "true", status=125)
    assert "unknown storage option 'colour'" in unknown.stderr
    wrong = sandbox.run(*RUN, "--storage-opt", "size=big", busybox, "true", status=125)
    assert "invalid size" in wrong.stderr


def _trace(path: Path) -> dict[str, Any]:
    return {line["path"]: line for line in map(json.loads, path.read_text().splitlines())}


def test_what_is_read_is_taken_down(sandbox: Sandbox, busybox: str, tmp_path: Path) -> None:
    # a path is executed, where a name would be the shell's own
    script = "/bin/cat /var/data/file; ls /etc > /dev/null; echo more >> /etc/group; echo mine > /mine; cat /mine"
    sandbox.run(*RUN, "--trace-files", str(tmp_path / "trace"), busybox, "sh", "-c", script)
    trace = _trace(tmp_path / "trace")
    file = trace["/var/data/file"]
    assert (file["kind"], file["opened"], file["read_bytes"], file["size"]) == ("file", 1, 15, 15)
    assert trace["/etc"]["listed"] == 1
    assert trace["/etc/group"]["read_bytes"] >= trace["/etc/group"]["size"] > 0
    assert trace["/bin/busybox"]["read_bytes"] > 100_000
    assert trace["/bin/cat"]["kind"] == "symlink"
    assert "/mine" not in trace
    assert "/bin/no-format" not in trace


def test_a_trace_that_cannot_be_written(sandbox: Sandbox, busybox: str, tmp_path: Path) -> None:
    done = sandbox.run(*RUN, "--trace-files", str(tmp_path / "none/trace"), busybox, "true", status=125)
    assert "cannot write" in done.stderr


def test_slim_report(sandbox: Sandbox, busybox: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    sandbox.run(*RUN, "--trace-files", str(trace), busybox, "cat", "/var/data/file")
    report = json.loads(sandbox.run("image", "slim-report", busybox, "--trace", str(trace), "--format", "json").stdout)
    assert len(report["Layers"]) == 1
    layer = report["Layers"][0]
    assert layer["UsedBytes"] + layer["UnusedBytes"] == layer["Bytes"]
    assert layer["UsedBytes"] >= os.path.getsize("/bin/busybox")
    unused = {entry["Directory"]: entry["UnusedBytes"] for entry in report["Directories"]}
    # the program that is none; what else is there was read
    assert unused["/bin"] == len("this is no program\n")
    table = sandbox.run("image", "slim-report", busybox, "--trace", str(trace)).stdout
    assert "LAYER" in table
    assert "/bin" in table


def test_slim_report_refuses_nonsense(sandbox: Sandbox, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "trace").write_text("nonsense\n")
    done = sandbox.run("image", "slim-report", busybox, "--trace", str(tmp_path / "trace"), status=1)
    assert "is not a trace" in done.stderr
    sandbox.run("image", "slim-report", busybox, "--trace", str(tmp_path / "missing"), status=1)
