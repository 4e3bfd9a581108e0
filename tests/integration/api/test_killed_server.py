"""SIGKILL of the server, or of a process that works for it, in the middle of a request: nothing half-made stays, and
the next server goes on at the same path.

The moments are drawn from a seed (SANDBOX_KILL_SEED); a round that fails names its number and its moment.
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import tarfile
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests import leaks
from tests.integration.api.serving import Serving, helpers_of

if TYPE_CHECKING:
    from tests.command import Sandbox
    from tests.registry import Registry

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "busybox", "registry"), pytest.mark.slow]
_SEED = int(os.environ.get("SANDBOX_KILL_SEED", "3"))
_LONGEST_SECONDS = 0.6
_KINDS = ("start", "build", "archive", "create", "exec", "pull")


def _tar(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


_CREATE = json.dumps(
    {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "none"}, "StopSignal": "KILL"}
).encode()
_EXEC = json.dumps({"Cmd": ["sh", "-c", "echo hi; sleep 0.1"], "AttachStdout": True}).encode()
_DOCKERFILE = b"FROM busybox\nRUN for i in 1 2 3 4 5 6 7 8 9; do echo $i > /$i; done\nRUN echo two > /two\n"


def _request(serving: Serving, kind: str, remote: str) -> tuple[str, str, bytes]:
    """Method, target and body; what it needs is made first."""
    if kind == "create":
        return "POST", "/containers/create?name=victim", _CREATE
    if kind == "start":
        serving.ask("POST", "/containers/create?name=victim", _CREATE, 201)
        return "POST", "/containers/victim/start", b""
    if kind == "exec":
        made = serving.ask("POST", "/containers/steady/exec", _EXEC, 201)["Id"]
        return "POST", f"/exec/{made}/start", b"{}"
    if kind == "archive":
        return "PUT", "/containers/steady/archive?path=/", _tar({f"many/{n}": b"x" * 2000 for n in range(300)})
    if kind == "build":
        return "POST", "/build?t=made&nocache=1&networkmode=none", _tar({"Dockerfile": _DOCKERFILE})
    return "POST", f"/images/create?fromImage={quote(remote)}", b""


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(3, id="3 rounds"),
        pytest.param(100, id="100 rounds", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_nothing_half_made_stays(sandbox: Sandbox, busybox: str, registry: Registry, rounds: int) -> None:
    remote = f"{registry.host}/pulled:1"
    for words in (("tag", busybox, remote), ("push", "-q", remote), ("rmi", remote)):
        sandbox.run(*words)
    chance, serving = random.Random(_SEED), Serving(sandbox)
    serving.start()
    serving.ask("POST", "/containers/create?name=steady", _CREATE, 201)
    serving.ask("POST", "/containers/steady/start", status=204)
    for number in range(rounds):
        kind, moment = _KINDS[number % len(_KINDS)], chance.uniform(0, _LONGEST_SECONDS)
        where = f"round {number} of seed {_SEED}, {kind} killed after {moment:.3f} s"
        with serving.send(*_request(serving, kind, remote)) as connection:
            connection.settimeout(moment)
            with suppress(TimeoutError, ConnectionResetError):
                while connection.recv(65536):
                    pass
            assert serving.process is not None
            victims = helpers_of(serving.process.pid)
            if victims and chance.random() < 0.4:
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(victims), signal.SIGKILL)
                # the server itself goes on
                serving.ask("GET", "/containers/json", status=200)
            assert serving.end(signal.SIGKILL) == -signal.SIGKILL, where
        serving.start()
        names = [name for each in serving.ask("GET", "/containers/json?all=1", status=200) for name in each["Names"]]
        assert set(names) - {"/victim"} == {"/steady"}, where
        assert serving.ask("GET", "/containers/steady/json", status=200)["State"]["Running"], where
        serving.ask("DELETE", "/containers/victim?force=1", status=204 if "/victim" in names else 404)
        checked = sandbox.run("system", "check", status=None)
        assert checked.status == 0, f"{where}: {checked.stdout}{checked.stderr}"
    # what was cut short can be done
    serving.ask("POST", f"/images/create?fromImage={quote(remote)}", status=200)
    serving.ask("POST", "/build?t=made&networkmode=none", _tar({"Dockerfile": _DOCKERFILE}), 200)
    serving.ask("GET", "/images/made/json", status=200)
    serving.ask("GET", f"/images/{remote}/json", status=200)
    serving.ask("DELETE", "/containers/steady?force=1", status=204)
    assert serving.end(signal.SIGTERM) == 0
    assert leaks.wait_processes_gone(str(sandbox.home.root)) == []
