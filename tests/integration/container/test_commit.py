"""`commit`: an image of what a container changed, on every driver, running or not; and what SIGKILL leaves of it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import tarfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests import leaks
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires(*CONTAINER, "busybox"), pytest.mark.slow]

_SEED = int(os.environ.get("SANDBOX_KILL_SEED", "3"))
_DRIVERS = ("overlay", pytest.param("fuse", marks=pytest.mark.requires("fuse")), "copy")
_CHANGE = (
    "echo new > /new; chmod 4751 /new; chown 1000:1000 /new; busybox ln /new /hard; busybox ln -s new /link; "
    "rm /etc/group; rm -r /home; mkdir /home; echo h > /home/h; echo more >> /var/data/file; chmod 700 /var/data; "
    "mkdir -p /a/b; echo deep > /a/b/deep; rm -r /root; busybox mkfifo /fifo; touch /data/volume /tmpfs/x"
)
_LOOK = (
    "busybox find / -xdev -path /bin -prune -o -path /dev -prune -o -path /proc -prune -o -path /sys -prune -o "
    "! -path '/etc/[hr]*' ! -path / -print | sort | while read f; do stat -c '%n %F %a %u %g %h' $f; done; "
    "cat /new /home/h /var/data/file /link /a/b/deep; ls -A /data"
)


def _inspect(sandbox: Sandbox, name: str) -> dict[str, Any]:
    (document,) = json.loads(sandbox.run("image", "inspect", name).stdout)
    assert isinstance(document, dict)
    return document


def _files(text: str) -> list[str]:
    # a directory's links differ by file system, and the mount point of the tmpfs is empty afterwards
    return [
        line.rpartition(" ")[0] if " directory " in line else line for line in text.splitlines() if "tmpfs" not in line
    ]


@pytest.mark.parametrize("driver", _DRIVERS)
def test_what_was_changed_is_the_layer(sandbox: Sandbox, busybox: str, driver: str) -> None:
    run = ("run", "--network", "none", "--storage-driver", driver, "-v", "/data", "--tmpfs", "/tmpfs")
    shown = sandbox.run(*run, "--name", "box", busybox, "sh", "-c", f"{_CHANGE}; {_LOOK}").stdout
    image_id = sandbox.run("commit", "box", "made:1").stdout.strip()
    made = _inspect(sandbox, "made:1")
    assert made["Id"] == image_id
    assert made["Parent"] == _inspect(sandbox, busybox)["Id"]
    assert len(made["RootFS"]["Layers"]) == 2
    again = sandbox.run("run", "--rm", "--network", "none", "--storage-driver", driver, "made:1", "sh", "-c", _LOOK)
    expected = [line for line in _files(shown) if line not in ("volume", "/data/volume regular empty file 644 0 0 1")]
    assert _files(again.stdout) == expected
    assert "deep" in expected
    assert "/etc/group regular file 755 0 0 1" not in expected
    # nothing changed since: no layer
    sandbox.run("create", "--name", "still", "--network", "none", "--storage-driver", driver, "made:1", "true")
    sandbox.run("commit", "still", "made:2")
    sandbox.run("start", "-a", "still")
    sandbox.run("commit", "still", "made:3")
    for name in ("made:2", "made:3"):
        assert _inspect(sandbox, name)["RootFS"] == made["RootFS"]
        assert sandbox.run("history", "--format", "{{.Size}}", name).lines[0] == "0B"
    assert sandbox.run("system", "check").stdout.endswith("nothing is wrong\n")


def test_the_configuration_is_the_containers(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(
        "create", "--name", "box", "-e", "A=1", "-l", "here=yes", "-u", "user", "-w", "/tmp", "-p", "8080:80",
        "-v", "/v", "--stop-signal", "USR1", "--health-cmd", "true", busybox, "echo", "one", "two",
    )  # fmt: skip
    sandbox.run(
        "commit", "-a", "Jane <j@example.com>", "-m", "why", "-c", "ENV B=$A-2", "-c", "LABEL more=x",
        "-c", "EXPOSE 90", "-c", "ONBUILD RUN x", "box", "made",
    )  # fmt: skip
    made = _inspect(sandbox, "made")
    config = made["Config"]
    assert {"A=1", "B=1-2"} <= set(config["Env"])
    assert (config["Cmd"], config["Entrypoint"], config["User"], config["WorkingDir"]) == (
        ["echo", "one", "two"], None, "user", "/tmp"
    )  # fmt: skip
    assert config["Labels"] == {"here": "yes", "more": "x"}
    assert (config["ExposedPorts"], config["Volumes"]) == ({"80/tcp": {}, "90/tcp": {}}, {"/v": {}})
    assert (config["StopSignal"], config["Healthcheck"]["Test"]) == ("USR1", ["CMD-SHELL", "true"])
    assert config["OnBuild"] == ["RUN x"]
    assert (made["Author"], made["Comment"]) == ("Jane <j@example.com>", "why")
    (entry,) = sandbox.run("history", "--no-trunc", "--format", "{{.ID}}|{{.CreatedBy}}|{{.Comment}}", "made").lines[:1]
    assert entry == f"{made['Id']}|echo one two|why"
    parent = _inspect(sandbox, busybox)["Id"]
    assert sandbox.run("history", "--no-trunc", "-q", "made").lines == [made["Id"], parent]
    told = sandbox.run("events", "--since", "1h", "--until", "0s", "--format", "{{json .}}").lines
    events = [json.loads(line) for line in told]
    (committed,) = [event for event in events if event["Action"] == "commit"]
    attributes = committed["Actor"]["Attributes"]
    assert (attributes["comment"], attributes["imageID"]) == ("why", made["Id"])
    assert [event["Action"] for event in events if event["Type"] == "image"][-2:] == ["create", "tag"]


def test_a_container_that_runs(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("run", "-d", "--name", "box", "--network", "none", busybox, "sh", "-c", "echo up > /up; sleep 1000")
    sandbox.run("exec", "box", "sh", "-c", "while ! [ -s /up ]; do :; done; echo exec > /exec")
    told: list[str] = []
    for options in ((), ("--pause=false",), ("--no-pause",)):
        image_id = sandbox.run("commit", *options, "box").stdout.strip()
        told = sandbox.run("events", "--since", "1h", "--until", "0s", "--format", "{{.Action}}").lines
        assert ("pause" in told, "unpause" in told) == (True, True)
        assert sandbox.run("run", "--rm", "--network", "none", image_id, "cat", "/up", "/exec").stdout == "up\nexec\n"
        sandbox.run("rmi", image_id)
    assert told.count("pause") == 1
    assert sandbox.run("ps", "--format", "{{.State}}").lines == ["running"]
    # one that is paused is read as it is, and stays so
    sandbox.run("pause", "box")
    sandbox.run("commit", "box")
    assert sandbox.run("ps", "--format", "{{.State}}").lines == ["paused"]


def test_images_made_of_images(sandbox: Sandbox, busybox: str) -> None:
    image_ids: list[str] = []
    for number, name in enumerate(("", "second:1")):
        base = image_ids[-1] if image_ids else busybox
        sandbox.run("run", "--name", "box", "--network", "none", base, "touch", f"/{number}")
        image_ids.append(sandbox.run("commit", "box", name).stdout.strip())
        sandbox.run("rm", "box")
    between, top = image_ids
    shown = ("images", "-q", "--no-trunc")
    assert between not in sandbox.run(*shown).lines
    assert between in sandbox.run(*shown, "-a").lines
    assert sandbox.run(*shown, "-f", "dangling=true").lines == []
    assert sandbox.run("image", "prune", "-f").lines == ["Total reclaimed space: 0B"]
    root = _inspect(sandbox, busybox)["Id"]
    assert sandbox.run("history", "-q", "--no-trunc", "second:1").lines == [top, between, root]
    refused = sandbox.run("rmi", "-f", root, status=1).stderr
    assert f"unable to delete {root[7:19]} (cannot be forced) - image has dependent child images" in refused
    # its name can go: what was made of it needs it, so that it stays without one
    sandbox.run("tag", busybox, "kept")
    assert sandbox.run("rmi", busybox).lines == ["Untagged: busybox:latest"]
    assert sandbox.run("rmi", "kept").lines == ["Untagged: kept:latest"]
    sandbox.run("tag", root, busybox)
    untagged, *deleted = sandbox.run("rmi", "second:1").lines
    assert untagged == "Untagged: second:1"
    assert deleted[:2] == [f"Deleted: {top}", f"Deleted: {between}"]
    assert len(deleted) == 4
    assert sandbox.run(*shown, "-a").lines == [root]


@pytest.mark.parametrize("driver", _DRIVERS[:2])
def test_what_a_process_has_not_closed_is_there_too(sandbox: Sandbox, busybox: str, driver: str) -> None:
    # `cat` writes and goes on holding the file
    script = "(echo line; sleep 1000) | cat > /open & until test -s /open; do :; done; echo ready; wait"
    run = ("run", "-d", "--name", "box", "--network", "none", "--storage-driver", driver, busybox, "sh", "-c", script)
    sandbox.run(*run)
    sandbox.wait_for_log("box", "ready")
    sandbox.run("export", "-o", sandbox.home.root / "box.tar", "box")
    with tarfile.open(sandbox.home.root / "box.tar") as archive:
        file = archive.extractfile("open")
        assert file is not None
        assert file.read() == b"line\n"
    for pause in ("true", "false"):
        image_id = sandbox.run("commit", f"--pause={pause}", "box").stdout.strip()
        assert sandbox.run("run", "--rm", "--network", "none", image_id, "cat", "/open").lines == ["line"]


def test_what_is_refused(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("create", "--name", "box", busybox, "true")
    assert "No such container: none" in sandbox.run("commit", "none", status=1).stderr
    assert "must be lowercase" in sandbox.run("commit", "box", "Box", status=1).stderr
    assert "RUN is not a valid change command" in sandbox.run("commit", "-c", "RUN x", "box", status=None).stderr
    assert "requires at least 1" in sandbox.run("commit", status=1).stderr
    image = _inspect(sandbox, busybox)["Id"]
    assert f"Deleted: {image}" in sandbox.run("rmi", "-f", busybox).lines
    assert f"No such image: {image}" in sandbox.run("commit", "box", status=1).stderr
    assert sandbox.run("images", "-q").lines == []


def test_a_container_goes_on_whose_commit_is_killed(
    sandbox: Sandbox, busybox: str, eventually: Callable[[Callable[[], object]], None]
) -> None:
    sandbox.run("run", "-d", "--name", "box", "--network", "none", busybox, "sleep", "1000")
    with sandbox.spawn("commit", "box", stdout=subprocess.DEVNULL) as command:
        eventually(
            lambda: sandbox.run("ps", "--format", "{{.State}}").lines == ["paused"] or command.poll() is not None
        )
        command.kill()
    eventually(lambda: sandbox.run("ps", "--format", "{{.State}}").lines == ["running"])


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(6, id="6 rounds"),
        pytest.param(200, id="200 rounds", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_a_commit_that_is_killed(sandbox: Sandbox, busybox: str, rounds: int) -> None:
    script = "mkdir /many; for i in $(seq 300); do echo $i > /many/$i; done; rm /etc/group"
    sandbox.run("run", "--name", "box", "--network", "none", busybox, "sh", "-c", script)
    words = ("commit", "-m", "killed", "box", "made:latest")
    begun = time.monotonic()
    sandbox.run(*words)
    whole_seconds = time.monotonic() - begun
    chance = random.Random(_SEED)
    for number in range(1, rounds + 1):
        moment = chance.random() * whole_seconds
        where = f"round {number} of seed {_SEED}, killed after {moment:.3f} s"
        with sandbox.spawn(*words, stdout=subprocess.DEVNULL) as command:
            try:
                command.wait(moment)
            except subprocess.TimeoutExpired:
                helpers = [int(line.split()[0]) for line in leaks.processes_of(str(sandbox.home.root))]
                with suppress(ProcessLookupError):
                    os.kill(chance.choice([command.pid, *helpers]), signal.SIGKILL)
            _output, talk = command.communicate(timeout=60)
        assert leaks.wait_processes_gone(str(sandbox.home.root)) == []
        assert b"Traceback" not in talk, where
        checked = sandbox.run("system", "check", status=None)
        assert checked.status == 0, f"{where}: {checked.stdout}{checked.stderr}"
        made = sandbox.run("run", "--rm", "--network", "none", "made", "sh", "-c", "ls /many | wc -l; ls /etc")
        assert made.lines[0] == "300", where
        assert "group" not in made.lines, where
    sandbox.run(*words)
    # what was left over goes, and nothing else with it
    sandbox.run("system", "check", "--repair")
    assert sandbox.run("system", "check").stdout.endswith("nothing is wrong\n")
    assert sandbox.run("run", "--rm", "--network", "none", "made", "sh", "-c", "ls /many | wc -l").lines == ["300"]
