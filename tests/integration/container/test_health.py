"""Health checks of real containers: what a probe is, what is told of it, and when none is run."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.container import operations
from sandbox.errors import ConflictError
from sandbox.operation_context import OperationContext
from sandbox.paths import find_paths
from tests.integration.container.conftest import kill_monitor, monitor_pid
from tests.integration.container.test_events import Follower

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
RUN = ("run", "-d", "--network", "none", "--health-interval", "50ms")
ASLEEP = ("busybox", "sleep", "1000")


def _health(sandbox: Sandbox, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(sandbox.run("inspect", name).stdout)[0]["State"].get("Health", {})
    return document


def _status(sandbox: Sandbox, name: str) -> str:
    return sandbox.run("ps", "-a", "--filter", f"name={name}", "--format", "{{.Status}}").stdout.strip()


def _wait(sandbox: Sandbox, name: str, *wanted: str) -> str:
    context = OperationContext(find_paths(sandbox.env), sandbox.env)
    return operations.wait_healthy(context, name, wanted or ("healthy", "unhealthy"))


def test_a_probe_is_the_container_s_own_and_its_results_are_shown(sandbox: Sandbox, busybox: str) -> None:
    check = 'id -u; pwd; echo "$WHERE" >&2; test -e /tmp/ok'
    who = ("-u", "user", "-w", "/tmp", "-e", "WHERE=inside", "--health-cmd", check, "--health-retries", "2")
    sandbox.run(*RUN, "--name", "web", *who, *ASLEEP)
    assert _wait(sandbox, "web") == "unhealthy"
    health = _health(sandbox, "web")
    assert health["Status"] == "unhealthy"
    assert health["FailingStreak"] >= 2
    assert 2 <= len(health["Log"]) <= 5
    first = health["Log"][0]
    assert (first["ExitCode"], first["Output"]) == (1, "1000\n/tmp\ninside\n")
    assert first["Start"] < first["End"]
    assert _status(sandbox, "web").endswith(" (unhealthy)")
    assert sandbox.run("ps", "-q", "--no-trunc", "--filter", "health=healthy").stdout == ""

    sandbox.run("exec", "web", "touch", "/tmp/ok")
    assert _wait(sandbox, "web", "healthy") == "healthy"
    assert _health(sandbox, "web")["FailingStreak"] == 0
    assert _status(sandbox, "web").endswith(" (healthy)")
    assert sandbox.run("ps", "--filter", "health=healthy", "--format", "{{.Names}} {{.HealthStatus}}").lines == [
        "web healthy"
    ]

    # Docker: nothing tells of one that has ended that it is well
    sandbox.run("kill", "web")
    ended = _health(sandbox, "web")
    assert ended["Status"] == "unhealthy"
    assert ended["Log"][-1]["ExitCode"] == 0
    assert "healthy" not in _status(sandbox, "web")
    with pytest.raises(ConflictError, match="not running"):
        _wait(sandbox, "web")


def test_a_restart_begins_with_starting_again(sandbox: Sandbox, busybox: str) -> None:
    slow = ("--health-interval", "1h", "--health-start-period", "1h", "--health-start-interval", "50ms")
    once = "test -e /tmp/seen || touch /tmp/seen"
    sandbox.run("run", "-d", "--network", "none", "--name", "web", "--health-cmd", once, *slow, *ASLEEP)
    assert _wait(sandbox, "web") == "healthy"
    sandbox.run("restart", "-t", "0", "web")
    assert _wait(sandbox, "web", "starting", "healthy")
    assert _wait(sandbox, "web") == "healthy"
    told = sandbox.run("events", "--since", "1h", "--until", "0s", "--filter", "event=health_status").lines
    assert [line.partition(" container ")[2].split(" ")[:2] for line in told] == [["health_status:", "healthy"]] * 2


@pytest.mark.parametrize(
    ("check", "code", "says"),
    [
        (("--health-cmd", "head -c 9000 /dev/zero | tr '\\0' x"), 0, "x" * 4096 + "..."),
        (("--health-cmd", "kill -9 $$"), 137, ""),
        (("--health-cmd", "echo a; sleep 1000", "--health-timeout", "2s"), -1,
         "Health check exceeded timeout (2s): a\n"),
        (("--health-cmd", "sleep 1000 & wait", "--health-timeout", "1ms"), -1, "Health check exceeded timeout (1ms)"),
    ],
    ids=["long", "killed", "late", "late before it runs"],
)  # fmt: skip
def test_how_a_probe_ends(sandbox: Sandbox, busybox: str, check: tuple[str, ...], code: int, says: str) -> None:
    sandbox.run(*RUN, "--name", "web", "--health-retries", "1", *check, *ASLEEP)
    _wait(sandbox, "web")
    result = _health(sandbox, "web")["Log"][0]
    assert (result["ExitCode"], result["Output"]) == (code, says)


def test_a_probe_that_cannot_be_run_says_why(sandbox: Sandbox, busybox: str, tmp_path: Any) -> None:
    dockerfile = 'FROM busybox\nHEALTHCHECK --interval=50ms --retries=1 CMD ["nowhere", "-x"]\n'
    (tmp_path / "Dockerfile").write_text(dockerfile)
    sandbox.run("build", "-t", "checked", str(tmp_path))
    sandbox.run("run", "-d", "--network", "none", "--name", "web", "checked", "sleep", "1000")
    assert _wait(sandbox, "web") == "unhealthy"
    result = _health(sandbox, "web")["Log"][0]
    assert result["ExitCode"] == -1
    assert 'exec: "nowhere": executable file not found in $PATH' in result["Output"]
    sandbox.run("run", "-d", "--network", "none", "--name", "off", "--no-healthcheck", "checked", "sleep", "1000")
    assert _health(sandbox, "off") == {}
    assert _status(sandbox, "off").startswith("Up ")
    assert "health" not in _status(sandbox, "off")
    with pytest.raises(ConflictError, match="no health check"):
        _wait(sandbox, "off")


def test_a_hung_probe_keeps_nobody_waiting_and_ends_with_the_container(
    sandbox: Sandbox, busybox: str, eventually: Callable[[Callable[[], object]], None]
) -> None:
    program = "trap 'exit 3' USR1; sleep 1000 & wait"
    check = ("--health-cmd", "echo $$ > /tmp/probe; sleep 1000")
    policy = ("--restart", "always", "--stop-signal", "TERM")
    sandbox.run(*RUN, "--name", "web", *policy, *check, "busybox", "sh", "-c", program)
    eventually(lambda: sandbox.run("exec", "web", "cat", "/tmp/probe", status=None).stdout)
    assert sandbox.run("exec", "web", "echo", "there").stdout == "there\n"
    # one is on, so there is no other; and nothing was found yet
    assert _health(sandbox, "web")["Log"] == []
    assert "(health: starting)" in _status(sandbox, "web")
    sandbox.run("kill", "-s", "USR1", "web")
    eventually(lambda: _inspect(sandbox, "{{.RestartCount}} {{.State.Status}}") == "1 running")
    # the probe ended with its run, and its parent knows; one that is being set up has a child for a moment
    eventually(lambda: "Z" not in _states_of_children(monitor_pid(sandbox, "web")))
    sandbox.run("stop", "-t", "0", "web")
    assert _health(sandbox, "web")["Log"] == []


def _inspect(sandbox: Sandbox, template: str) -> str:
    return sandbox.run("inspect", "--format", template, "web").stdout.strip()


def _states_of_children(pid: int) -> list[str]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert children
    states = []
    for child in children:
        with suppress(FileNotFoundError, ProcessLookupError):
            states.append(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0])
    return states


def test_events_of_probes_are_told_while_somebody_follows(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*RUN, "--name", "before", "--health-cmd", "true", *ASLEEP)
    _wait(sandbox, "before")
    sandbox.run("rm", "-f", "before")
    told = sandbox.run("events", "--since", "1h", "--until", "0s").stdout
    assert "health_status: healthy" in told
    assert "exec_" not in told
    follower = Follower(sandbox)
    # it follows from its first line on
    follower.documents()
    sandbox.run(*RUN, "--name", "web", "--health-cmd", "true", *ASLEEP)
    _wait(sandbox, "web")
    documents = [each for each in follower.documents() if each["Action"].startswith(("exec_", "health_"))]
    follower.interrupt()
    assert [each["Action"] for each in documents][:4] == [
        "exec_create: /bin/sh -c true", "exec_start: /bin/sh -c true", "exec_die", "health_status: healthy",
    ]  # fmt: skip
    attributes = [each["Actor"]["Attributes"] for each in documents]
    assert len({each["execID"] for each in attributes[:3]}) == 1
    assert attributes[2]["exitCode"] == "0"


def test_a_killed_monitor_leaves_no_probe_and_a_true_record(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*RUN, "--name", "web", "--health-cmd", "true", *ASLEEP)
    assert _wait(sandbox, "web") == "healthy"
    kill_monitor(sandbox, "web")
    assert _status(sandbox, "web").startswith("Exited (137)")
    assert _health(sandbox, "web")["Status"] == "unhealthy"
    sandbox.run("system", "check")
    sandbox.run("start", "web")
    assert _wait(sandbox, "web") == "healthy"


def test_a_check_is_run_at_a_person_s_wish(sandbox: Sandbox, busybox: str) -> None:
    check = ("--health-interval", "1h", "--health-retries", "2", "--health-cmd", "test -e /tmp/ok")
    sandbox.run("run", "-d", "--network", "none", "--name", "web", *check, *ASLEEP)
    assert sandbox.run("healthcheck", "run", "web", status=1).stdout == "starting\n"
    assert sandbox.run("healthcheck", "run", "web", status=1).stdout == "unhealthy\n"
    sandbox.run("exec", "web", "touch", "/tmp/ok")
    assert sandbox.run("healthcheck", "run", "web").stdout == ""
    health = _health(sandbox, "web")
    assert (health["Status"], [each["ExitCode"] for each in health["Log"]]) == ("healthy", [1, 1, 0])
    sandbox.run("pause", "web")
    assert "is not running" in sandbox.run("healthcheck", "run", "web", status=1).stderr
    # none is run of one that is held: only what was there counts
    assert len(_health(sandbox, "web")["Log"]) == 3
    assert _status(sandbox, "web").endswith(" (Paused)")
    sandbox.run("unpause", "web")
    assert sandbox.run("healthcheck", "run", "web").stdout == ""
    sandbox.run("stop", "-t", "0", "web")
    assert "is not running" in sandbox.run("healthcheck", "run", "web", status=1).stderr
    sandbox.run("run", "-d", "--network", "none", "--name", "bare", *ASLEEP)
    assert "has no health check" in sandbox.run("healthcheck", "run", "bare", status=1).stderr


def test_a_paused_container_is_not_probed(
    sandbox: Sandbox, busybox: str, eventually: Callable[[Callable[[], object]], None]
) -> None:
    hangs = "echo $$ > /tmp/probe; test -e /tmp/ok || sleep 1000"
    sandbox.run(*RUN, "--name", "web", "--health-retries", "1", "--health-cmd", hangs, *ASLEEP)
    eventually(lambda: sandbox.run("exec", "web", "cat", "/tmp/probe", status=None).stdout)
    with_probe = len(_states_of_children(monitor_pid(sandbox, "web")))
    sandbox.run("pause", "web")
    # the one that was under way is ended, and was no failure
    eventually(lambda: len(_states_of_children(monitor_pid(sandbox, "web"))) == with_probe - 1)
    assert _health(sandbox, "web") == {"Status": "starting", "FailingStreak": 0, "Log": []}
    sandbox.run("unpause", "web")
    sandbox.run("exec", "web", "touch", "/tmp/ok")
    sandbox.run("restart", "-t", "0", "web")
    assert _wait(sandbox, "web") == "healthy"
