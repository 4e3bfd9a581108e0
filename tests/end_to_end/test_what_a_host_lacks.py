"""A host that lacks what containers need: what is said, that nothing is left, and what works all the same."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.command import Sandbox
from tests.end_to_end.conftest import fetch
from tests.integration.container.conftest import state_files
from tests.needs import CONTAINER
from tests.other_host import OtherHost

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Home

    Lack = Callable[[OtherHost], None]

pytestmark = [
    pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "registry", "skopeo", "umoci", "busybox"),
    pytest.mark.slow,
]


@pytest.fixture
def host(home: Home) -> OtherHost:
    return OtherHost(home)


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def _no_newuidmap(host: OtherHost) -> None:
    host.lacks_program("newuidmap")


def _newuidmap_without_its_bit(host: OtherHost) -> None:
    # a program that fails, as the real one does without privilege
    host.has_file("/usr/bin/newuidmap", "#!/bin/sh\nexit 1\n", 0o755)


def _no_subordinate_ids(host: OtherHost) -> None:
    host.has_file("/etc/subuid", "somebody-else:100000:65536\n")


def _no_subordinate_groups(host: OtherHost) -> None:
    host.has_file("/etc/subgid", "")


def _few_subordinate_ids(host: OtherHost) -> None:
    host.has_file("/etc/subuid", f"{_user()}:{1 << 20}:1000\n")


def _overlapping_ids(host: OtherHost) -> None:
    host.has_file("/etc/subuid", f"{_user()}:{1 << 20}:65536\n{_user()}:{(1 << 20) + 1}:65536\n")


def _ids_that_are_not_ours(host: OtherHost) -> None:
    host.has_file("/etc/subuid", f"{_user()}:100000:65536\n")


def _no_slirp4netns(host: OtherHost) -> None:
    host.lacks_program("slirp4netns")


def _no_tun(host: OtherHost) -> None:
    host.has_empty_directory("/dev/net")


def _tun_of_root_alone(host: OtherHost) -> None:
    host.has_file("/dev/net/tun", "", 0o600)


def _no_nftables(host: OtherHost) -> None:
    host.lacks_program("nft")
    for library in Path("/usr/lib").glob("*/libnftables.so.1"):
        host.has_file(os.path.realpath(library), "")


_IDS = [
    (_no_newuidmap, "newuidmap is missing", "no newuidmap in /usr/bin", "apt-get install -y uidmap"),
    (
        _newuidmap_without_its_bit,
        "newuidmap cannot map",
        "neither the set-user-id bit",
        "sudo chmod u+s /usr/bin/newuidmap",
    ),
    (_no_subordinate_ids, "has no subordinate ids", "/etc/subuid has no line for", "sudo usermod --add-subuids"),
    (_no_subordinate_groups, "has no subordinate ids", "/etc/subgid has no line for", "sudo usermod --add-subuids"),
    (_few_subordinate_ids, "has too few subordinate ids", "/etc/subuid gives 1000", "sudo usermod --add-subuids"),
    (_overlapping_ids, "ids of this user overlap", "share ids", "sudo editor /etc/subuid"),
    (_ids_that_are_not_ours, "newuidmap cannot map", "Operation not permitted", "sudo usermod --add-subuids"),
]
_NETWORK = [
    (
        _no_slirp4netns,
        "slirp4netns is not installed",
        "no such program in PATH",
        "or run with --network host",
    ),
    (_no_tun, "there is no /dev/net/tun", "the device node was not made", "mknod -m 0666 /dev/net/tun c 10 200"),
    (_tun_of_root_alone, "/dev/net/tun cannot be opened", "its mode is 0600", "sudo chmod 0666 /dev/net/tun"),
]
_NFTABLES = (
    _no_nftables,
    "bridge networks need nftables",
    "there is neither libnftables.so.1 nor the program nft",
    "sudo apt-get install -y libnftables1",
)


def _named(value: object) -> str:
    return getattr(value, "__name__", "says").strip("_")


@pytest.mark.parametrize(("without", "what", "cause", "mend"), _IDS, ids=_named)
def test_without_ids_nothing_runs_and_nothing_is_left(
    host: OtherHost, busybox: str, without: Lack, what: str, cause: str, mend: str
) -> None:
    without(host)
    with host.enter() as sandbox:
        for words in (
            ("run", "-d", busybox, "true"),
            ("run", "--rm", "-p", "80", busybox, "true"),
            ("run", "--network", "none", busybox, "true"),
        ):
            _check(sandbox.run(*words, status=125).stderr, what, cause, mend)
            assert sandbox.run("ps", "-aq").stdout == ""
        assert state_files(sandbox) == []
        found = sandbox.run("doctor", status=1).stdout
        assert all(part in found for part in (what, cause, mend))


@pytest.mark.parametrize(("without", "what", "cause", "mend"), _IDS, ids=_named)
def test_without_ids_a_pull_keeps_nothing(
    host: OtherHost, busybox_image: str, without: Lack, what: str, cause: str, mend: str
) -> None:
    without(host)
    with host.enter() as sandbox:
        _check(sandbox.run("pull", busybox_image, status=125).stderr, what, cause, mend)
        assert sandbox.run("images", "-q").stdout == ""
        assert not list(sandbox.home.data.glob("sandbox/blobs/*/*"))
        assert not list(sandbox.home.data.glob("sandbox/layers/[!.]*"))


@pytest.mark.parametrize(("without", "what", "cause", "mend"), _NETWORK, ids=_named)
def test_without_a_private_network_the_others_work(
    host: OtherHost, busybox: str, without: Lack, what: str, cause: str, mend: str
) -> None:
    without(host)
    with host.enter() as sandbox:
        _check(sandbox.run("run", "--rm", "-p", "80", busybox, "true", status=125).stderr, what, cause, mend)
        assert sandbox.run("ps", "-aq").stdout == ""
        # without --rm the container stays as created, as in Docker, and says why
        _check(sandbox.run("run", "-d", "--name", "web", busybox, "true", status=125).stderr, what, cause, mend)
        assert sandbox.run("inspect", "-f", "{{.State.Status}}", "web").lines == ["created"]
        assert what in sandbox.run("inspect", "-f", "{{.State.Error}}", "web").stdout
        assert what in sandbox.run("start", "web", status=1).stderr
        sandbox.run("rm", "web")
        assert state_files(sandbox) == []
        assert sandbox.run("run", "--rm", "--network", "none", busybox, "echo", "runs").lines == ["runs"]
        assert sandbox.run("run", "--rm", "--network", "host", busybox, "echo", "runs").lines == ["runs"]
        found = sandbox.run("doctor", status=1).stdout
        assert all(part in found for part in (what, cause, mend))


@pytest.mark.parametrize(("without", "what", "cause", "mend"), [*_NETWORK, _NFTABLES], ids=_named)
def test_a_network_that_nobody_could_be_on_is_not_made(
    host: OtherHost, busybox: str, without: Lack, what: str, cause: str, mend: str
) -> None:
    without(host)
    compose = _project(host)
    with host.enter() as sandbox:
        built_in = sandbox.run("network", "ls", "-q").lines
        for options in ((), ("--ipv6",)):
            _check(sandbox.run("network", "create", *options, "front", status=1).stderr, what, cause, mend)
        told = sandbox.run(*compose, "up", "-d", status=1).stderr.splitlines()
        told = [line for line in told if not line.startswith(" Network project_default ")]
        _check("\n".join(told), what, cause, mend)
        assert sandbox.run("network", "ls", "-q").lines == built_in
        assert sandbox.run("ps", "-aq").stdout == ""
        assert state_files(sandbox) == []
        if without is not _no_nftables:
            # what leads nowhere needs no way out
            sandbox.run("network", "create", "--internal", "inner")
            assert sandbox.run("run", "--rm", "--network", "inner", busybox, "echo", "runs").lines == ["runs"]


def test_without_nftables_who_asked_for_nothing_has_a_network_of_his_own(
    host: OtherHost, busybox: str, free_port: Callable[[], int]
) -> None:
    port = free_port()
    without, what, cause, mend = _NFTABLES
    # a network that was made before nftables went
    here = Sandbox(host.home)
    here.run("network", "create", "front")
    without(host)
    with host.enter() as sandbox:
        _check(sandbox.run("run", "--rm", "--network", "front", busybox, "true", status=125).stderr, what, cause, mend)
        _check(
            sandbox.run("run", "--rm", "-p", f"[::1]:{port}:80", busybox, "true", status=125).stderr,
            "cannot publish on the IPv6 address [::1]",
            "this host gave the container no bridge network",
            "sandbox doctor bridge",
        )
        assert sandbox.run("ps", "-aq").stdout == ""
        serve = ("httpd", "-f", "-p", "80", "-h", "/etc")
        sandbox.run("run", "-d", "--name", "web", "-p", f"127.0.0.1:{port}:80", busybox, *serve)
        assert fetch(port, "/passwd").startswith("root:")
        sandbox.run("rm", "-f", "web")
        found = sandbox.run("doctor").stdout
        assert all(part in found for part in (what, cause, mend))
        sandbox.run("network", "rm", "front")


def test_a_host_with_ipv6_off_has_it_among_containers(
    host: OtherHost, busybox: str, free_port: Callable[[], int]
) -> None:
    """The host's switch is of its own network: only what is bound there is refused, in so many words."""
    host.has_no_ipv6()
    compose = _project(host)
    port = free_port()
    with host.enter() as sandbox:
        _check(
            sandbox.run("run", "--rm", "-p", f"[::1]:{port}:80", busybox, "true", status=125).stderr,
            f"cannot publish on [::1]:{port}/tcp",
            "IPv6 is off on this host",
            "publish on an IPv4 address, such as 127.0.0.1",
        )
        assert sandbox.run("ps", "-aq").stdout == ""
        sandbox.run("run", "-d", "--name", "web", "-p", f"{port}:80", busybox, "sleep", "1000")
        assert sandbox.run("port", "web").lines == [f"80/tcp -> 0.0.0.0:{port}"]
        sandbox.run("rm", "-f", "web")
        sandbox.run("network", "create", "--ipv6", "--subnet", "fd00:61::/64", "six")
        sandbox.run("run", "-d", "--name", "six-1", "--network", "six", busybox, "sleep", "1000")
        ping = ("busybox", "ping", "-6", "-c1", "-W5", "six-1")
        assert "from fd00:61::2" in sandbox.run("run", "--rm", "--network", "six", busybox, *ping).stdout
        sandbox.run(*compose, "up", "-d")
        length = sandbox.run(
            "inspect", "-f", "{{.NetworkSettings.Networks.project_default.GlobalIPv6PrefixLen}}", "project-web-1"
        ).stdout
        assert length.strip() == "64"
        sandbox.run(*compose, "down", "-t0")
        sandbox.run("rm", "-f", "six-1")
        sandbox.run("network", "rm", "six")
        assert "the host itself does not use it" in sandbox.run("doctor", "ipv6").stdout


