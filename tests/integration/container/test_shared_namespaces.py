"""`--privileged`, `--pid`, `--ipc` and `--uts`: what is shared then, and what still is not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
RUN = ("run", "--rm", "--network", "none")
DETACHED = ("run", "-d", "--network", "none")


def _inside(sandbox: Sandbox, image: str, options: tuple[str, ...], script: str) -> list[str]:
    return sandbox.run(*RUN, *options, image, "sh", "-c", script).lines


def test_privileged_has_every_capability_and_nothing_masked(sandbox: Sandbox, busybox: str) -> None:
    script = "grep -E 'CapEff|Seccomp:' /proc/self/status; stat -c %F /proc/interrupts"
    plain = _inside(sandbox, busybox, (), script)
    assert plain[1].split() == ["Seccomp:", "2"]
    assert plain[2] == "character special file"  # /dev/null in its place
    lines = _inside(sandbox, busybox, ("--privileged",), f"{script}; echo 64 > /proc/sys/kernel/msgmni && echo written")
    with open("/proc/sys/kernel/cap_last_cap") as file:
        everything = (1 << (int(file.read()) + 1)) - 1
    assert int(lines[0].split()[1], 16) == everything
    assert lines[1].split() == ["Seccomp:", "0"]
    assert lines[2:] == ["regular empty file", "written"]


def test_privileged_is_bounded_by_the_user(sandbox: Sandbox, busybox: str) -> None:
    """Power over its own namespaces, none over the machine."""
    script = (
        "mkdir /m && busybox mount -t tmpfs none /m && echo mounted; "
        "echo 1 > /proc/sys/vm/drop_caches || echo kept; busybox mknod /d b 7 0 || echo none; "
        "busybox hwclock -w || echo clock"
    )
    lines = _inside(sandbox, busybox, ("--privileged",), script)
    assert lines == ["mounted", "kept", "none", "clock"]


def test_host_pid_shows_the_hosts_processes_and_gives_no_power_over_them(sandbox: Sandbox, busybox: str) -> None:
    own = os.getpid()
    script = f"readlink /proc/self/ns/pid; cat /proc/{own}/environ 2>/dev/null || echo closed; kill -9 1 || echo alive"
    script = script.replace("readlink", "busybox readlink")
    lines = _inside(sandbox, busybox, ("--pid", "host"), script)
    assert lines == [os.readlink("/proc/self/ns/pid"), "closed", "alive"]


def test_host_uts_has_the_hosts_name_and_cannot_change_it(sandbox: Sandbox, busybox: str) -> None:
    lines = _inside(sandbox, busybox, ("--uts", "host"), "hostname; hostname other || echo kept")
    assert lines == [os.uname().nodename, "kept"]
    refused = sandbox.run(*RUN, "--uts", "host", "--hostname", "x", busybox, "true", status=125)
    assert "conflicting options: hostname and the UTS mode" in refused.stderr


def test_host_ipc_has_the_hosts_shared_memory(sandbox: Sandbox, busybox: str) -> None:
    name = f"sandbox-{os.getpid()}"
    with open(f"/dev/shm/{name}", "w") as file:
        file.write("hosts\n")
    try:
        lines = _inside(sandbox, busybox, ("--ipc", "host"), f"busybox readlink /proc/self/ns/ipc; cat /dev/shm/{name}")
    finally:
        os.unlink(f"/dev/shm/{name}")
    assert lines == [os.readlink("/proc/self/ns/ipc"), "hosts"]


def test_no_ipc_is_without_shared_memory(sandbox: Sandbox, busybox: str) -> None:
    script = "test -e /dev/shm || echo none; test -d /dev/mqueue && echo queues"
    assert _inside(sandbox, busybox, ("--ipc", "none"), script) == ["none", "queues"]


def test_containers_share_memory(sandbox: Sandbox, busybox: str) -> None:
    give = "echo shared > /dev/shm/file; chmod 666 /dev/shm/file; exec sleep 1000"
    sandbox.run(*DETACHED, "--name", "giver", "--shm-size", "8m", busybox, "sh", "-c", give)
    ipc = sandbox.run("exec", "giver", "busybox", "readlink", "/proc/self/ns/ipc").stdout.strip()
    script = (
        "busybox readlink /proc/self/ns/ipc; until grep shared /dev/shm/file; do sleep 0.01; done; "
        "echo back > /dev/shm/file"
    )
    assert _inside(sandbox, busybox, ("--ipc", "container:giver"), script) == [ipc, "shared"]
    assert sandbox.run("exec", "giver", "cat", "/dev/shm/file").stdout == "back\n"
    # with its processes as well: that order of namespaces is another one
    options = ("--ipc", "container:giver", "--pid", "container:giver")
    assert _inside(sandbox, busybox, options, "cat /dev/shm/file; ps | grep -c [s]leep") == ["back", "1"]


def test_a_container_cannot_lead_who_shares_its_memory_elsewhere(sandbox: Sandbox, busybox: str) -> None:
    script = "cd /dev; busybox umount shm && busybox rmdir shm && busybox ln -s /etc shm; exec sleep 1000"
    sandbox.run(*DETACHED, "--name", "liar", "--privileged", busybox, "sh", "-c", script)
    until = "until test -h /dev/shm; do sleep 0.01; done"
    sandbox.run("exec", "liar", "sh", "-c", until)
    refused = sandbox.run(*RUN, "--ipc", "container:liar", busybox, "true", status=125)
    assert "cannot share /dev/shm of the other container" in refused.stderr


def test_who_shares_the_network_of_one_on_the_hosts_network_is_there_too(sandbox: Sandbox, busybox: str) -> None:
    """However many lie between, and after a start again."""
    sandbox.run("run", "-d", "--name", "first", "--network", "host", busybox, "sleep", "1000")
    sandbox.run("run", "-d", "--name", "second", "--network", "container:first", busybox, "sleep", "1000")
    sandbox.run("restart", "-t", "0", "second")
    script = "busybox readlink /proc/self/ns/net; busybox hostname; ls /sys/class/net"
    lines = sandbox.run("run", "--rm", "--network", "container:second", busybox, "sh", "-c", script).lines
    assert lines[0] == os.readlink("/proc/self/ns/net")
    assert lines[1] == sandbox.run("exec", "first", "hostname").stdout.strip()
    assert "lo" in lines[2:]
