"""`logs` with its options together, of both drivers, and of containers that end or go while somebody follows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
NAMED = ("run", "--network", "none", "--name")
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_options_together(sandbox: Sandbox, busybox: str, driver: str) -> None:
    sandbox.run(
        *NAMED, "talk", "--log-driver", driver, busybox, "sh", "-c", "echo one; echo two; echo three; printf four"
    )
    whole = sandbox.run("logs", "talk").stdout
    assert whole == "one\ntwo\nthree\nfour"
    # of what has ended nothing more is waited for
    assert sandbox.run("logs", "-f", "talk").stdout == whole
    stamped = sandbox.run("logs", "-t", "talk").stdout
    assert re.fullmatch(f"{TIME} one\n{TIME} two\n{TIME} three\n{TIME} four", stamped)
    assert sandbox.run("logs", "-tn2", "talk").lines == stamped.splitlines()[2:]
    times = [line.partition(" ")[0] for line in stamped.splitlines()]
    since = [line for line in stamped.splitlines() if line[:30] >= times[2]]
    assert sandbox.run("logs", "--since", times[2], "-t", "talk").lines == since
    until = [line for line in stamped.splitlines() if line[:30] <= times[1]]
    assert sandbox.run("logs", "--until", times[1], "-t", "--tail", "all", "talk").lines == until
    assert sandbox.run("logs", "--details", "--tail=1", "talk").stdout == " four"
    assert sandbox.run("logs", "-f", "--since", "1h", "--until", "1h", "talk").stdout == ""


def test_the_local_driver_compresses_what_it_rotates(sandbox: Sandbox, busybox: str) -> None:
    options = ("--log-driver", "local", "--log-opt", "max-size=4k", "--log-opt", "max-file=3")
    sandbox.run(*NAMED, "much", *options, busybox, "seq", "1000", "1999")
    lines = sandbox.run("logs", "much").lines
    assert lines == [str(number) for number in range(int(lines[0]), 2000)]
    assert sandbox.run("logs", "--tail", "40", "much").lines == lines[-40:]
    (data,) = (sandbox.home.data / "sandbox/containers").iterdir()
    assert {path.suffix for path in data.glob("log.json.*")} == {".gz"}


def test_details_come_before_each_line(sandbox: Sandbox, busybox: str) -> None:
    asked = ("-l", "tier=a b", "-e", "X=1", "--log-opt", "labels=tier", "--log-opt", "env=X")
    sandbox.run(*NAMED, "told", *asked, busybox, "echo", "line")
    assert sandbox.run("logs", "--details", "told").stdout == "X=1,tier=a+b line\n"
    assert re.fullmatch(f"{TIME} X=1,tier=a\\+b line\n", sandbox.run("logs", "--details", "-t", "told").stdout)
    assert sandbox.run("logs", "told").stdout == "line\n"


def test_who_follows_is_let_go(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*NAMED, "live", "-d", busybox, "sh", "-c", "echo ready; exec sleep 1000")
    # a time that comes while nothing is written
    assert sandbox.run("logs", "-f", "--until", "-200ms", "live").stdout == "ready\n"
    with sandbox.spawn("logs", "-f", "-n", "1", "live") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        sandbox.run("rm", "-f", "live")
        assert process.communicate(timeout=60) == (b"", b"")
        assert process.returncode == 0
    assert "No such container: live" in sandbox.run("logs", "live", status=1).stderr


def test_without_a_log(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*NAMED, "mute", "--log-driver", "none", busybox, "true")
    said = sandbox.run("logs", "mute", status=1).stderr
    assert said.startswith("Error: configured logging driver does not support reading\n")


def test_export_is_told(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("create", "--name", "tree", busybox)
    sandbox.run("export", "-o", str(sandbox.home.root / "tree.tar"), "tree")
    told = sandbox.run("events", "--since", "1h", "--until", "0s", "-f", "container=tree", "--format", "{{.Action}}")
    assert told.lines == ["create", "export"]
