"""A running container whose runtime directory is gone, or is not where a command looks: it is found all the same."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests import leaks
from tests.integration.container.conftest import has_socket, monitor_pid, state_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.command import Sandbox

    Wait = Callable[[Callable[[], object]], None]

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]

_POLITE = "trap 'echo asked; exit 5' USR1; trap 'echo hup' HUP; echo up; while :; do sleep 0.05; done"


def _run(sandbox: Sandbox, image: str, name: str, *options: str, script: str = _POLITE) -> None:
    options = ("--network", "none", "--stop-signal", "USR1", *options)
    sandbox.run("run", "-d", "--name", name, *options, image, "sh", "-c", script)
    sandbox.wait_for_log(name, "up")


def _clean_up(sandbox: Sandbox) -> None:
    """As a log-out does."""
    shutil.rmtree(sandbox.home.runtime / "sandbox", ignore_errors=True)


def _ended(sandbox: Sandbox, name: str) -> str:
    template = "{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}"
    return sandbox.run("container", "inspect", "--format", template, name).stdout.strip()


def test_every_command_finds_a_container_without_its_runtime_directory(
    sandbox: Sandbox, busybox: str, eventually: Wait
) -> None:
    _run(sandbox, busybox, "polite")
    _clean_up(sandbox)
    assert sandbox.run("exec", "polite", "echo", "in").lines == ["in"]
    sandbox.run("kill", "-s", "HUP", "polite")
    sandbox.wait_for_log("polite", "hup")
    _clean_up(sandbox)
    follower = sandbox.spawn("logs", "-f", "polite")
    assert follower.stdout is not None
    assert [follower.stdout.readline() for _ in range(2)] == [b"up\n", b"hup\n"]
    _clean_up(sandbox)
    joined = sandbox.spawn("attach", "--no-stdin", "--sig-proxy=false", "polite")
    _clean_up(sandbox)
    waiting = sandbox.spawn("wait", "polite")
    eventually(lambda: joined.poll() is not None or has_socket(joined.pid))
    eventually(lambda: waiting.poll() is not None or has_socket(waiting.pid))
    _clean_up(sandbox)
    sandbox.run("stop", "polite")
    assert _ended(sandbox, "polite") == "exited 5"
    assert b"asked\n" in joined.communicate()[0]
    assert joined.returncode == 5
    assert waiting.communicate()[0] == b"5\n"
    assert follower.communicate()[0].endswith(b"asked\n")
    sandbox.run("rm", "polite")
    assert state_files(sandbox) == []


def test_restart_kill_and_removal_without_the_runtime_directory(sandbox: Sandbox, busybox: str) -> None:
    _run(sandbox, busybox, "polite")
    _clean_up(sandbox)
    sandbox.run("restart", "polite")
    assert sandbox.run("logs", "polite").lines == ["up", "asked", "up"]
    _clean_up(sandbox)
    sandbox.run("kill", "polite")
    assert _ended(sandbox, "polite") == "exited 137"
    sandbox.run("start", "polite")
    _clean_up(sandbox)
    sandbox.run("rm", "-f", "polite")
    assert state_files(sandbox) == []


def test_a_restart_by_policy_makes_its_mounts_again(sandbox: Sandbox, busybox: str) -> None:
    script = "echo line >>/kept; trap 'exit 3' HUP; echo up $(wc -l </kept); while :; do sleep 0.05; done"
    options = ("run", "-d", "--network", "none", "--restart", "on-failure", "--stop-signal", "USR1", "--name", "again")
    sandbox.run(*options, busybox, "sh", "-c", script)
    sandbox.wait_for_log("again", "up 1")
    _clean_up(sandbox)
    sandbox.run("kill", "-s", "HUP", "again")
    sandbox.wait_for_log("again", "up 2")
    assert sandbox.run("exec", "again", "cat", "/kept").lines == ["line", "line"]
    sandbox.run("stop", "-t", "0", "again")
    assert _ended(sandbox, "again") == "exited 137"


def test_a_command_with_another_environment_finds_it(sandbox: Sandbox, busybox: str, tmp_path: Path) -> None:
    """As cron has it, or a session after a log-out."""
    _run(sandbox, busybox, "polite")
    monitor = monitor_pid(sandbox, "polite")
    elsewhere = tmp_path / "run"
    elsewhere.mkdir(mode=0o700)
    sandbox.run("stop", "polite", env={"XDG_RUNTIME_DIR": str(elsewhere)})
    leaks.wait_ended(monitor)
    assert _ended(sandbox, "polite") == "exited 5"
    assert list(sandbox.home.runtime.glob("sandbox/containers/*")) == []
    # and one that finds neither, for the place is not reachable any more
    sandbox.run("start", "polite")
    hidden = sandbox.home.root / "hidden"
    sandbox.home.runtime.rename(hidden)
    sandbox.run("stop", "polite", env={"XDG_RUNTIME_DIR": str(elsewhere)})
    assert _ended(sandbox, "polite") == "exited 5"
    if not sandbox.home.runtime.exists():
        hidden.rename(sandbox.home.runtime)
    assert [path for path in elsewhere.glob("sandbox/containers/*") if list(path.iterdir())] == []


def test_a_repair_of_another_data_root_leaves_what_runs_alone(sandbox: Sandbox, busybox: str, tmp_path: Path) -> None:
    _run(sandbox, busybox, "polite")
    other = tmp_path / "data"
    other.mkdir()
    assert len(state_files(sandbox)) == 2
    sandbox.run("system", "check", "--repair", env={"XDG_DATA_HOME": str(other)})
    assert len(state_files(sandbox)) == 2
    sandbox.run("stop", "polite")
    assert _ended(sandbox, "polite") == "exited 5"
