"""Limits, through cgroup v2 where this user has a subtree (docs/testing.md says how to get one) and without."""

from __future__ import annotations

import os
import resource
import signal
from typing import TYPE_CHECKING

import pytest

from tests import leaks
from tests.integration.container.conftest import monitor_pid

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

    Wait = Callable[[Callable[[], object]], None]

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
RUN = ("run", "--rm", "--network", "none")
DETACHED = ("run", "-d", "--network", "none")
MEBIBYTE = 1 << 20


def _inspect(sandbox: Sandbox, name: str, template: str) -> str:
    return sandbox.run("container", "inspect", "--format", template, name).stdout.strip()


def _cgroup(pid: int) -> str:
    with open(f"/proc/{pid}/cgroup") as file:
        lines = file.read().splitlines()
    return "/sys/fs/cgroup" + next(line[3:] for line in lines if line.startswith("0::"))


def _container_cgroup(sandbox: Sandbox, name: str) -> str:
    return _cgroup(int(_inspect(sandbox, name, "{{.State.Pid}}")))


def test_a_limit_is_held_or_refused_and_never_ignored(sandbox: Sandbox, busybox: str) -> None:
    asked = ("--memory", "32m", busybox, "cat", "/sys/fs/cgroup/memory.max")
    done = sandbox.run(*RUN, *asked, status=None)
    if done.status == 0:
        assert done.stdout == f"{32 * MEBIBYTE}\n"
        return
    assert done.status == 125
    assert "cannot limit memory of the container" in done.stderr
    assert "--best-effort" in done.stderr
    assert sandbox.run("ps", "-aq").stdout == ""
    done = sandbox.run(*RUN, "--best-effort", "--memory", "32m", busybox, "echo", "ran")
    assert done.stdout == "ran\n"
    assert "WARNING: memory.max is not enforced" in done.stderr


def test_a_limit_of_processes_goes_as_far_as_the_users_own(sandbox: Sandbox, busybox: str) -> None:
    own = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    asked = ("--ulimit", "memlock=-1:-1", busybox, "sh", "-c", "ulimit -Hl")
    done = sandbox.run(*RUN, "--best-effort", *asked)
    if own == resource.RLIM_INFINITY:
        assert (done.stdout, done.stderr) == ("unlimited\n", "")
        return
    assert done.stdout == f"{own // 1024}\n"
    assert done.stderr == f"WARNING: the limit memlock is {own}, not unlimited: raising it takes privileges\n"
    done = sandbox.run(*RUN, *asked, status=125)
    assert "cannot set the limit memlock to unlimited:unlimited" in done.stderr
    assert f"mend: --ulimit memlock={own}   (or: --best-effort)" in done.stderr


@pytest.mark.requires("cgroup_v2")
def test_what_was_asked_for_is_in_the_files_inside(sandbox: Sandbox, busybox: str) -> None:
    limits = ("--memory", "64m", "--memory-swap", "80m", "--cpus", "0.5", "--pids-limit", "50")
    script = "cd /sys/fs/cgroup && cat memory.max memory.swap.max cpu.max pids.max /proc/self/cgroup"
    done = sandbox.run(*RUN, *limits, busybox, "sh", "-c", script)
    expected = [str(64 * MEBIBYTE), str(16 * MEBIBYTE), "50000 100000", "50", "0::/"]
    # a kernel without swap accounting has no memory.swap.max
    assert done.lines in (expected, [expected[0], *expected[2:]])


@pytest.mark.requires("cgroup_v2")
def test_the_hosts_network_brings_none_of_its_cgroups(sandbox: Sandbox, busybox: str) -> None:
    asked = ("--network", "host", "--memory", "32m", busybox, "cat", "/sys/fs/cgroup/memory.max")
    assert sandbox.run("run", "--rm", *asked).stdout == f"{32 * MEBIBYTE}\n"


