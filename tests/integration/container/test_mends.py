"""What a person is told to type where a container's program, port or directory cannot be had."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from tests.needs import CONTAINER
from tests.other_host import OtherHost
from tests.ports import find_free_port

if TYPE_CHECKING:
    from tests.command import Home, Sandbox

pytestmark = pytest.mark.requires(*CONTAINER, "registry", "skopeo", "umoci", "busybox")


@pytest.fixture
def busybox(sandbox: Sandbox, busybox_image: str) -> str:
    sandbox.run("pull", "-q", busybox_image)
    sandbox.run("tag", busybox_image, "busybox")
    return "busybox"


@pytest.mark.parametrize(
    ("typed", "status", "mend"),
    [
        ("busybox --read-only sh -c 'echo a'", 127, "sandbox run --rm --read-only busybox sh -c 'echo a'"),
        ("busybox 'echo a | cat'", 127, "sandbox run --rm busybox sh -c 'echo a | cat'"),
        ("busybox bash -c 'echo a'", 127, "sandbox run --rm busybox sh -c 'echo a'"),
        ("busybox nosuch", 127, "sandbox run --rm -it --entrypoint sh busybox"),
        ("--entrypoint nosuch busybox -x", 127, "sandbox run --rm -it --entrypoint sh busybox"),
        ("busybox /tmp", 126, "sandbox run --rm -it --entrypoint sh busybox"),
        ("busybox /etc/passwd", 126, "in its Dockerfile: RUN chmod +x /etc/passwd"),
        ("busybox --nonsense", 127, "sandbox run --rm -it --entrypoint sh busybox"),
    ],
)
def test_run_of_no_program(sandbox: Sandbox, busybox: str, typed: str, status: int, mend: str) -> None:
    done = sandbox.run("run", "--rm", *shlex.split(typed), status=status)
    assert done.stderr.splitlines()[-1] == f"  mend: {mend}"
    if "echo a" in mend:
        assert sandbox.run(*shlex.split(mend)[1:]).lines == ["a"]


def test_exec_of_no_program(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("run", "-d", "--name", "web", busybox, "sleep", "1000")
    sandbox.run("exec", "web", "sh", "-c", "printf '#!/no/such\\n' >/tmp/a; chmod +x /tmp/a; echo echo hi >/tmp/b")
    for typed, status, mend, shown in (
        (("-e", "A=1", "web", "-w", "/tmp", "pwd"), 127, "sandbox exec -e A=1 -w /tmp web pwd", ["/tmp"]),
        (("web", "echo hi"), 127, "sandbox exec web sh -c 'echo hi'", ["hi"]),
        (("web", "nosuch"), 127, "sandbox exec -it web sh", []),
        (("web", "/tmp/b"), 126, "sandbox exec -u 0 web chmod +x /tmp/b", []),
        (("web", "/tmp/a"), 127, "sandbox exec web head -n 1 /tmp/a | cat -A", ["#!/no/such"]),
    ):
        done = sandbox.run("exec", *typed, status=status)
        assert done.stderr.splitlines()[-1] == f"  mend: {mend}"
        if "-it" not in mend:
            assert sandbox.run(*shlex.split(mend.partition(" | ")[0])[1:]).lines == shown


def test_a_working_directory_that_is_not_there_shows_no_system_call(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("run", "-d", "--name", "web", busybox, "sleep", "1000")
    assert sandbox.run("exec", "-w", "/none", "web", "pwd", status=125).stderr == (
        "Error: cannot change to the working directory /none\n  cause: No such file or directory\n"
    )


@pytest.mark.requires("slirp4netns", "tap")
def test_a_port_that_is_taken_is_mended_by_an_option(sandbox: Sandbox, busybox: str) -> None:
    port = find_free_port()
    sandbox.run("run", "-d", "--name", "first", "-p", f"127.0.0.1:{port}:80", busybox, "sleep", "1000")
    refused = sandbox.run("run", "-p", f"127.0.0.1:{port}:80", busybox, "true", status=125).stderr
    option, _, stops = refused.splitlines()[-1].removeprefix("  mend: ").partition("; or: ")
    assert option.startswith("-p 127.0.0.1:")
    assert option.endswith(":80")
    assert stops == "sandbox stop first"
    sandbox.run("run", "--rm", *option.split(), busybox, "true")


@pytest.mark.requires("slirp4netns", "tap")
def test_a_low_port_is_mended_by_a_higher_one(home: Home, sandbox: Sandbox, busybox: str) -> None:
    host = OtherHost(home)
    host.has_network()
    with host.enter() as there:
        refused = there.run("run", "--rm", "-p", "1023:8000/udp", busybox, "true", status=125).stderr
        assert "it needs a port above 1023\n" in refused
        option, _, other = refused.splitlines()[-1].removeprefix("  mend: ").partition("; or, by an administrator: ")
        assert option.endswith(":8000/udp")
        assert other == "sudo sysctl net.ipv4.ip_unprivileged_port_start=1023"
        there.run("run", "--rm", *option.split(), busybox, "true")


@pytest.mark.parametrize(
    ("typed", "mend"),
    [
        ("-v app/sub:/src", "-v ./app/sub:/src"),
        ("-v app:src:ro", "-v app:/src:ro"),
        ("-v src", "-v /src"),
        ("-v app:/src:foo", "-v app:/src:ro, or without :foo"),
        ("--mount type=bind,src=app,dst=/x", "--mount type=bind,src=./app,dst=/x"),
    ],
)
def test_a_volume_is_mended_by_an_option(sandbox: Sandbox, busybox: str, typed: str, mend: str) -> None:
    refused = sandbox.run("run", "--rm", *typed.split(), busybox, "true", status=125).stderr
    assert refused.splitlines()[-1] == f"  mend: {mend}"


def test_an_image_that_cannot_be_pulled_but_is_here_by_another_name(sandbox: Sandbox, busybox: str) -> None:
    port = find_free_port()
    sandbox.run("tag", busybox, f"127.0.0.1:{port}/tools")
    refused = sandbox.run("run", "--rm", f"127.0.0.1:{port}/tolos", "echo", "a", status=125).stderr
    assert f"the nearest name here is 127.0.0.1:{port}/tools\n" in refused
    mend = refused.splitlines()[-1].removeprefix("  mend: sandbox ")
    assert sandbox.run(*mend.split()).lines == ["a"]
    refused = sandbox.run("pull", f"127.0.0.1:{port}/tolos", status=1).stderr
    assert refused.endswith(f"  mend: curl http://127.0.0.1:{port}/v2/\n")
