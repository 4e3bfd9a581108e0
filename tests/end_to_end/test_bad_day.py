"""What goes wrong: mistakes of a person, processes killed at a bad moment, many commands at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests import leaks
from tests.end_to_end.conftest import fetch
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

pytestmark = pytest.mark.requires(*CONTAINER, "registry", "skopeo", "umoci", "busybox")
_SERVER = ("httpd", "-f", "-p", "80", "-h", "/etc")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("run", "--rm", "busybox", "no-such-program"), 127, "no-such-program"),
        (("run", "--rm", "busybox", "/etc/passwd"), 126, "/etc/passwd"),
        (("run", "--rm", "busybox", "/tmp"), 126, "/tmp"),
        (("run", "--nonsense", "busybox"), 125, "unknown flag: --nonsense"),
        (("run", "--rm", "-p", "port:80", "busybox", "true"), 125, "port"),
        (("run", "--rm", "-p", "70000:80", "busybox", "true"), 125, "70000"),
        (("run", "--rm", "-u", "nobody-here", "busybox", "true"), 125, "nobody-here"),
        (("run", "--rm", "-v", "relative/../x:y", "busybox", "true"), 125, "y"),
        (("run", "--rm", "--name", "../up", "busybox", "true"), 125, "../up"),
        (("run", "--pull", "never", "nothing-here", "true"), 125, "nothing-here"),
        (("stop", "nobody"), 1, "No such container: nobody"),
        (("rmi", "nothing-here"), 1, "nothing-here"),
        (("inspect", "nobody"), 1, "nobody"),
        (("sotp",), 1, "stop"),
        (("tag", "busybox"), 1, "requires 2 arguments"),
        (("ps", "--filter", "moon=full"), 1, "moon"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_mistake_gets_a_message_and_the_right_status(
    sandbox: Sandbox, busybox: str, words: tuple[str, ...], status: int, said: str
) -> None:
    done = sandbox.run(*words, status=status)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert sandbox.run("ps", "-aq").lines == []


def test_output_that_cannot_be_written_is_said(sandbox: Sandbox) -> None:
    with open("/dev/full", "wb") as full, sandbox.spawn("version", stdout=full.fileno()) as command:
        _, talk = command.communicate(timeout=60)
    assert command.returncode == 1
    assert talk == b"Error: cannot write the output\n  cause: No space left on device\n"


def test_a_name_that_is_taken_names_its_holder(sandbox: Sandbox, busybox: str) -> None:
    holder = sandbox.run("create", "--name", "one", busybox, "true").stdout.strip()
    refused = sandbox.run("run", "--name", "one", busybox, "true", status=125)
    assert "already in use" in refused.stderr
    assert holder[:12] in refused.stderr


@pytest.mark.requires("slirp4netns", "tap")
def test_a_port_that_is_taken_is_said_and_nothing_is_left(
    sandbox: Sandbox, busybox: str, free_port: Callable[[], int]
) -> None:
    port = free_port()
    sandbox.run("run", "-d", "--name", "first", "-p", f"127.0.0.1:{port}:80", busybox, *_SERVER)
    refused = sandbox.run("run", "-d", "--name", "second", "-p", f"127.0.0.1:{port}:80", busybox, *_SERVER, status=125)
    assert "port is already allocated" in refused.stderr
    assert sandbox.run("ps", "--format", "{{.Names}}").lines == ["first"]


@pytest.mark.requires("slirp4netns", "tap")
def test_a_killed_monitor_takes_its_container_and_the_next_command_knows(
    sandbox: Sandbox, busybox: str, free_port: Callable[[], int]
) -> None:
    port = free_port()
    sandbox.run("run", "-d", "--name", "web", "-p", f"127.0.0.1:{port}:80", busybox, *_SERVER)
    (monitor,) = [pid for pid in _pids(sandbox) if _is_monitor(pid, sandbox)]
    os.kill(monitor, signal.SIGKILL)
    assert leaks.wait_processes_gone(str(sandbox.home.root)) == []
    (document,) = json.loads(sandbox.run("inspect", "web").stdout)
    assert document["State"]["Status"] in ("exited", "dead")
    sandbox.run("start", "web")
    assert fetch(port, "/passwd").startswith("root:")


@pytest.mark.requires("slirp4netns", "tap")
def test_a_container_outlives_its_killed_network(sandbox: Sandbox, busybox: str, free_port: Callable[[], int]) -> None:
    sandbox.run("run", "-d", "--name", "web", "-p", f"127.0.0.1:{free_port()}:80", busybox, *_SERVER)
    (network,) = [pid for pid in _pids(sandbox) if "slirp4netns" in _command(pid)]
    os.kill(network, signal.SIGKILL)
    assert sandbox.run("exec", "web", "echo", "here").lines == ["here"]
    assert sandbox.run("rm", "-f", "web").lines == ["web"]


def test_a_container_goes_on_when_its_command_is_killed(sandbox: Sandbox, busybox: str) -> None:
    with sandbox.spawn("run", "--name", "job", busybox, "sh", "-c", "echo up; sleep 1000") as command:
        assert command.stdout is not None
        assert command.stdout.readline() == b"up\n"
        command.kill()
    assert sandbox.run("ps", "--format", "{{.Names}}").lines == ["job"]
    assert sandbox.run("logs", "job").lines == ["up"]
    assert sandbox.run("rm", "-f", "job").lines == ["job"]


@pytest.mark.slow
@pytest.mark.requires("mmdebstrap")
def test_a_killed_pull_is_taken_up_again(sandbox: Sandbox, debian_image: str) -> None:
    with sandbox.spawn("pull", debian_image, stderr=subprocess.DEVNULL) as command:
        assert command.stdout is not None
        # seconds before the end, however late this process gets its turn; tests/integration/image kills to the byte
        while b"Pulling fs layer" not in (line := command.stdout.readline()):
            assert line
        command.kill()
    assert leaks.wait_processes_gone(str(sandbox.home.root)) == []
    assert sandbox.run("images", "-q").lines == []
    sandbox.run("pull", "-q", debian_image)
    assert sandbox.run("run", "--rm", "--network", "none", debian_image, "echo", "whole").lines == ["whole"]


@pytest.mark.slow
def test_twenty_runs_at_once(sandbox: Sandbox, busybox: str) -> None:
    commands = [sandbox.spawn("run", "--network", "none", busybox, "echo", str(number)) for number in range(20)]
    said = []
    for command in commands:
        output, talk = command.communicate(timeout=120)
        assert (command.returncode, talk) == (0, b"")
        said.append(int(output))
    assert said == list(range(20))
    assert len(set(sandbox.run("ps", "-a", "--format", "{{.Names}}").lines)) == 20


@pytest.mark.slow
def test_five_pulls_of_one_image_at_once(sandbox: Sandbox, busybox_image: str) -> None:
    commands = [sandbox.spawn("pull", "-q", busybox_image) for _ in range(5)]
    for command in commands:
        output, talk = command.communicate(timeout=120)
        assert (command.returncode, output.decode().strip(), talk) == (0, busybox_image, b"")
    assert len(sandbox.run("images", "-q").lines) == 1


def _pids(sandbox: Sandbox) -> list[int]:
    return [int(line.split()[0]) for line in leaks.processes_of(str(sandbox.home.root))]


def _command(pid: int) -> str:
    with open(f"/proc/{pid}/cmdline") as file:
        return file.read().replace("\0", " ")


def _is_monitor(pid: int, sandbox: Sandbox) -> bool:
    """Whether this is Python and the leader of its session."""
    return os.getsid(pid) == pid and "slirp4netns" not in _command(pid) and "httpd -f" in _command(pid) and (
        os.readlink(f"/proc/{pid}/ns/pid") == os.readlink("/proc/self/ns/pid")
    )  # fmt: skip
