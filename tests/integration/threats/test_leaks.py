"""What a container learns of who started it, through the real command: descriptors, variables, sockets, names."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox.runtime.unseen import ENTERING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.command import Sandbox

pytestmark = pytest.mark.requires("userns", "subids", "busybox")

#: options of `run`, or of `exec` in a container that runs
_WAYS = (
    ("run",),
    ("run", "--init"),
    ("run", "-i"),
    ("run", "-t"),
    ("run", "-t", "--init"),
    ("exec",),
    ("exec", "-i"),
    ("exec", "-t"),
)


@pytest.fixture(params=_WAYS, ids=" ".join)
def words(request: pytest.FixtureRequest, sandbox: Sandbox, busybox: str) -> list[str]:
    """The command line up to the program."""
    verb, *options = request.param
    if verb == "run":
        return ["run", "--rm", "--network", "none", *options, busybox]
    sandbox.run("run", "-d", "--name", "web", "--network", "none", busybox, "sleep", "1000")
    return ["exec", *options, "web"]


@pytest.fixture
def secret_fds(tmp_path: Path) -> Iterator[list[int]]:
    """Descriptors that a careless caller lets the command inherit: a directory of the host and a file in it."""
    (tmp_path / "secret").write_text("of the host")
    fds = [os.open(tmp_path, os.O_RDONLY), os.open(tmp_path / "secret", os.O_RDWR)]
    yield fds
    for fd in fds:
        os.close(fd)


def test_only_three_descriptors(sandbox: Sandbox, words: list[str], secret_fds: list[int]) -> None:
    """CVE-2024-21626, CVE-2016-9962; the fourth is the directory that `ls` lists."""
    for fd in secret_fds:
        os.set_inheritable(fd, True)
    process = sandbox.spawn(*words, "ls", "-1", "/proc/self/fd", pass_fds=secret_fds)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert output.split() == [b"0", b"1", b"2", b"3"]


def test_only_declared_variables(sandbox: Sandbox, words: list[str]) -> None:
    """CVE-2020-14370: nothing of the caller's environment."""
    sandbox.env["SECRET_OF_THE_CALLER"] = "leaked"
    names = {line.partition("=")[0] for line in sandbox.run(*words, "env").stdout.split()}
    assert names - {"TERM"} == {"PATH", "HOSTNAME", "HOME"}


@pytest.mark.parametrize("verb", ["exec", "run"])
def test_the_command_line_of_who_enters_is_not_seen(sandbox: Sandbox, busybox: str, verb: str) -> None:
    """Who enters a pid namespace is in its /proc until it executes: there it has no command line of the caller's."""
    look = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -E '[s]andbox|[O]F_CALLER' >>/seen"
    watch = f"while :; do {look}; done"
    sandbox.run("run", "-d", "--name", "web", "--network", "none", busybox, "sh", "-c", watch)
    entering = {
        "exec": ("exec", "-e", "OF_CALLER=1", "web", "true"),
        "run": ("run", "--rm", "--pid", "container:web", "--network", "none", "-e", "OF_CALLER=1", busybox, "true"),
    }
    seen: set[str] = set()
    while not seen:
        # it is there for milliseconds
        sandbox.run(*entering[verb])
        seen = set(sandbox.run("exec", "web", "cat", "/seen").lines)
    assert seen == {ENTERING.decode()}


def test_places_and_sockets_are_the_callers_alone(sandbox: Sandbox, busybox: str) -> None:
    """CVE-2020-15257, CVE-2021-41091: path sockets of mode 0600 below 0700 directories, whatever the umask is."""
    before = _abstract_sockets()
    previous = os.umask(0)
    try:
        sandbox.run("run", "-d", "--name", "web", "--network", "slirp4netns", busybox, "sleep", "1000")
    finally:
        os.umask(previous)
    for root in (sandbox.home.data / "sandbox", sandbox.home.runtime / "sandbox"):
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
    sockets = [path for path in sandbox.home.runtime.rglob("*") if path.is_socket()]
    assert sorted(path.name for path in sockets) == ["monitor.sock", "slirp.sock"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in sockets} == {0o600}
    ours = [name for name in _abstract_sockets() - before if "sandbox" in name or "slirp" in name]
    assert ours == []


def _abstract_sockets() -> set[str]:
    names = (line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    return {name for name in names if name.startswith("@")}


@pytest.mark.parametrize(
    "name", ["../x", "/../x", "--name", "-x", ".x", "a/b", "a b", "a\nb", "a\x1b[2J", "x", "é" * 2]
)
def test_a_container_name_is_no_path_and_no_option(sandbox: Sandbox, name: str) -> None:
    for words in (("run", f"--name={name}", "img"), ("create", f"--name={name}", "img"), ("rename", "web", "--", name)):
        refused = sandbox.run(*words, status=None)
        assert refused.status != 0
        assert "\x1b" not in refused.stderr
    assert not (sandbox.home.data / "sandbox/x").exists()


@pytest.mark.parametrize("name", ["..", "a/../../b", "-x", ".hidden", "a\nb", "a\x1b[2J"])
def test_a_volume_name_is_no_path_and_no_option(sandbox: Sandbox, busybox: str, name: str) -> None:
    refused = sandbox.run("run", "--rm", "--mount", f"type=volume,src={name},dst=/x", busybox, "true", status=125)
    assert "\x1b" not in refused.stderr
    assert sandbox.run("ps", "-aq").stdout == ""
    assert not list(sandbox.home.data.glob("sandbox/volumes/*"))


def test_a_cidfile_is_never_written_through_a_link(sandbox: Sandbox, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "cid").symlink_to(tmp_path / "victim")
    refused = sandbox.run("run", "--rm", "--cidfile", str(tmp_path / "cid"), busybox, "true", status=125)
    assert "container ID file found" in refused.stderr
    assert not (tmp_path / "victim").exists()
