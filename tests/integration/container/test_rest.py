"""Monitors that have nothing to do rest, as a few pages of memory; whatever comes then is answered as ever."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import leaks
from tests.integration.container.conftest import monitor_pid, state_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

    Wait = Callable[[Callable[[], object]], None]

pytestmark = [pytest.mark.requires("userns", "subids", "busybox", "slirp4netns"), pytest.mark.slow]

_POLITE = "trap 'echo asked; exit 5' USR1; trap 'echo hup' HUP; echo up; while :; do sleep 0.05; done"
#: what each container has that its monitor must know again when it is woken
_OPTIONS = {
    "told": ("--network", "none", "--health-cmd", "true", "--health-interval", "1h"),
    "again": ("--restart", "always", "-p", "127.0.0.1::80"),
    "ended": ("--network", "slirp4netns", "-p", "127.0.0.1::80"),
    "lost": ("--network", "none"),
    "far": ("--network", "none", "-t"),
}
_MOST_KILOBYTES = 200


def _run(sandbox: Sandbox, image: str, name: str) -> None:
    options = ("--stop-signal", "USR1", *_OPTIONS[name])
    sandbox.run("run", "-d", "--name", name, *options, image, "sh", "-c", _POLITE)


def _rests(monitor: int) -> bool:
    return os.readlink(f"/proc/{monitor}/exe").startswith("/memfd:")


def _inspect(sandbox: Sandbox, name: str, template: str) -> str:
    return sandbox.run("container", "inspect", "--format", template, name).stdout.strip()


def _kilobytes(monitor: int) -> int:
    found = re.search(r"^Pss:\s+(\d+) kB$", Path(f"/proc/{monitor}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found.group(1))


def test_a_resting_monitor_is_woken_by_whatever_happens(sandbox: Sandbox, busybox: str, eventually: Wait) -> None:
    for name in _OPTIONS:
        _run(sandbox, busybox, name)
    monitors = {name: monitor_pid(sandbox, name) for name in _OPTIONS}
    pids = {name: int(_inspect(sandbox, name, "{{.State.Pid}}")) for name in _OPTIONS}
    eventually(lambda: all(_rests(monitor) for monitor in monitors.values()))
    assert max(_kilobytes(monitor) for monitor in monitors.values()) < _MOST_KILOBYTES
    # it has what it needs to go on: neither of these need be there any more
    shutil.rmtree(sandbox.home.data / "sandbox/cache/monitor-code")
    shutil.rmtree(sandbox.home.runtime / "sandbox/containers")

    # output, which is in the log though nobody asks
    log = Path(_inspect(sandbox, "told", "{{.LogPath}}"))
    os.kill(pids["told"], signal.SIGHUP)
    eventually(lambda: "hup" in log.read_text())
    sandbox.run("stop", "told")
    assert _inspect(sandbox, "told", "{{.State.Status}} {{.State.ExitCode}}") == "exited 5"
    assert sandbox.run("logs", "told").lines == ["up", "hup", "asked"]

    # a command, which has lost the socket
    sandbox.run("kill", "-s", "HUP", "far")
    sandbox.wait_for_log("far", "hup")
    assert monitor_pid(sandbox, "far") == monitors["far"]

    # the end of the container: it is started again, by the same monitor
    os.kill(pids["again"], signal.SIGKILL)
    eventually(lambda: _inspect(sandbox, "again", "{{.RestartCount}} {{.State.Status}}") == "1 running")
    assert monitor_pid(sandbox, "again") == monitors["again"]

    # the end of the session
    os.kill(monitors["ended"], signal.SIGTERM)
    eventually(lambda: _inspect(sandbox, "ended", "{{.State.Status}} {{.State.ExitCode}}") == "exited 5")

    # and its own
    os.kill(monitors["lost"], signal.SIGKILL)
    eventually(lambda: not os.path.exists(f"/proc/{pids['lost']}"))
    assert _inspect(sandbox, "lost", "{{.State.Status}}") == "exited"

    sandbox.run("rm", "-f", *_OPTIONS)
    assert state_files(sandbox) == []
    assert leaks.wait_processes_gone(str(sandbox.home.root)) == []
