"""Checks of the network a container gets."""

from __future__ import annotations

import os
import tempfile
from _socket import AF_INET, SOCK_CLOEXEC, SOCK_DGRAM, socket

from net.errors import NetError
from net.host_ports import unprivileged_port_start
from net.slirp import SlirpPlan, check_tun, end_slirp, probe_features, start_slirp
from sandbox.doctor.check import Check, Machine, from_error, passed
from sandbox.errors import SandboxError
from sandbox.runtime.syscalls import CLONE_NEWNET, unshare
from sandbox.runtime.user_namespace import call_in_user_namespace

_IPPROTO_ICMP = 1


def check_tun_device(machine: Machine) -> Check:
    """Opens /dev/net/tun."""
    try:
        check_tun()
    except NetError as error:
        return from_error("tun", error)
    return passed("tun", "/dev/net/tun opens")


def check_slirp(machine: Machine) -> Check:
    """Starts slirp4netns for a new network namespace, as a container would."""
    search_path = machine.env.get("PATH", "")
    try:
        features = probe_features(search_path)
        notes = call_in_user_namespace(_start_slirp, search_path)
    except (NetError, SandboxError) as error:
        return from_error("slirp4netns", error)
    if isinstance(notes, list) and notes:
        return Check("slirp4netns", "warning", f"slirp4netns {features.version} works, but not in full", str(notes[0]))
    missing = [name for name in ("--enable-sandbox", "--enable-seccomp", "--enable-ipv6") if not features.has(name)]
    if missing:
        return Check(
            "slirp4netns", "warning", f"slirp4netns {features.version} is old", f"it lacks {', '.join(missing)}"
        )
    return passed("slirp4netns", f"slirp4netns {features.version} connects a network namespace")


def check_ports(machine: Machine) -> Check:
    """The ports that can be published."""
    return passed("ports", f"ports from {unprivileged_port_start()} on can be published")


def check_ping(machine: Machine) -> Check:
    """Opens the ping socket that slirp4netns would."""
    try:
        socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, _IPPROTO_ICMP).close()
    except OSError as error:
        return Check(
            "ping",
            "warning",
            "ping from containers gets no answer",
            f"net.ipv4.ping_group_range leaves out this user's groups ({error.strerror})",
            'sudo sysctl -w "net.ipv4.ping_group_range=0 2147483647"',
            needs_admin=True,
        )
    return passed("ping", "containers can ping")


# the rest runs in the forked process, inside


def _start_slirp(search_path: str) -> list[str]:
    ready_read, ready_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _hold_network(ready_read, ready_write)
    os.close(ready_write)
    try:
        if os.read(ready_read, 1) != b"1":
            raise SandboxError("no network namespace can be made", cause="unshare(CLONE_NEWNET) is refused")
        netns_fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        with tempfile.TemporaryDirectory(prefix="sandbox-") as directory:
            plan = SlirpPlan(probe_features(search_path), netns_fd, f"{directory}/api.sock")
            process = start_slirp(plan)
            end_slirp(process)
            return list(process.notes)
    except NetError as error:
        raise SandboxError(error.message, cause=error.cause, mend=error.mend) from error
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def _hold_network(ready_read: int, ready_write: int) -> None:
    try:
        os.close(ready_read)
        unshare(CLONE_NEWNET)
        os.write(ready_write, b"1")
        os.read(os.pipe()[0], 1)  # for ever: the parent kills us
    finally:
        os._exit(1)
