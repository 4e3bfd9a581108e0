"""Containers that are paused: all of their processes are held, whatever they do, and go on as they were."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests import leaks
from tests.integration.container.conftest import monitor_pid, state_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.command import Sandbox

    Wait = Callable[[Callable[[], object]], None]

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
DETACHED = ("run", "-d", "--network", "none")
#: each process forks the next one and ends: looked for one by one, it is never there any more
CHAIN = "echo 'echo x >> /out/n; sh /tmp/c &' > /tmp/c; sh /tmp/c & sh /tmp/c & sleep 1000"


def _inspect(sandbox: Sandbox, name: str, template: str) -> str:
    return sandbox.run("container", "inspect", "--format", template, name).stdout.strip()


def _actions(sandbox: Sandbox) -> list[str]:
    shown = ("-f", "type=container", "--format", "{{.Action}}")
    return sandbox.run("events", "--since", "1h", "--until", "0s", *shown).lines


def _grows(written: Path, eventually: Wait) -> None:
    before = written.stat().st_size if written.exists() else 0
    eventually(lambda: written.exists() and written.stat().st_size > before)


def _check_held(sandbox: Sandbox, out: Path, eventually: Wait) -> None:
    written = out / "n"
    for _time in range(3):
        _grows(written, eventually)
        sandbox.run("pause", "chain")
        before = written.stat().st_size
        assert "(Paused)" in sandbox.run("ps").stdout
        assert written.stat().st_size == before
        sandbox.run("unpause", "chain")
    _grows(written, eventually)


def test_a_process_that_forks_meanwhile_does_not_escape(
    sandbox: Sandbox, busybox: str, tmp_path: Path, eventually: Wait
) -> None:
    tmp_path.chmod(0o777)
    sandbox.run(*DETACHED, "--name", "chain", "-v", f"{tmp_path}:/out", busybox, "sh", "-c", CHAIN)
    _check_held(sandbox, tmp_path, eventually)
    # and where it is left so, it ends as any other
    sandbox.run("pause", "chain")
    sandbox.run("rm", "-f", "chain")
    assert leaks.wait_processes_gone(str(sandbox.home.root)) == []


@pytest.mark.requires("cgroup_v2")
def test_in_a_cgroup_the_kernel_holds_them(sandbox: Sandbox, busybox: str, tmp_path: Path, eventually: Wait) -> None:
    tmp_path.chmod(0o777)
    # --init: what ends is taken from the limit's count
    options = ("--init", "--pids-limit", "100", "-v", f"{tmp_path}:/out")
    sandbox.run(*DETACHED, "--name", "chain", *options, busybox, "sh", "-c", CHAIN)
    _check_held(sandbox, tmp_path, eventually)
    sandbox.run("pause", "chain")
    with open(f"/proc/{_inspect(sandbox, 'chain', '{{.State.Pid}}')}/stat") as file:
        assert file.read().rpartition(")")[2].split()[0] not in "Tt"
    # the next run is not held by what the one before it left
    sandbox.run("restart", "-t", "0", "chain")
    _grows(tmp_path / "n", eventually)


def test_a_process_of_any_name_is_held(sandbox: Sandbox, busybox: str) -> None:
    script = "printf '\\377) R (' > /proc/$$/comm; echo named; while :; do sleep 0.1; done"
    sandbox.run(*DETACHED, "--name", "odd", busybox, "sh", "-c", script)
    sandbox.wait_for_log("odd", "named")
    sandbox.run("pause", "odd")
    assert "(Paused)" in sandbox.run("ps").stdout
    sandbox.run("unpause", "odd")
    assert "(Paused)" not in sandbox.run("ps").stdout


def test_what_was_stopped_before_stays_stopped(sandbox: Sandbox, busybox: str) -> None:
    script = "sleep 1000 & kill -STOP $!; echo $!; sleep 1001 & echo $!; echo up; wait"
    sandbox.run(*DETACHED, "--name", "cc", busybox, "sh", "-c", script)
    sandbox.wait_for_log("cc", "up")
    stopped, runs, _up = sandbox.run("logs", "cc").lines
    sandbox.run("pause", "cc")
    with open(f"/proc/{_inspect(sandbox, 'cc', '{{.State.Pid}}')}/stat") as file:
        assert file.read().rpartition(")")[2].split()[0] == "T"
    sandbox.run("unpause", "cc")
    states = sandbox.run("exec", "cc", "sh", "-c", f"cut -d' ' -f3 /proc/{stopped}/stat /proc/{runs}/stat /proc/1/stat")
    assert states.lines == ["T", "S", "S"]


def test_what_can_be_done_with_a_paused_one(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(
        *DETACHED, "--name", "cc", busybox, "sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done"
    )
    sandbox.wait_for_log("cc", "up")
    assert sandbox.run("pause", "cc").stdout == "cc\n"
    assert _inspect(sandbox, "cc", "{{.State.Status}} {{.State.Running}} {{.State.Paused}}") == "paused true true"
    assert sandbox.run("ps", "-f", "status=paused", "--format", "{{.Names}} {{.State}}").lines == ["cc paused"]
    assert sandbox.run("ps", "-q", "-f", "status=running").lines == []
    assert "is already paused" in sandbox.run("pause", "cc", status=1).stderr
    assert "is paused, unpause the container before exec" in sandbox.run("exec", "cc", "true", status=1).stderr
    assert "container is paused and must be unpaused first" in sandbox.run("rm", "cc", status=1).stderr
    assert "cannot start a paused container, try unpause instead" in sandbox.run("start", "cc", status=1).stderr
    attached = sandbox.run("attach", "--no-stdin", "cc", status=1)
    assert "You cannot attach to a paused container, unpause it first" in attached.stderr
    assert sandbox.run("logs", "cc").stdout == "up\n"
    sandbox.run("rename", "cc", "dd")
    assert sandbox.run("unpause", "dd").stdout == "dd\n"
    assert "is not paused" in sandbox.run("unpause", "dd", status=1).stderr
    assert _inspect(sandbox, "dd", "{{.State.Status}} {{.State.Paused}}") == "running false"
    assert _actions(sandbox) == ["create", "start", "pause", "rename", "unpause"]
    # who stops it lets it go on, so that it can end by itself
    sandbox.run("pause", "dd")
    sandbox.run("stop", "dd")
    assert _inspect(sandbox, "dd", "{{.State.Status}} {{.State.ExitCode}} {{.State.Paused}}") == "exited 3 false"
    assert "is not running" in sandbox.run("pause", "dd", status=1).stderr
    assert _actions(sandbox)[-5:] == ["pause", "kill", "unpause", "die", "stop"]


def test_signals_wait_unless_they_are_to_end_it(sandbox: Sandbox, busybox: str) -> None:
    script = "trap 'echo hup' HUP; trap 'echo cont' CONT; trap 'exit 4' USR1; echo up; while :; do sleep 0.05; done"
    sandbox.run(*DETACHED, "--name", "cc", "--stop-signal", "USR1", busybox, "sh", "-c", script)
    sandbox.wait_for_log("cc", "up")
    sandbox.run("pause", "cc")
    sandbox.run("kill", "-s", "HUP", "cc")
    sandbox.run("kill", "-s", "CONT", "cc")
    assert _inspect(sandbox, "cc", "{{.State.Status}}") == "paused"
    assert sandbox.run("logs", "cc").lines == ["up"]
    sandbox.run("unpause", "cc")
    sandbox.wait_for_log("cc", "hup")
    sandbox.run("pause", "cc")
    monitor = monitor_pid(sandbox, "cc")
    sandbox.run("kill", "-s", "USR1", "cc")
    leaks.wait_ended(monitor)
    assert _inspect(sandbox, "cc", "{{.State.Status}} {{.State.ExitCode}}") == "exited 4"


def test_a_killed_monitor_leaves_nothing_of_a_paused_one(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*DETACHED, "--name", "cc", busybox, "sh", "-c", "sleep 1000 & sleep 1001")
    sandbox.run("pause", "cc")
    pid, monitor = int(_inspect(sandbox, "cc", "{{.State.Pid}}")), monitor_pid(sandbox, "cc")
    os.kill(monitor, signal.SIGKILL)
    leaks.wait_ended(pid)
    assert "Exited (137)" in sandbox.run("ps", "-a").stdout
    assert leaks.wait_processes_gone(str(sandbox.home.root)) == []
    sandbox.run("start", "cc")
    assert _inspect(sandbox, "cc", "{{.State.Paused}}") == "false"
    sandbox.run("exec", "cc", "true")
    sandbox.run("rm", "-f", "cc")
    assert state_files(sandbox) == []


def test_the_policy_starts_one_again_that_ended_while_it_was_paused(
    sandbox: Sandbox, busybox: str, eventually: Wait
) -> None:
    sandbox.run(*DETACHED, "--name", "cc", "--restart", "always", busybox, "sleep", "1000")
    sandbox.run("pause", "cc")
    os.kill(int(_inspect(sandbox, "cc", "{{.State.Pid}}")), signal.SIGKILL)
    eventually(lambda: _inspect(sandbox, "cc", "{{.RestartCount}} {{.State.Status}}") == "1 running")
    sandbox.run("exec", "cc", "true")


@pytest.mark.parametrize("pid_mode", ["host", "container:other"])
def test_processes_that_cannot_be_told_from_others_are_left_alone(
    sandbox: Sandbox, busybox: str, pid_mode: str
) -> None:
    """In a cgroup of its own they are held all the same."""
    sandbox.run(*DETACHED, "--name", "other", busybox, "sleep", "1000")
    sandbox.run(*DETACHED, "--name", "cc", "--pid", pid_mode, busybox, "sleep", "1000")
    done = sandbox.run("pause", "cc", status=None)
    if done.status:
        assert "cannot pause container cc" in done.stderr
        assert "it shares the process numbers of" in done.stderr
        assert _inspect(sandbox, "cc", "{{.State.Status}}") == "running"
    assert _inspect(sandbox, "other", "{{.State.Status}}") == "running"
    sandbox.run("exec", "other", "true")
