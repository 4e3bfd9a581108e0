"""Debian's `docker` command over the socket, as a person at a terminal uses it."""

from __future__ import annotations

import os
import pty
import socket as sockets
import subprocess
import urllib.request
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.command import Sandbox
    from tests.integration.api.conftest import DockerCommand

pytestmark = pytest.mark.requires("subids", "overlay", "docker")


def test_a_container_in_the_foreground(command: DockerCommand, busybox: str, sandbox: Sandbox) -> None:
    done = command.run("run", "--rm", busybox, "sh", "-c", "echo out; echo err >&2; exit 7", status=7)
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")
    many = os.urandom(1 << 20)
    assert command.run("run", "--rm", "-i", "--network", "none", busybox, "cat", input=many).stdout == many
    assert command.run("run", "--rm", busybox, "nothing", status=127).stderr.count(b"not found in $PATH") == 1
    assert b"No such image" in command.run("create", "--pull", "never", "missing", status=1).stderr
    for option in ("--volumes-from", "--link"):
        said = command.run("run", "--rm", option, "missing", busybox, "true", status=125).stderr
        assert b"No such container: missing" in said
        # a client that takes this for a missing image pulls it
        assert b"Unable to find image" not in said
    assert sandbox.run("ps", "-aq").lines == []


def test_a_server_in_the_background(command: DockerCommand, busybox: str) -> None:
    with sockets.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = "mkdir /www; echo served >/www/index.html; echo ready; httpd -f -p 80 -h /www & wait"
    name = "web"
    (container_id,) = command.lines(
        "run", "-d", "-p", f"127.0.0.1:{port}:80", "--name", name, "-l", "a=b", busybox, "sh", "-c", script
    )
    with command.spawn("logs", "-f", name) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == b"ready\n"
        follower.kill()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
        assert answer.read() == b"served\n"
    assert command.lines("ps", "--no-trunc", "-q", "--filter", "label=a=b") == [container_id]
    assert command.lines("ps", "--format", "{{.Names}} {{.Ports}}") == [f"web 127.0.0.1:{port}->80/tcp"]
    assert command.lines("port", name) == [f"80/tcp -> 127.0.0.1:{port}"]
    assert command.run("exec", name, "sh", "-c", "echo oh >&2; exit 3", status=3).stderr == b"oh\n"
    assert command.run("exec", "-i", name, "cat", input=b"through").stdout == b"through"
    assert command.run("exec", name, "nothing", status=127).returncode == 127
    command.run("exec", "-d", name, "touch", "/tmp/made")
    assert command.lines("inspect", "-f", "{{.State.Status}} {{.Config.Image}}", name) == [f"running {busybox}"]
    command.run("kill", "-s", "KILL", name)
    assert command.lines("wait", name) == ["137"]
    assert command.lines("ps", "-a", "--format", "{{.Names}} {{.State}}") == ["web exited"]
    command.run("start", name)
    command.run("stop", "-t", "0", name)
    command.run("rm", name)
    for words in (("rm", name), ("rename", name, "x")):
        assert b"No such container" in command.run(*words, status=1).stderr
    command.run("system", "prune", "-f", "--filter", "label=none")


def test_a_terminal(command: DockerCommand, busybox: str) -> None:
    master, slave = pty.openpty()
    with open(master, "rb", buffering=0) as screen:
        with subprocess.Popen(
            ["docker", "run", "--rm", "-it", "--network", "none", busybox, "sh", "-c", "read a; echo got $a; tty"],
            stdin=slave, stdout=slave, stderr=slave, env=command.env, start_new_session=True,
        ) as client:  # fmt: skip
            os.close(slave)
            os.write(master, b"word\n")
            assert client.wait(120) == 0
        text = b""
        try:
            while data := screen.read(4096):
                text += data
        except OSError:
            pass  # the end of a terminal
    assert b"got word\r\n/dev/pts/0\r\n" in text


def test_networks_and_images(command: DockerCommand, busybox: str) -> None:
    (network_id,) = command.lines("network", "create", "--label", "mine=1", "inner")
    assert command.lines("network", "ls", "--no-trunc", "-q", "--filter", "label=mine=1") == [network_id]
    assert b"ConfigOnly is not supported" in command.run("network", "create", "--config-only", "x", status=1).stderr
    command.run("run", "-d", "--network", "inner", "--name", "one", busybox, "sleep", "600")
    assert command.lines("network", "inspect", "-f", "{{len .Containers}} {{.Driver}}", "inner") == ["1 bridge"]
    dockerfile = f"FROM {busybox}\nRUN cat /etc/hosts\nRUN nslookup one && ip link show eth0\n"
    for mode, why in (("nosuch", b"network nosuch not found"), ("container:nosuch", b"No such container: nosuch")):
        assert why in command.run("build", "--network", mode, "-", input=dockerfile, status=1).stderr
    # on the network itself, as long as the build takes
    command.run("build", "--network", "inner", "--no-cache", "-t", "built", "-", input=dockerfile)
    assert command.lines("ps", "-aq", "--no-trunc") == command.lines("ps", "-q", "--no-trunc", "-f", "name=one")
    command.run("rmi", "built")
    # what runs nothing needs no network
    command.run("build", "--network", "inner", "-t", "built", "-", input="FROM scratch\nLABEL a=b\n")
    command.run("rmi", "built")
    # a step has the container's addresses, names and interfaces
    (address,) = command.lines("inspect", "-f", "{{.NetworkSettings.Networks.inner.IPAddress}}", "one")
    said = command.run("build", "--network", "container:one", "-t", "built", "-", input=dockerfile).stdout
    assert f"{address}\t".encode() in said
    command.run("rmi", "built")
    (short,) = set(command.lines("images", "-q", busybox))
    command.run("build", "-t", "built", "-", input=f"FROM {short}\nRUN true\nCOPY --from={short} /bin/busybox /copy\n")
    command.run("rmi", "built")
    command.run("network", "disconnect", "inner", "one")
    command.run("network", "connect", "--alias", "other", "inner", "one")
    command.run("rm", "-f", "one")
    command.run("network", "rm", "inner")
    command.run("tag", busybox, "mine:1")
    assert sorted(command.lines("images", "--format", "{{.Repository}}:{{.Tag}}")) == ["busybox:latest", "mine:1"]
    command.run("rmi", "mine:1")
    assert command.lines("image", "inspect", "-f", "{{.Os}}", busybox) == ["linux"]
    assert b"No such image" in command.run("image", "inspect", "nothing", status=1).stderr
