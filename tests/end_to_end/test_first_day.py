"""What a new user types on the first day, in the order they would."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.conftest import fetch
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = pytest.mark.requires(*CONTAINER, "registry", "skopeo", "umoci", "busybox")
_SERVER = ("httpd", "-f", "-p", "80", "-h", "/etc")


def test_an_image_is_pulled_and_listed(sandbox: Sandbox, busybox_image: str) -> None:
    pulled = sandbox.run("pull", busybox_image)
    assert pulled.lines[-1] == busybox_image
    heading, row = sandbox.run("image", "ls").lines
    assert heading.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    repository, _, tag = busybox_image.rpartition(":")
    assert row.split()[:2] == [repository, tag]
    assert sandbox.run("images", "-q").lines == [row.split()[2]]


@pytest.mark.requires("slirp4netns", "tap")
def test_a_server_answers_on_its_published_port(sandbox: Sandbox, busybox: str, free_port: Callable[[], int]) -> None:
    port = free_port()
    container_id = sandbox.run("run", "-d", "-p", f"{port}:80", "--name", "web", busybox, *_SERVER).stdout.strip()
    assert re.fullmatch(r"[0-9a-f]{64}", container_id)
    assert fetch(port, "/passwd").startswith("root:")

    heading, row = sandbox.run("container", "ls", "--all").lines
    assert heading.split() == ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    assert row.startswith(container_id[:12])
    assert f":{port}->80/tcp" in row
    assert row.endswith("web")
    assert sandbox.run("port", "web").stdout.startswith(f"80/tcp -> 0.0.0.0:{port}")

    assert sandbox.run("exec", "web", "cat", "/etc/hostname").stdout.strip() == container_id[:12]
    assert sandbox.run("container", "stop", "-t", "1", container_id[:6]).stdout.strip() == container_id[:6]
    assert sandbox.run("ps", "-q").lines == []
    assert "Exited (" in sandbox.run("ps", "-a").stdout
    assert sandbox.run("rm", "web").lines == ["web"]
    assert sandbox.run("ps", "-aq").lines == []


def test_the_working_directory_of_the_person_is_at_hand(sandbox: Sandbox, busybox: str) -> None:
    source = sandbox.home.root / "src"
    source.mkdir()
    (source / "input").write_text("from the host\n")
    done = sandbox.run(
        "run", "--rm", "-v", f"{source}:/src", "-w", "/src", "-e", "CI=1", busybox,
        "sh", "-c", "cat input; echo CI is $CI; pwd; id -u >made",
    )  # fmt: skip
    assert done.lines == ["from the host", "CI is 1", "/src"]
    assert (source / "made").read_text() == "0\n"
    assert (source / "made").stat().st_uid == source.stat().st_uid


def test_output_status_and_input_pass_through(sandbox: Sandbox, busybox: str) -> None:
    done = sandbox.run("run", "--rm", "-i", busybox, "sh", "-c", "cat; echo talk >&2; exit 7", input="line\n", status=7)
    assert done.stdout == "line\n"
    assert done.stderr == "talk\n"
    # under --init: the kernel lets nobody inside kill the first process, pid_namespaces(7)
    assert sandbox.run("run", "--rm", "--init", busybox, "sh", "-c", "kill -9 $$", status=137).stdout == ""
    assert sandbox.run("ps", "-aq").lines == []


def test_logs_tell_what_was_written(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("run", "--name", "job", busybox, "sh", "-c", "echo one; echo two >&2; echo three")
    logs = sandbox.run("logs", "job")
    assert logs.lines == ["one", "three"]
    assert logs.stderr == "two\n"
    assert sandbox.run("logs", "-f", "job").lines == ["one", "three"]
    # two pipes: which of the two streams wrote last is not known
    last = sandbox.run("logs", "--tail", "1", "job")
    assert last.stdout + last.stderr in ("two\n", "three\n")


def test_a_stopped_container_starts_again_with_its_files(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("run", "--name", "kept", busybox, "sh", "-c", "echo x >>/count; cat /count")
    assert sandbox.run("start", "-a", "kept").lines == ["x", "x"]
    assert sandbox.run("wait", "kept").lines == ["0"]


def test_inspect_tells_docker_s_fields(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("create", "--name", "made", "-e", "A=b", "--label", "l=v", busybox, "true")
    (document,) = json.loads(sandbox.run("inspect", "made").stdout)
    assert document["Name"] == "/made"
    assert document["State"]["Status"] == "created"
    assert "A=b" in document["Config"]["Env"]
    assert document["Config"]["Labels"] == {"l": "v"}
    assert sandbox.run("inspect", "-f", "{{.State.Status}}", "made").lines == ["created"]


def test_an_image_travels_as_an_archive(sandbox: Sandbox, busybox: str, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    sandbox.run("save", "-o", archive, busybox)
    sandbox.run("rmi", "-f", *set(sandbox.run("images", "-q").lines))
    assert sandbox.run("images", "-q").lines == []
    assert "busybox" in sandbox.run("load", "-i", archive).stdout
    assert sandbox.run("run", "--rm", "--network", "none", busybox, "echo", "loaded").lines == ["loaded"]


def test_the_command_says_its_version_and_helps(sandbox: Sandbox) -> None:
    assert re.match(r"sandbox version \d", sandbox.run("--version").stdout)
    for words in (("--help",), ("run", "--help"), ("container", "--help"), ("image", "pull", "--help")):
        assert "sandbox" in sandbox.run(*words).stdout
    assert not (sandbox.home.data / "sandbox").exists()


@pytest.mark.requires("slirp4netns", "tap")
def test_doctor_finds_nothing_wrong_here(sandbox: Sandbox) -> None:
    assert sandbox.run("doctor").stdout
    document = json.loads(sandbox.run("doctor", "--format", "json").stdout)
    assert document
