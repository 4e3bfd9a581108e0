"""Containers brought back after a reboot, which is here a dead monitor and a record of another boot."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.integration.container.conftest import monitor_pid

if TYPE_CHECKING:
    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
ASLEEP = ("busybox", "sleep", "1000")
#: cron's, with a file for the table
_CRONTAB = """#!/bin/sh
case $1 in
-l) test -e "$0.table" || { echo "no crontab for me" >&2; exit 1; }; cat "$0.table" ;;
-r) rm "$0.table" ;;
-) cat > "$0.table" ;;
esac
"""


def _statuses(sandbox: Sandbox) -> dict[str, str]:
    lines = sandbox.run("ps", "-a", "--format", "{{.Names}} {{.State}}").lines
    return dict(line.split(" ", 1) for line in lines)


def _crash(sandbox: Sandbox, *names: str) -> None:
    """What a power failure leaves."""
    with closing(sqlite3.connect(sandbox.home.data / "sandbox/state.db")) as database:
        for name in names:
            monitor = monitor_pid(sandbox, name)
            pidfd = os.pidfd_open(monitor)
            os.kill(monitor, signal.SIGKILL)
            os.close(pidfd)
        with database:
            database.execute("UPDATE container SET state = json_set(state, '$.boot_id', 'before')")


def test_what_a_reboot_ended_is_started_and_nothing_else(sandbox: Sandbox, busybox: str) -> None:
    run = ("run", "-d", "--network", "none")
    sandbox.run(*run, "--name", "always", "--restart", "always", *ASLEEP)
    sandbox.run(*run, "--name", "shares", "--restart", "always", "--pid", "container:always", *ASLEEP)
    sandbox.run(*run, "--name", "unless", "--restart", "unless-stopped", *ASLEEP)
    sandbox.run(*run, "--name", "failing", "--restart", "on-failure", *ASLEEP)
    sandbox.run(*run, "--name", "plain", *ASLEEP)
    sandbox.run(*run, "--name", "killed", "--restart", "unless-stopped", *ASLEEP)
    sandbox.run(*run, "--name", "stopped", "--restart", "unless-stopped", *ASLEEP)
    sandbox.run(*run, "--name", "down", "--restart", "always", *ASLEEP)
    sandbox.run("create", "--network", "none", "--name", "new", "--restart", "always", *ASLEEP)
    sandbox.run("kill", "killed")
    sandbox.run("stop", "-t", "0", "stopped", "down")
    _crash(sandbox, "shares", "unless", "failing", "plain", "always")

    assert sandbox.run("system", "autostart", "run").lines == ["always", "unless", "down", "shares"]
    assert _statuses(sandbox) == {
        "always": "running", "shares": "running", "unless": "running", "down": "running",
        "failing": "exited", "plain": "exited", "killed": "exited", "stopped": "exited", "new": "created",
    }  # fmt: skip
    assert sandbox.run("system", "autostart", "run").lines == []
    sandbox.run("system", "check")


def test_one_that_cannot_be_started_keeps_no_other_from_it(sandbox: Sandbox, busybox: str) -> None:
    run = ("run", "-d", "--network", "none", "--restart", "always")
    sandbox.run("volume", "create", "data")
    sandbox.run(*run, "--name", "broken", "-v", "data:/data", *ASLEEP)
    sandbox.run(*run, "--name", "good", *ASLEEP)
    _crash(sandbox, "broken", "good")
    os.rmdir(sandbox.home.data / "sandbox/volumes/data/_data")
    started = sandbox.run("system", "autostart", "run", status=1)
    assert started.lines == ["good"]
    assert "cannot mount volume data" in started.stderr


@pytest.mark.parametrize("mine", ["", "0 4 * * * mine\n@reboot also mine"], ids=["no crontab", "a crontab"])
def test_cron_is_asked_and_no_more(sandbox: Sandbox, busybox: str, mine: str) -> None:
    programs = sandbox.home.root / "programs"
    programs.mkdir()
    (programs / "crontab").write_text(_CRONTAB)
    (programs / "crontab").chmod(0o755)
    table = programs / "crontab.table"
    if mine:
        table.write_text(mine)
    sandbox.env["PATH"] = f"{programs}:{sandbox.env['PATH']}"
    sandbox.run("run", "-d", "--network", "none", "--restart", "unless-stopped", "--name", "web", *ASLEEP)
    assert "not started after a reboot" in sandbox.run("doctor", "autostart").stdout
    assert sandbox.run("system", "autostart", status=1).lines == [
        "Disabled: no container is started at boot", "Containers: web",
    ]  # fmt: skip
    enable = ("system", "autostart", "enable", "--method", "cron")
    assert sandbox.run(*enable).lines == ["Enabled: by cron (the crontab)"]
    written = table.read_text()
    assert sandbox.run(*enable).lines == ["Enabled: by cron (the crontab)"]
    assert table.read_text() == written
    assert written.startswith(mine)
    assert "it calls another command" not in sandbox.run("system", "autostart", "status").stderr
    assert "web: not started after a reboot" not in sandbox.run("doctor", "autostart").stdout
    sandbox.run("system", "check")

    # what cron would do, with its own environment
    (entry,) = [line for line in written.splitlines() if "autostart run" in line]
    _crash(sandbox, "web")
    log = sandbox.home.data / "sandbox/autostart.log"
    os.spawnve(
        os.P_WAIT,
        "/bin/sh",
        ["sh", "-c", entry.removeprefix("@reboot ").replace("\\%", "%")],
        {"HOME": str(sandbox.home.root), "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(sandbox.home.runtime)},
    )
    assert log.read_text() == "web\n"
    assert _statuses(sandbox) == {"web": "running"}

    assert sandbox.run("system", "autostart", "disable").lines == ["Disabled: removed from the crontab"]
    assert sandbox.run("system", "autostart", "disable").lines == ["It was not enabled"]
    if mine:
        assert table.read_text() == f"{mine}\n"
    else:
        assert not table.exists()


def test_a_unit_of_systemd_takes_the_place_of_cron(sandbox: Sandbox) -> None:
    unit = sandbox.home.root / ".config/systemd/user/sandbox-autostart.service"
    enabled = sandbox.run("system", "autostart", "enable", "--method", "systemd")
    assert enabled.stdout.startswith("Enabled: by systemd")
    assert str(unit) in enabled.stdout
    assert f'Environment="XDG_DATA_HOME={sandbox.home.data}"' in unit.read_text()
    assert "no container has a policy" in enabled.stderr
    # for another data root it would be another
    other = {"XDG_DATA_HOME": str(sandbox.home.root / "other")}
    assert "it calls another command" in sandbox.run("system", "autostart", env=other).stderr
    assert sandbox.run("system", "autostart", "disable").lines == [f"Disabled: removed from {unit}"]
    assert not unit.exists()


@pytest.mark.requires("systemd")
def test_systemd_takes_the_unit_and_starts_them(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("run", "-d", "--network", "none", "--restart", "always", "--name", "web", *ASLEEP)
    sandbox.run("volume", "create", "data")
    sandbox.run(
        "run", "-d", "--network", "none", "--restart", "always", "--name", "broken", "-v", "data:/data", *ASLEEP
    )
    sandbox.run("system", "autostart", "enable", "--method", "systemd")
    _crash(sandbox, "web", "broken")
    os.rmdir(sandbox.home.data / "sandbox/volumes/data/_data")
    unit = sandbox.home.root / ".config/systemd/user/sandbox-autostart.service"
    manager = ("systemctl", "--user")
    try:
        subprocess.run([*manager, "link", "--runtime", unit], check=True)
        subprocess.run([*manager, "start", unit.name], check=True)
        # one that cannot be started is told, and ends no other
        assert _statuses(sandbox) == {"web": "running", "broken": "exited"}
        shown = subprocess.run([*manager, "is-active", unit.name], capture_output=True, text=True, check=False)
        assert shown.stdout == "active\n"
    finally:
        subprocess.run([*manager, "stop", unit.name], check=False)
        subprocess.run([*manager, "disable", "--runtime", unit.name], check=False)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("on",), "no such action: on"),
        (("enable", "--method", "upstart"), "no such method: upstart"),
        (("disable", "--method", "cron"), "--method goes with enable alone"),
    ],
)
def test_words_that_mean_nothing(sandbox: Sandbox, words: tuple[str, ...], says: str) -> None:
    assert says in sandbox.run("system", "autostart", *words, status=125).stderr