@pytest.mark.requires("cgroup_v2")
def test_memory_over_the_limit_is_killed_and_told(sandbox: Sandbox, busybox: str) -> None:
    fat = ("dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1")
    sandbox.run("run", "--name", "fat", "--network", "none", "--memory", "32m", busybox, *fat, status=137)
    assert _inspect(sandbox, "fat", "{{.State.OOMKilled}} {{.State.ExitCode}}") == "true 137"
    sandbox.run("run", "--name", "slim", "--network", "none", "--memory", "32m", busybox, "true")
    assert _inspect(sandbox, "slim", "{{.State.OOMKilled}}") == "false"


@pytest.mark.requires("cgroup_v2")
def test_processor_time_is_throttled(sandbox: Sandbox, busybox: str) -> None:
    work = "i=0; while [ $i -lt 500 ]; do i=$((i+1)); done"
    script = f"until grep -q 'nr_throttled [1-9]' /sys/fs/cgroup/cpu.stat; do {work}; done; echo throttled"
    assert sandbox.run(*RUN, "--cpus", "0.2", busybox, "sh", "-c", script).stdout == "throttled\n"


@pytest.mark.requires("cgroup_v2")
def test_the_least_memory_is_enough_to_start(sandbox: Sandbox, busybox: str) -> None:
    assert sandbox.run(*RUN, "--memory", "6m", busybox, "echo", "small").stdout == "small\n"


@pytest.mark.requires("cgroup_v2")
def test_processes_over_the_limit_are_refused(sandbox: Sandbox, busybox: str) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; echo all"
    done = sandbox.run(*RUN, "--pids-limit", "5", busybox, "sh", "-c", script, status=None)
    assert "can't fork" in done.stderr
    assert "all" not in done.stdout


def test_one_process_is_enough_for_one(sandbox: Sandbox, busybox: str) -> None:
    """Neither start nor exec takes a second one on its way, with cgroups or without."""
    assert sandbox.run(*RUN, "--pids-limit", "1", busybox, "echo", "alone").stdout == "alone\n"
    refused = sandbox.run(*RUN, "--pids-limit", "1", busybox, "sh", "-c", "true & echo two", status=None)
    assert "can't fork" in refused.stderr
    sandbox.run(*DETACHED, "--name", "two", "--pids-limit", "2", busybox, "sleep", "1000")
    assert sandbox.run("exec", "two", "echo", "second").stdout == "second\n"
    assert "can't fork" in sandbox.run("exec", "two", "sh", "-c", "true & echo third", status=None).stderr


@pytest.mark.requires("cgroup_v2")
def test_limits_hold_for_exec_and_after_a_restart(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*DETACHED, "--name", "kept", "--memory", "32m", busybox, "sleep", "1000")
    for _life in range(2):
        cgroup = _container_cgroup(sandbox, "kept")
        with open(f"{cgroup}/memory.max") as file:
            assert int(file.read()) == 32 * MEBIBYTE
        inside = sandbox.run("exec", "kept", "sh", "-c", "cat /proc/self/cgroup /sys/fs/cgroup/cgroup.procs")
        assert inside.lines[0] == "0::/"
        # the first process and this one: all of the container is in the cgroup, nothing else of ours is
        assert inside.lines[1] == "1"
        sandbox.run("restart", "-t", "0", "kept")
    sandbox.run("exec", "kept", "dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1", status=137)


@pytest.mark.requires("cgroup_v2")
def test_the_policy_restarts_what_was_killed_for_memory_within_its_limit(
    sandbox: Sandbox, busybox: str, eventually: Wait
) -> None:
    fat = ("dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1")
    sandbox.run(*DETACHED, "--name", "again", "--memory", "32m", "--restart", "on-failure:1", busybox, *fat)
    eventually(lambda: _inspect(sandbox, "again", "{{.State.Status}}") == "exited")
    assert _inspect(sandbox, "again", "{{.RestartCount}} {{.State.OOMKilled}} {{.State.ExitCode}}") == "1 true 137"


