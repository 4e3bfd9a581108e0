"""Stop, kill, restart, remove; and what is found after a monitor, a helper or the whole machine went down."""

from __future__ import annotations

import http.client
import os
import signal
import sqlite3
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests import leaks
from tests.integration.container.conftest import kill_monitor, monitor_pid, slirp_pid, state_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

    Wait = Callable[[Callable[[], object]], None]

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
DETACHED = ("run", "-d", "--network", "none")


def _inspect(sandbox: Sandbox, name: str, template: str) -> str:
    return sandbox.run("container", "inspect", "--format", template, name).stdout.strip()


def _is_gone(pid: int) -> bool:
    return not os.path.exists(f"/proc/{pid}")


def test_exec_enters_no_process_that_has_the_number_of_the_container_s(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("run", "-d", "--name", "web", "--network", "none", busybox, "sleep", "300")
    sandbox.run("run", "-d", "--name", "other", "--network", "none", busybox, "sleep", "300")
    other = int(_inspect(sandbox, "other", "{{.State.Pid}}"))
    with closing(sqlite3.connect(sandbox.home.data / "sandbox/state.db")) as database, database:
        database.execute("UPDATE container SET state = json_set(state, '$.pid', ?) WHERE name = 'web'", (other,))
    refused = sandbox.run("exec", "web", "cat", "/etc/hostname", status=1)
    assert "not running" in refused.stderr
    assert refused.stdout == ""


def test_stop_asks_with_the_stop_signal_then_kills(sandbox: Sandbox, busybox: str) -> None:
    polite = "trap 'exit 5' USR1; echo up; while :; do sleep 0.05; done"
    sandbox.run(*DETACHED, "--name", "polite", "--stop-signal", "USR1", busybox, "sh", "-c", polite)
    sandbox.wait_for_log("polite", "up")
    assert sandbox.run("stop", "polite").stdout == "polite\n"
    assert _inspect(sandbox, "polite", "{{.State.Status}} {{.State.ExitCode}}") == "exited 5"
    sandbox.run(*DETACHED, "--name", "deaf", busybox, "sleep", "1000")
    sandbox.run("stop", "-t", "0", "deaf")
    assert _inspect(sandbox, "deaf", "{{.State.ExitCode}}") == "137"
    # again is no error, as in Docker
    assert sandbox.run("stop", "deaf").stdout == "deaf\n"


def test_a_monitor_that_is_terminated_stops_its_container_as_docker_does_at_shutdown(
    sandbox: Sandbox, busybox: str
) -> None:
    """By its stop signal, with time to end; its restart policy does not bring it back."""
    polite = "trap 'echo asked; exit 5' USR1; echo up; while :; do sleep 0.05; done"
    options = ("--name", "polite", "--restart", "always", "--stop-signal", "USR1")
    sandbox.run(*DETACHED, *options, busybox, "sh", "-c", polite)
    sandbox.wait_for_log("polite", "up")
    monitor = monitor_pid(sandbox, "polite")
    os.kill(monitor, signal.SIGTERM)
    leaks.wait_ended(monitor)
    assert _inspect(sandbox, "polite", "{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}") == "exited 5"
    assert sandbox.run("logs", "polite").lines == ["up", "asked"]
    sandbox.run("rm", "polite")
    assert state_files(sandbox) == []


def test_a_monitor_that_is_terminated_kills_when_the_time_is_over(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*DETACHED, "--name", "deaf", "--stop-timeout", "0", busybox, "sleep", "1000")
    monitor = monitor_pid(sandbox, "deaf")
    os.kill(monitor, signal.SIGTERM)
    leaks.wait_ended(monitor)
    assert _inspect(sandbox, "deaf", "{{.State.Status}} {{.State.ExitCode}}") == "exited 137"


def test_a_monitor_that_is_terminated_between_two_runs_ends(sandbox: Sandbox, busybox: str) -> None:
    """While it waits to start the container again there is nothing to signal."""
    sandbox.run(*DETACHED, "--name", "failing", "--restart", "always", busybox, "false")
    with closing(sqlite3.connect(sandbox.home.data / "sandbox/state.db")) as connection:
        (monitor,) = connection.execute("SELECT json_extract(state, '$.monitor_pid') FROM container").fetchone()
    os.kill(monitor, signal.SIGTERM)
    assert leaks.wait_processes_gone(str(sandbox.home.root)) == []
    assert _inspect(sandbox, "failing", "{{.State.Status}}") == "exited"


def test_kill_sends_what_is_asked_for(sandbox: Sandbox, busybox: str) -> None:
    script = "trap 'echo hup' HUP; echo up; while :; do sleep 0.05; done"
    sandbox.run(*DETACHED, "--name", "target", busybox, "sh", "-c", script)
    sandbox.wait_for_log("target", "up")
    sandbox.run("kill", "-s", "HUP", "target")
    sandbox.wait_for_log("target", "hup")
    sandbox.run("kill", "target")
    assert sandbox.run("wait", "target").stdout == "137\n"
    assert "hup" in sandbox.run("logs", "target").stdout
    refused = sandbox.run("kill", "target", status=1)
    assert "is not running" in refused.stderr
    assert "invalid signal" in sandbox.run("kill", "-s", "NOPE", "target", status=1).stderr


def test_several_targets_are_all_tried(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*DETACHED, "--name", "one", busybox, "sleep", "1000")
    done = sandbox.run("rm", "-f", "nobody", "one")
    assert done.stdout == "one\n"
    done = sandbox.run("stop", "nobody", "no-other", status=1)
    assert done.stderr.count("No such container") == 2


def test_a_running_container_is_removed_only_by_force(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*DETACHED, "--name", "busy", busybox, "sleep", "1000")
    refused = sandbox.run("rm", "busy", status=1)
    assert "stop the container before removing or force remove" in refused.stderr
    pid = int(_inspect(sandbox, "busy", "{{.State.Pid}}"))
    sandbox.run("rm", "-f", "busy")
    assert _is_gone(pid)
    assert state_files(sandbox) == []


def test_restart_and_start_keep_the_files(sandbox: Sandbox, busybox: str) -> None:
    script = "echo line >> /log; wc -l < /log; sleep 1000"
    sandbox.run(*DETACHED, "--name", "again", busybox, "sh", "-c", script)
    sandbox.run("restart", "-t", "0", "again")
    sandbox.run("stop", "-t", "0", "again")
    sandbox.run("start", "again")
    # a second start of what runs is no error
    sandbox.run("start", "again")
    sandbox.run("rm", "-f", "again")


def test_rename_and_names_after_it(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("create", "--name", "old", busybox, "true")
    sandbox.run("create", "--name", "other", busybox, "true")
    sandbox.run("rename", "old", "new")
    assert "No such container: old" in sandbox.run("container", "inspect", "old", status=1).stderr
    assert "already in use" in sandbox.run("rename", "new", "other", status=1).stderr
    assert "Invalid container name" in sandbox.run("rename", "new", "../x", status=1).stderr


def test_on_failure_restarts_as_often_as_told(sandbox: Sandbox, busybox: str, eventually: Wait) -> None:
    sandbox.run(*DETACHED, "--name", "failing", "--restart", "on-failure:2", busybox, "sh", "-c", "echo try; exit 3")
    eventually(lambda: _inspect(sandbox, "failing", "{{.State.Status}}") == "exited")
    assert _inspect(sandbox, "failing", "{{.RestartCount}} {{.State.ExitCode}}") == "2 3"
    assert sandbox.run("logs", "failing").stdout == "try\n" * 3


def test_always_restarts_until_it_is_stopped(sandbox: Sandbox, busybox: str, eventually: Wait) -> None:
    sandbox.run(*DETACHED, "--name", "phoenix", "--restart", "always", busybox, "sh", "-c", "sleep 0.1")
    eventually(lambda: int(_inspect(sandbox, "phoenix", "{{.RestartCount}}")) >= 2)
    sandbox.run("stop", "-t", "1", "phoenix")
    assert _inspect(sandbox, "phoenix", "{{.State.Status}}") == "exited"


def test_the_stop_signal_ends_restarts_wherever_it_comes_from(sandbox: Sandbox, busybox: str) -> None:
    script = "trap 'exit 3' TERM; trap 'exit 4' USR1; echo up; while :; do sleep 0.05; done"
    for name, options in (("said", ("--stop-signal", "TERM")), ("default", ())):
        sandbox.run(*DETACHED, "--restart", "always", "--name", name, *options, busybox, "sh", "-c", script)
        sandbox.wait_for_log(name, "up")
        monitor = monitor_pid(sandbox, name)
        sandbox.run("kill", "-s", "TERM", name)
        leaks.wait_ended(monitor)
        assert _inspect(sandbox, name, "{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}") == "exited 3 0"


def test_a_killed_monitor_takes_its_container_along_and_the_next_command_mends(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*DETACHED, "--name", "orphan", busybox, "sleep", "1000")
    pid, monitor = int(_inspect(sandbox, "orphan", "{{.State.Pid}}")), monitor_pid(sandbox, "orphan")
    os.kill(monitor, signal.SIGKILL)
    leaks.wait_ended(pid)
    assert "Exited (137)" in sandbox.run("ps", "-a").stdout
    assert _inspect(sandbox, "orphan", "{{.State.Error}}") == "the monitor was killed"
    assert sandbox.run("wait", "orphan").stdout == "137\n"
    assert sandbox.run("start", "orphan").stdout == "orphan\n"
    sandbox.run("rm", "-f", "orphan")
    assert state_files(sandbox) == []


def test_a_killed_monitor_in_the_foreground_ends_the_command_with_137(sandbox: Sandbox, busybox: str) -> None:
    process = sandbox.spawn(
        "run", "--rm", "--network", "none", "--name", "fg", busybox, "sh", "-c", "echo up; sleep 1000"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    kill_monitor(sandbox, "fg")
    process.communicate()
    assert process.returncode == 137
    assert sandbox.run("ps", "-aq").stdout == ""
    assert state_files(sandbox) == []


def test_what_a_reboot_leaves_is_told_as_such(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*DETACHED, "--name", "before", busybox, "sleep", "1000")
    monitor = monitor_pid(sandbox, "before")
    _change_state(sandbox, "before", "boot_id", "00000000-0000-0000-0000-000000000000")
    assert "Exited (137)" in sandbox.run("ps", "-a").stdout
    assert _inspect(sandbox, "before", "{{.State.Error}}") == "the machine was restarted"
    os.kill(monitor, signal.SIGKILL)


def _change_state(sandbox: Sandbox, name: str, key: str, value: str) -> None:
    connection = sqlite3.connect(sandbox.home.data / "sandbox/state.db")
    connection.execute("UPDATE container SET state = json_set(state, ?, ?) WHERE name = ?", (f"$.{key}", value, name))
    connection.commit()
    connection.close()


@pytest.mark.requires("slirp4netns", "tap")
def test_a_killed_slirp4netns_is_started_again_with_its_ports(sandbox: Sandbox, busybox: str, eventually: Wait) -> None:
    private = ("--network", "slirp4netns")
    sandbox.run("run", "-d", "-p", "80", *private, "--name", "cut", busybox, "httpd", "-f", "-p", "80", "-h", "/etc")
    port = sandbox.run("port", "cut", "80").stdout.rpartition(":")[2].strip()
    monitor = monitor_pid(sandbox, "cut")
    helper = slirp_pid(monitor)
    os.kill(helper, signal.SIGKILL)
    leaks.wait_ended(helper)
    assert sandbox.run("exec", "cut", "echo", "alive").stdout == "alive\n"
    eventually(lambda: _answers(f"http://127.0.0.1:{port}/hostname"))
    assert "Up " in sandbox.run("ps").stdout
    again = slirp_pid(monitor)
    assert again != helper
    sandbox.run("rm", "-f", "cut")
    leaks.wait_ended(again)
    assert state_files(sandbox) == []


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def test_an_ambiguous_prefix_is_refused(sandbox: Sandbox, busybox: str) -> None:
    # seventeen ids: two of them begin with the same digit
    ids = [sandbox.run("create", busybox, "true").stdout.strip() for _ in range(17)]
    first = next(i for i in (container_id[0] for container_id in ids) if sum(x[0] == i for x in ids) > 1)
    assert f"Multiple IDs found with provided prefix: {first}" in sandbox.run("rm", first, status=1).stderr


def test_inspect_gives_back_what_create_asked_for(sandbox: Sandbox, busybox: str) -> None:
    asked = (
        *("-v", "kept:/kept:nocopy", "--mount", "type=tmpfs,dst=/t,tmpfs-size=1m", "--tmpfs", "/run:size=64k"),
        *("-p", "8080-8082:80", "--ipc", "shareable", "--annotation", "a=b", "--pids-limit", "-1"),
    )
    sandbox.run("create", "--name", "asked", *asked, busybox, "true")
    form = (
        "{{json .Binds}} {{json .Mounts}} {{json .Tmpfs}} {{json .PortBindings}} {{.IpcMode}} {{json .Annotations}}"
        " {{.PidsLimit}}"
    )
    sandbox.run("create", "--name", "plain", busybox, "true")
    left_out = "{{.HostConfig.Annotations}} {{.HostConfig.Mounts}}"
    assert sandbox.run("inspect", "-f", left_out, "plain").lines == ["map[] []"]
    (line,) = sandbox.run("inspect", "-f", "{{with .HostConfig}}" + form + "{{end}}", "asked").lines
    assert line == (
        '["kept:/kept:nocopy"] [{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":1048576}}]'
        ' {"/run":"size=64k"} {"80/tcp":[{"HostIp":"","HostPort":"8080-8082"}]} shareable {"a":"b"} -1'
    )