def _project(host: OtherHost) -> tuple[str, ...]:
    """What makes a command of compose one of a project with a network that has IPv6 too."""
    path = host.home.root / "compose.yaml"
    document = {
        "name": "project",
        "services": {"web": {"image": "busybox", "command": "sleep 1000"}},
        "networks": {"default": {"enable_ipv6": True}},
    }
    path.write_text(json.dumps(document))
    return "compose", "-f", str(path)


def test_the_other_host_lacks_nothing_by_itself(host: OtherHost, busybox: str, free_port: Callable[[], int]) -> None:
    """What the tests above stand on: with nothing covered, the main job runs there."""
    port = free_port()
    with host.enter() as sandbox:
        sandbox.run(
            *("run", "-d", "--name", "web", "-p", f"127.0.0.1:{port}:80", busybox),
            *("httpd", "-f", "-p", "80", "-h", "/etc"),
        )
        assert fetch(port, "/passwd").startswith("root:")
        assert sandbox.run("exec", "web", "id", "-u").lines == ["0"]
        sandbox.run("rm", "-f", "web")
        sandbox.run("doctor")


def _check(talk: str, what: str, cause: str, mend: str) -> None:
    """One error: what failed, the cause, the mend, and not a word from any other program."""
    lines = talk.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["Error", "  cause", "  mend"], talk
    for part, line in zip((what, cause, mend), lines, strict=True):
        assert part in line