@pytest.mark.requires("cgroup_v2")
def test_limits_cannot_be_changed_from_inside(sandbox: Sandbox, busybox: str) -> None:
    script = "cd /sys/fs/cgroup; mkdir sub; echo max > memory.max; cat memory.max"
    done = sandbox.run(*RUN, "--memory", "32m", busybox, "sh", "-c", script)
    assert done.stdout == f"{32 * MEBIBYTE}\n"
    assert done.stderr.count("Read-only file system") == 2


@pytest.mark.requires("cgroup_v2")
def test_the_cgroup_goes_with_the_container(sandbox: Sandbox, busybox: str, eventually: Wait) -> None:
    sandbox.run(*DETACHED, "--name", "short", "--memory", "32m", busybox, "sleep", "1000")
    subtree = os.path.dirname(_container_cgroup(sandbox, "short"))
    assert os.path.isdir(f"{subtree}/monitor")
    sandbox.run("stop", "-t", "0", "short")
    # systemd takes a scope away in its own time
    eventually(lambda: not os.path.exists(subtree))


@pytest.mark.requires("cgroup_v2")
def test_the_cgroup_of_a_killed_monitor_goes_with_the_next_command(
    sandbox: Sandbox, busybox: str, eventually: Wait
) -> None:
    sandbox.run(*DETACHED, "--name", "orphan", "--memory", "32m", busybox, "sleep", "1000")
    pid = int(_inspect(sandbox, "orphan", "{{.State.Pid}}"))
    subtree = os.path.dirname(_cgroup(pid))
    os.kill(monitor_pid(sandbox, "orphan"), signal.SIGKILL)
    leaks.wait_ended(pid)
    assert "Exited (137)" in sandbox.run("ps", "-a").stdout
    eventually(lambda: not os.path.exists(subtree))


@pytest.mark.requires("cgroup_v2")
def test_a_controller_that_is_not_there_is_named(sandbox: Sandbox, busybox: str) -> None:
    done = sandbox.run(*RUN, "--cpuset-cpus", "0", busybox, "cat", "/sys/fs/cgroup/cpuset.cpus", status=None)
    if "cpuset" in sandbox.run("info", "--format", "{{.CgroupStatus}}").stdout:
        assert done.stdout == "0\n"
    else:
        assert done.status == 125
        assert "the controller cpuset is not delegated (there are: cpu" in done.stderr


@pytest.mark.requires("cgroup_v2")
def test_stats_have_the_numbers_of_the_cgroup(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*DETACHED, "--name", "held", "--memory", "64m", "--pids-limit", "50", busybox, "sleep", "1000")
    form = "{{.Source}} {{.PIDs}} {{.MemUsage}}"
    done = sandbox.run("stats", "--no-stream", "--format", form, "held")
    source, processes, used, _slash, limit = done.stdout.split()
    assert (source, processes, limit) == ("cgroup", "1", "64MiB")
    assert used != "0B"
    # a process of exec's is in it as well
    sandbox.run("exec", "-d", "held", "sleep", "1000")
    assert sandbox.run("stats", "--no-stream", "--format", "{{.PIDs}}", "held").stdout == "2\n"


@pytest.mark.requires("cgroup_v2")
def test_doctor_and_info_say_that_limits_hold(sandbox: Sandbox) -> None:
    done = sandbox.run("doctor", status=None)
    assert any(line.split()[:2] == ["ok", "cgroup"] for line in done.lines)
    info = sandbox.run("info", "--format", "{{.CgroupVersion}} {{.MemoryLimit}} {{.CPUCfsQuota}} {{.CgroupDriver}}")
    assert info.stdout in ("2 true true systemd\n", "2 true true cgroupfs\n")


@pytest.mark.requires("cgroup_v2", "systemd")
def test_a_detached_container_has_a_scope_outside_of_the_session(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*DETACHED, "--name", "stays", busybox, "sleep", "1000")
    scope = os.path.dirname(_container_cgroup(sandbox, "stays"))
    assert os.path.basename(scope).startswith("sandbox-")
    assert scope.endswith(".scope")
    assert "/user@" in scope
    assert os.path.dirname(_cgroup(monitor_pid(sandbox, "stays"))) == scope
    assert sandbox.run("exec", "stays", "echo", "in").stdout == "in\n"
