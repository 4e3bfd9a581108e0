"""`update` of containers that run and of those that do not; what it says is kept."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

    Wait = Callable[[Callable[[], object]], None]

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
DETACHED = ("run", "-d", "--network", "none")
MEBIBYTE = 1 << 20


def _inspect(sandbox: Sandbox, name: str, template: str) -> str:
    return sandbox.run("container", "inspect", "--format", template, name).stdout.strip()


def _files(sandbox: Sandbox, name: str, *files: str) -> list[str]:
    done = sandbox.run("exec", name, "sh", "-c", f"cd /sys/fs/cgroup; cat {' '.join(files)}")
    return done.lines


def test_the_policy_of_one_that_runs(sandbox: Sandbox, busybox: str, eventually: Wait) -> None:
    for name, options in (("cc", ()), ("dd", ("--restart", "always"))):
        sandbox.run(*DETACHED, "--name", name, *options, busybox, "sleep", "1000")
    assert sandbox.run("update", "--restart", "on-failure:3", "cc").stdout == "cc\n"
    assert sandbox.run("update", "--restart", "no", "dd").stdout == "dd\n"
    policy = json.loads(_inspect(sandbox, "cc", "{{json .HostConfig.RestartPolicy}}"))
    assert policy == {"Name": "on-failure", "MaximumRetryCount": 3}
    for name in ("cc", "dd"):
        os.kill(int(_inspect(sandbox, name, "{{.State.Pid}}")), signal.SIGKILL)
    eventually(lambda: _inspect(sandbox, "cc", "{{.RestartCount}} {{.State.Status}}") == "1 running")
    eventually(lambda: _inspect(sandbox, "dd", "{{.RestartCount}} {{.State.Status}}") == "0 exited")
    actions = sandbox.run("events", "--since", "1h", "--until", "0s", "-f", "event=update", "--format", "{{.Actor.ID}}")
    assert len(actions.lines) == 2


def test_what_is_refused_changes_nothing(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*DETACHED, "--rm", "--name", "cc", busybox, "sleep", "1000")
    refused = sandbox.run("update", "--restart", "always", "cc", "nobody", status=1)
    assert "Restart policy cannot be updated because AutoRemove is enabled for the container" in refused.stderr
    assert "No such container: nobody" in refused.stderr
    assert "You must provide one or more flags" in sandbox.run("update", "cc", status=1).stderr
    assert "Minimum memory limit allowed is 6MB" in sandbox.run("update", "-m", "1m", "cc", status=1).stderr
    assert "--blkio-weight is not supported" in sandbox.run("update", "--blkio-weight", "100", "cc", status=125).stderr
    assert "unknown policy 'often'" in sandbox.run("update", "--restart", "often", "cc", status=125).stderr
    assert _inspect(sandbox, "cc", "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.Memory}}") == "no 0"


def test_of_several_the_others_are_changed(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("create", "--name", "one", busybox, "true")
    sandbox.run("create", "--name", "two", busybox, "true")
    done = sandbox.run("update", "--restart", "unless-stopped", "one", "nobody", "two", status=1)
    assert done.lines == ["one", "two"]
    names = "{{.HostConfig.RestartPolicy.Name}}"
    assert sandbox.run("container", "inspect", "-f", names, "one", "two").lines == ["unless-stopped"] * 2


def test_limits_of_one_that_does_not_run_hold_from_its_next_start(sandbox: Sandbox, busybox: str) -> None:
    """The limit of processes is had everywhere."""
    sandbox.run("create", "--name", "cc", "--network", "none", busybox, "sh", "-c", "true & echo two")
    sandbox.run("update", "--pids-limit", "1", "cc")
    assert _inspect(sandbox, "cc", "{{.HostConfig.PidsLimit}}") == "1"
    assert "can't fork" in sandbox.run("start", "-a", "cc", status=None).stderr
    sandbox.run("update", "--pids-limit", "-1", "cc")
    assert "two" in sandbox.run("start", "-a", "cc").stdout


def test_a_limit_is_held_or_refused_and_never_ignored(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*DETACHED, "--name", "cc", busybox, "sleep", "1000")
    done = sandbox.run("update", "--pids-limit", "3", "cc", status=None)
    if done.status == 0:
        assert _files(sandbox, "cc", "pids.max") == ["3"]
    else:
        assert "cannot change the limits of container cc while it runs" in done.stderr
        assert _inspect(sandbox, "cc", "{{.HostConfig.PidsLimit}}") == "<nil>"
        assert "WARNING: pids.max" in sandbox.run("update", "--best-effort", "--pids-limit", "3", "cc").stderr


@pytest.mark.requires("cgroup_v2")
def test_limits_of_one_that_runs_hold_at_once_and_stay(sandbox: Sandbox, busybox: str) -> None:
    limits = ("--memory", "64m", "--pids-limit", "50")
    sandbox.run(*DETACHED, "--name", "cc", *limits, busybox, "sleep", "1000")
    changed = ("--memory", "96m", "--memory-swap", "96m", "--cpus", "0.5", "--cpu-shares", "512", "--pids-limit", "-1")
    sandbox.run("update", *changed, "cc")
    for _life in range(2):
        found = _files(sandbox, "cc", "memory.max", "cpu.max", "pids.max", "cpu.weight")
        assert found[:2] == [str(96 * MEBIBYTE), "50000 100000"]
        assert (found[2], found[3] != "100") == ("max", True)
        sandbox.run("restart", "-t", "0", "cc")
    assert _inspect(sandbox, "cc", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}") == f"{96 * MEBIBYTE} 500000000"
    sandbox.run("pause", "cc")
    sandbox.run("update", "--memory", "48m", "cc")
    sandbox.run("unpause", "cc")
    assert _files(sandbox, "cc", "memory.max") == [str(48 * MEBIBYTE)]
    sandbox.run("exec", "cc", "dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1", status=137)
