"""Each command's events beside the sequence that Docker documents for it, as one who follows sees them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import leaks
from tests.integration.container.conftest import monitor_pid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
_NONE = ("--network", "none")


class Follower:
    """`sandbox events` in another process; each step takes what came since the last one."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        words = sandbox.words("events", "--since", "1", "--format", "json")
        self.process = subprocess.Popen(words, env=sandbox.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._number = 0

    def documents(self) -> list[dict[str, Any]]:
        """Everything up to an event that is made for it: a volume of its own."""
        self._number += 1
        self._sandbox.run("volume", "create", f"end{self._number}")
        found = []
        assert self.process.stdout is not None
        while (document := json.loads(self.process.stdout.readline()))["Actor"]["ID"] != f"end{self._number}":
            found.append(document)
        return found

    def sequence(self) -> list[str]:
        return [_shown(document) for document in self.documents()]

    def interrupt(self) -> tuple[int, bytes]:
        self.process.send_signal(signal.SIGINT)
        _rest, said = self.process.communicate()
        return self.process.returncode, said


def _shown(document: dict[str, Any]) -> str:
    """ "container die web exitCode=0": what must be so each time."""
    attributes = document["Actor"]["Attributes"]
    kept = ("exitCode", "signal", "oldName", "destination", "read/write", "height", "reclaimed")
    told = [f"{key}={attributes[key]}" for key in kept if key in attributes]
    name = document["Actor"]["ID"] if document["Type"] != "container" else attributes.get("name", "")
    return " ".join((document["Type"], document["Action"], name, *told)).rstrip()


@contextmanager
def following(sandbox: Sandbox) -> Iterator[Follower]:
    follower = Follower(sandbox)
    try:
        follower.documents()
        yield follower
        assert follower.interrupt() == (130, b"")
    finally:
        follower.process.kill()
        follower.process.communicate()


def test_run_start_stop_restart_kill_rename_and_remove(sandbox: Sandbox, busybox: str) -> None:
    with following(sandbox) as follower:
        named = ("--name", "job", "-l", "tier=front", "-v", "kept:/data:ro")
        sandbox.run("run", "--rm", *_NONE, *named, busybox, "sh", "-c", "exit 3", status=3)
        documents = follower.documents()
        assert [_shown(document) for document in documents] == [
            "volume create kept",
            "container create job",
            "container attach job",
            "volume mount kept destination=/data read/write=false",
            "container start job",
            "container die job exitCode=3",
            "volume unmount kept",
            "container destroy job",
        ]
        die = documents[5]
        assert (die["status"], die["from"], die["scope"]) == ("die", "busybox", "local")
        expected = {"image": "busybox", "name": "job", "tier": "front", "exitCode": "3", "execDuration": "0"}
        assert die["Actor"]["Attributes"] == expected
        assert die["id"] == die["Actor"]["ID"]

        sandbox.run("run", "-d", *_NONE, "--name", "web", "--stop-signal", "KILL", busybox, "sleep", "1000")
        assert follower.sequence() == ["container create web", "container start web"]
        sandbox.run("stop", "web")
        killed = ["container kill web signal=9", "container die web exitCode=137"]
        assert follower.sequence() == [*killed, "container stop web"]
        sandbox.run("stop", "web")
        assert follower.sequence() == []
        sandbox.run("start", "web")
        assert follower.sequence() == ["container start web"]
        sandbox.run("restart", "web")
        started = ["container start web", "container restart web"]
        assert follower.sequence() == [*killed, "container stop web", *started]
        sandbox.run("kill", "-s", "WINCH", "web")
        sandbox.run("kill", "web")
        assert follower.sequence() == ["container kill web signal=28", *killed]
        sandbox.run("rename", "web", "db")
        sandbox.run("start", "db")
        sandbox.run("stop", "-s", "WINCH", "-t", "0", "db")
        assert follower.sequence() == [
            "container rename db oldName=/web",
            "container start db",
            "container kill db signal=28",
            "container kill db signal=9",
            "container die db exitCode=137",
            "container stop db",
        ]
        sandbox.run("start", "db")
        sandbox.run("rm", "-f", "db")
        assert follower.sequence() == [
            "container start db",
            "container kill db signal=9",
            "container die db exitCode=137",
            "container destroy db",
        ]


def test_exec_create_start_attached_and_prune(sandbox: Sandbox, busybox: str) -> None:
    with following(sandbox) as follower:
        sandbox.run("create", *_NONE, "--name", "web", "-v", "/anonymous", busybox, "sh", "-c", "exit 4")
        created = follower.documents()
        assert [document["Action"] for document in created] == ["create", "create"]
        sandbox.run("start", "-a", "web", status=4)
        anonymous = created[0]["Actor"]["ID"]
        assert follower.sequence() == [
            "container attach web",
            f"volume mount {anonymous} destination=/anonymous read/write=true",
            "container start web",
            "container die web exitCode=4",
            f"volume unmount {anonymous}",
        ]
        sandbox.run("container", "prune", "-f")
        assert follower.sequence()[:1] == ["container destroy web"]
        sandbox.run("volume", "prune", "-f")
        assert follower.sequence() == [f"volume destroy {anonymous}", "volume prune  reclaimed=0"]

        sandbox.run("run", "-d", *_NONE, "--name", "web", busybox, "sleep", "1000")
        sandbox.run("exec", "web", "sh", "-c", "exit 5", status=5)
        _create, _start, *execs = follower.documents()
        assert [_shown(document) for document in execs] == [
            "container exec_create: sh -c exit 5 web",
            "container exec_start: sh -c exit 5 web",
            "container exec_die web exitCode=5",
        ]
        ids = {document["Actor"]["Attributes"]["execID"] for document in execs}
        assert [bool(re.fullmatch("[0-9a-f]{64}", exec_id)) for exec_id in ids] == [True]
        sandbox.run("exec", "stopped", "true", status=1)
        sandbox.run("exec", "web", "no-such-program", status=127)
        assert [document["Action"] for document in follower.documents()] == [
            "exec_create: no-such-program ",
            "exec_start: no-such-program ",
        ]


def test_what_ends_without_a_command_is_told_as_well(sandbox: Sandbox, busybox: str) -> None:
    with following(sandbox) as follower:
        sandbox.run("run", "-d", *_NONE, "--restart", "on-failure:1", "--name", "web", busybox, "false")
        sandbox.run("wait", "web", status=None)
        sandbox.run("wait", "web", status=None)
        once = ["container start web", "container die web exitCode=1"]
        assert follower.sequence() == ["container create web", *once, *once]
        sandbox.run("rm", "web")
        sandbox.run("run", "-d", *_NONE, "--name", "lost", busybox, "sleep", "1000")
        monitor = monitor_pid(sandbox, "lost")
        os.kill(monitor, signal.SIGKILL)
        leaks.wait_ended(monitor)
        # who looks first finds it out
        sandbox.run("ps", "-a")
        assert follower.sequence()[-1] == "container die lost exitCode=137"
        sandbox.run("run", "-d", *_NONE, "--name", "shut", "--stop-signal", "KILL", busybox, "sleep", "1000")
        monitor = monitor_pid(sandbox, "shut")
        os.kill(monitor, signal.SIGTERM)
        leaks.wait_ended(monitor)
        assert follower.sequence()[-3:] == [
            "container kill shut signal=9",
            "container die shut exitCode=137",
            "container stop shut",
        ]


def test_images(sandbox: Sandbox, busybox: str) -> None:
    with following(sandbox) as follower:
        image_id = sandbox.run("images", "-q", "--no-trunc", busybox).stdout.strip()
        sandbox.run("tag", busybox, "other:1")
        sandbox.run("save", "-o", "saved.tar", "other:1")
        sandbox.run("rmi", "other:1")
        documents = follower.documents()
        assert [_shown(document) for document in documents] == [
            f"image tag {image_id}",
            f"image save {image_id}",
            f"image untag {image_id}",
        ]
        assert [document["Actor"]["Attributes"]["name"] for document in documents] == ["other:1", image_id, image_id]
        sandbox.run("rmi", busybox)
        sandbox.run("load", "-i", "saved.tar")
        assert follower.sequence() == [
            f"image untag {image_id}",
            f"image delete {image_id}",
            f"image load {image_id}",
        ]
        sandbox.run("image", "prune", "-f")
        assert follower.sequence() == ["image prune  reclaimed=0"]
        text = f"FROM {image_id}\nLABEL made=here\n"
        (made_id,) = sandbox.run("build", "-q", "-t", "made:1", "-", input=text).lines
        sandbox.run("build", "-q", "-t", "made:2", "-", input=text)
        # the second time it is there already
        assert follower.sequence() == [f"image create {made_id}", f"image tag {made_id}", f"image tag {made_id}"]


def test_who_follows_ends_with_the_reader(sandbox: Sandbox) -> None:
    process = subprocess.Popen(
        sandbox.words("events", "--since", "1"), env=sandbox.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    sandbox.run("volume", "create", "data")
    assert process.stdout is not None
    assert process.stdout.readline().endswith(b" volume create data (driver=local)\n")
    process.stdout.close()
    assert process.wait() == 141
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()


def test_the_end_of_a_detached_exec_is_told(
    sandbox: Sandbox, busybox: str, eventually: Callable[[Callable[[], object]], None]
) -> None:
    with following(sandbox) as follower:
        sandbox.run("run", "-d", *_NONE, "--name", "web", busybox, "sleep", "1000")
        follower.documents()
        sandbox.run("exec", "-d", "web", "sh", "-c", "while [ ! -e /go ]; do sleep 0.05; done; exit 3")
        created, started = follower.documents()
        assert created["Action"].startswith("exec_create: sh -c ")
        # who waits for it has a few pages, and no interpreter
        eventually(lambda: 0 < _keeper_kibibytes(sandbox) < 100)
        sandbox.run("exec", "-d", "web", "nonesuch", status=127)
        sandbox.run("exec", "web", "touch", "/go")
        # in its own time
        died = next(json.loads(line) for line in _lines(follower) if b"exec_die" in line and b'"exitCode":"3"' in line)
        exec_id = started["Actor"]["Attributes"]["execID"]
        assert died["Actor"]["Attributes"] == {
            "image": "busybox",
            "name": "web",
            "execID": exec_id,
            "exitCode": "3",
        }
        # the keeper of one that is killed with its container ends as well, and the fixture waits for it
        sandbox.run("exec", "-d", "web", "sleep", "1000")
        sandbox.run("rm", "-f", "web")


def _keeper_kibibytes(sandbox: Sandbox) -> int:
    # what is just executed has no command line yet
    keepers = [line for line in leaks.processes_of(str(sandbox.home.root)) if line.split()[1:2] == ["sandbox-exec"]]
    if not keepers:
        return 0
    rollup = Path(f"/proc/{keepers[0].split()[0]}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def _lines(follower: Follower) -> Iterator[bytes]:
    assert follower.process.stdout is not None
    return iter(follower.process.stdout.readline, b"")
