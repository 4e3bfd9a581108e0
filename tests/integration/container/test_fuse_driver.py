"""Containers whose root is the FUSE overlay: a process serves it, ends with it, and may die at any time."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox.live_processes import process_start
from tests.integration.container.conftest import monitor_pid, state_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("subids", "fuse", "pyfuse3", "busybox"), pytest.mark.slow]

RUN = ("run", "--storage-driver", "fuse", "--network", "none")


def _servers(sandbox: Sandbox) -> list[int]:
    """The pids recorded in runtime files."""
    found = sandbox.home.runtime.glob("sandbox/containers/*/rootfs.server")
    return [int(path.read_text().split()[0]) for path in found]


def test_a_container_on_it_reads_writes_and_leaves_nothing(sandbox: Sandbox, busybox: str) -> None:
    script = "cat /var/data/file; echo new > /var/data/new; rm /var/data/file; ls /var/data; "
    script += "grep -c ' fuse.sandbox ' /proc/mounts"
    done = sandbox.run(*RUN, "--rm", busybox, "sh", "-c", script)
    assert done.stdout == "from the image\nnew\n1\n"
    assert state_files(sandbox) == []


def test_its_server_ends_with_it(sandbox: Sandbox, busybox: str, eventually: Callable[..., None]) -> None:
    sandbox.run(*RUN, "-d", "--name", "served", busybox, "sleep", "1000")
    (server,) = _servers(sandbox)
    assert sandbox.run("exec", "served", "cat", "/var/data/file").stdout == "from the image\n"
    assert Path(f"/proc/{server}/comm").read_text() == "sandbox-fuse\n"
    sandbox.run("stop", "-t", "0", "served")
    eventually(lambda: process_start(server) == 0)
    assert _servers(sandbox) == []
    # what was written stays, over a restart
    sandbox.run("start", "served")
    sandbox.run("exec", "served", "sh", "-c", "echo kept > /kept")
    sandbox.run("restart", "-t", "0", "served")
    assert sandbox.run("exec", "served", "cat", "/kept").stdout == "kept\n"


def test_a_server_that_is_killed_is_told_and_mended_by_a_restart(
    sandbox: Sandbox, busybox: str, eventually: Callable[..., None]
) -> None:
    sandbox.run(
        *RUN, "-d", "--name", "lost", busybox, "sh", "-c", "sync; while :; do read x < /etc/group; sleep 0.1; done"
    )
    sandbox.run("exec", "lost", "sh", "-c", "echo synced > /file && sync /file")
    (server,) = _servers(sandbox)
    os.kill(server, signal.SIGKILL)
    # whatever runs may end at once: pages of its program are gone
    eventually(lambda: "(lost /)" in sandbox.run("ps", "-a").stdout)
    state = json.loads(sandbox.run("container", "inspect", "lost").stdout)[0]["State"]
    assert "killed by signal 9" in state["Error"]
    sandbox.run("restart", "-t", "0", "lost")
    assert "(lost" not in sandbox.run("ps", "-a").stdout
    assert sandbox.run("exec", "lost", "cat", "/file").stdout == "synced\n"


def _hung(sandbox: Sandbox, busybox: str) -> int:
    """Start the container `hung`; the pid of its server, which answers no more."""
    sandbox.run(*RUN, "-d", "--name", "hung", busybox, "sh", "-c", "while :; do ls / > /out; done")
    (server,) = _servers(sandbox)
    os.kill(server, signal.SIGSTOP)
    return server


def test_a_server_that_hangs_keeps_nobody_from_removing(
    sandbox: Sandbox, busybox: str, eventually: Callable[..., None]
) -> None:
    server = _hung(sandbox, busybox)
    sandbox.run("rm", "-f", "hung", timeout_seconds=60)
    eventually(lambda: process_start(server) == 0)
    assert state_files(sandbox) == []


def test_what_hangs_of_one_container_blocks_no_other_command(sandbox: Sandbox, busybox: str) -> None:
    """While one command waits for what a killed monitor left, others tell the truth, and write."""
    server = _hung(sandbox, busybox)
    monitor = monitor_pid(sandbox, "hung")
    waiter = os.pidfd_open(monitor)
    os.kill(monitor, signal.SIGKILL)
    # somebody is at it, for as long as this test likes
    (runtime,) = sandbox.home.runtime.glob("sandbox/containers/*")
    held = os.open(runtime, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        select.select([waiter], [], [])
        with sandbox.spawn("rm", "-f", "hung") as removal:
            assert "Exited (137)" in sandbox.run("ps", "-a").stdout
            assert "Exited (137)" in sandbox.run("ps", "-a", "--filter", "name=hung").stdout
            sandbox.run("create", "--name", "other", busybox)
            sandbox.run("rm", "other")
            assert removal.poll() is None
            assert process_start(server) != 0
            os.close(held)
            held = -1
            removal.communicate()
        assert removal.returncode == 0
    finally:
        os.close(waiter)
        if held >= 0:
            os.close(held)
    assert process_start(server) == 0
    assert state_files(sandbox) == []


def test_the_first_to_see_it_ends_what_hangs(sandbox: Sandbox, busybox: str) -> None:
    server = _hung(sandbox, busybox)
    monitor = monitor_pid(sandbox, "hung")
    waiter = os.pidfd_open(monitor)
    os.kill(monitor, signal.SIGKILL)
    select.select([waiter], [], [])
    os.close(waiter)
    assert "Exited (137)" in sandbox.run("ps", "-a").stdout
    assert process_start(server) == 0
    assert sandbox.run("start", "hung").lines == ["hung"]


def test_the_monitor_killed_its_server_ends_too(
    sandbox: Sandbox, busybox: str, eventually: Callable[..., None]
) -> None:
    sandbox.run(*RUN, "-d", "--name", "orphan", busybox, "sleep", "1000")
    (server,) = _servers(sandbox)
    with open(f"/proc/{server}/stat") as file:
        monitor = int(file.read().rpartition(")")[2].split()[1])
    os.kill(monitor, signal.SIGKILL)
    eventually(lambda: process_start(server) == 0)
    assert "Exited" in sandbox.run("ps", "-a").stdout


def test_a_container_cannot_look_into_it(sandbox: Sandbox, busybox: str) -> None:
    script = "for p in /proc/[0-9]*; do cat $p/comm; done"
    seen = sandbox.run(*RUN, "--rm", busybox, "sh", "-c", script).stdout
    assert "sandbox-fuse" not in seen


@pytest.mark.requires("overlay")
def test_the_upper_directory_may_change_its_driver(sandbox: Sandbox, busybox: str) -> None:
    """What one driver wrote, whiteouts and opaque directories with it, the other reads."""
    script = "rm -r /var/data && mkdir /var/data && echo mine > /var/data/mine && rm /etc/group"
    for first, second in (("fuse", "overlay"), ("overlay", "fuse")):
        context = f"FROM busybox\nRUN {script}\n"
        (sandbox.home.config / "sandbox").mkdir(exist_ok=True)
        config = sandbox.home.config / "sandbox/config.toml"
        config.write_text(f'[storage]\ndriver = "{first}"\n')
        sandbox.run("build", "--no-cache", "-t", "made", "-", input=context)
        config.write_text(f'[storage]\ndriver = "{second}"\n')
        shown = sandbox.run("run", "--rm", "--network", "none", "made", "sh", "-c", "ls /var/data /etc")
        assert shown.stdout.split() == ["/etc:", "hostname", "hosts", "passwd", "resolv.conf", "/var/data:", "mine"]


def test_info_says_which_driver_and_why(sandbox: Sandbox) -> None:
    (sandbox.home.config / "sandbox/config.toml").unlink(missing_ok=True)
    shown = json.loads(sandbox.run("info", "--format", "json").stdout)
    assert shown["Driver"] in ("overlay", "fuse")
    assert "a probe mount of" in shown["DriverStatus"][0][1]
