"""`top` and `stats` of real containers, from outside."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

import sandbox as api
from tests.integration.container.test_output import Terminal

if TYPE_CHECKING:
    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
DETACHED = ("run", "-d", "--network", "none")
BUSY = "echo ready; while :; do :; done"


def commands(sandbox: Sandbox, name: str) -> list[str]:
    return sorted(line.split(None, 1)[1] for line in sandbox.run("top", name, "-o", "pid,args").lines[1:])


def test_top_shows_a_container_s_own_processes(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*DETACHED, "--name", "web", busybox, "sleep", "1000")
    sandbox.run("exec", "-d", "web", "sleep", "1001")
    sandbox.run(*DETACHED, "--name", "neighbour", "--pid", "container:web", busybox, "sleep", "1002")
    sandbox.run(*DETACHED, "--name", "guest", "--pid", "host", busybox, "sleep", "1003")
    titles, first, _second = sandbox.run("top", "web").lines
    assert titles.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert titles.index("PID") == 20
    pid = sandbox.run("inspect", "-f", "{{.State.Pid}}", "web").stdout.strip()
    assert first.split()[1] == pid
    assert commands(sandbox, "web") == ["sleep 1000", "sleep 1001"]
    assert commands(sandbox, "neighbour") == ["sleep 1002"]
    assert commands(sandbox, "guest") == ["sleep 1003"]
    assert "Couldn't find PID" in sandbox.run("top", "web", "-o", "args", status=1).stderr
    assert "not allowed" in sandbox.run("top", "web", "-o", "user=PID", status=1).stderr
    assert "ps: " in sandbox.run("top", "web", "--no-such-option", status=1).stderr
    assert "No such container" in sandbox.run("top", "nobody", status=1).stderr
    without = sandbox.run("top", "web", "-eo", "pid,args", env={"PATH": "/nonexistent"})
    assert [line.split(None, 1)[1] for line in without.lines] == ["COMMAND", "sleep 1000", "sleep 1001"]
    sandbox.run("kill", "web")
    assert "is not running" in sandbox.run("top", "web", status=1).stderr
    told = sandbox.run("events", "--since", "1h", "--until", "0s", "-f", "event=top", "--format", "{{.Action}}")
    assert set(told.lines) == {"top"}


def test_stats_of_a_busy_one_and_of_one_that_has_ended(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*DETACHED, "--name", "busy", busybox, "sh", "-c", BUSY)
    sandbox.wait_for_log("busy", "ready")
    sandbox.run("run", "--network", "none", "--name", "over", busybox, "true")
    lines = sandbox.run("stats", "-a", "--no-stream", "--format", "json").lines
    over, busy = sorted(map(json.loads, lines), key=lambda row: str(row["Name"]), reverse=True)
    assert float(busy["CPUPerc"].removesuffix("%")) > 1
    assert (busy["PIDs"], busy["NetIO"]) == ("1", "0B / 0B")
    assert busy["MemUsage"].partition(" / ")[0] != "0B"
    assert busy["Source"] in ("cgroup", "proc")
    assert (over["Name"], over["CPUPerc"], over["MemUsage"], over["PIDs"]) == ("over", "0.00%", "0B / 0B", "0")
    titles, row = sandbox.run("stats", "--no-stream", "busy").lines
    assert titles.split("  ")[0] == "CONTAINER ID"
    assert row.split()[1] == "busy"
    assert "No such container: nobody" in sandbox.run("stats", "busy", "nobody", status=1).stderr
    assert "can't evaluate field Nope" in sandbox.run("stats", "--format", "{{.Nope}}", status=1).stderr


def test_stats_go_on_with_who_comes_and_goes(sandbox: Sandbox, busybox: str) -> None:
    with sandbox.spawn("stats", "--format", "{{.Name}} {{.PIDs}}") as process:
        assert process.stdout is not None
        try:
            sandbox.run(*DETACHED, "--name", "web", busybox, "sleep", "1000")
            assert process.stdout.readline() == b"web 1\n"
        finally:
            process.kill()
    with sandbox.spawn("stats", "--format", "{{.Name}}", "web") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"web\n"
        sandbox.run("rm", "-f", "web")
        # named, and gone: told once, and the end
        assert process.stdout.read().splitlines()[-1] == b"--"
        assert process.wait() == 0


def test_stats_are_drawn_over_and_over_on_a_terminal(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*DETACHED, "--name", "web", busybox, "sleep", "1000")
    terminal = Terminal(sandbox, "stats")
    terminal.expect(b"\x1b[2J\x1b[HCONTAINER ID")
    terminal.expect(b"web")
    terminal.expect(b"\x1b[J\x1b[HCONTAINER ID")
    terminal.type(b"\x03")
    assert terminal.end() == 130
    assert b"Error" not in terminal.seen


def test_a_program_asks(sandbox: Sandbox, busybox: str) -> None:
    with api.Client(environment=sandbox.env, remove_created=True) as box:
        web = box.containers.run(busybox, ["sleep", "1000"], network_mode="none", detach=True)
        table = web.top("-o pid,args")
        assert (table["Titles"], [row[1] for row in table["Processes"]]) == (["PID", "COMMAND"], ["sleep 1000"])
        with closing(box.events(filters={"event": "exec_die"})) as events:
            assert web.exec_run(["sh", "-c", "exit 5"], detach=True) == (None, b"")
            assert next(events)["Actor"]["Attributes"]["exitCode"] == "5"
        once = web.stats(stream=False)
        assert once["precpu_stats"]["system_cpu_usage"] < once["cpu_stats"]["system_cpu_usage"]
        shot = web.stats(stream=False, one_shot=True)
        assert "system_cpu_usage" not in shot["precpu_stats"]
        documents = web.stats(decode=True)
        assert [next(documents)["id"], next(documents)["id"]] == [web.id, web.id]
        web.remove(force=True)
        assert all(document["id"] == web.id for document in documents)
        with pytest.raises(api.NotFound):
            web.stats(stream=False)
