"""Checks of the network a container gets."""

from __future__ import annotations

import os
import tempfile
from _socket import AF_INET, SOCK_CLOEXEC, SOCK_DGRAM, socket

from net.endpoints import add_endpoint
from net.errors import NetError
from net.host_ports import unprivileged_port_start
from net.namespace import prepare_bridged_namespace
from net.netlink import Rtnetlink, open_rtnetlink
from net.networks import BridgeSettings, EndpointSettings, Subnet, bridge_name, mac_of
from net.nft import check_nft
from net.router import call_in_router, make_router, open_namespace
from net.slirp import SlirpPlan, end_slirp, probe_features, start_slirp
from net.tun import check_tun
from sandbox.doctor.check import Check, Machine, from_error, passed, read_text
from sandbox.errors import HostError, SandboxError
from sandbox.network.keeper import ask_keeper
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


def check_bridge(machine: Machine) -> Check:
    """Makes a bridge with a container's network namespace on it, as a start on a bridge network does."""
    try:
        driver = check_nft()
        call_in_user_namespace(_make_bridge)
    except (NetError, SandboxError) as error:
        # containers have a private slirp4netns then
        return from_error("bridge", error, "warning")
    return passed("bridge", f"bridge networks can be made, by {os.path.basename(driver)}")


def check_keeper(machine: Machine) -> Check:
    """Asks the process that answers names on bridge networks, and keeps their slirp4netns running, what it does."""
    try:
        info = ask_keeper(machine.paths)
    except HostError as error:
        return from_error("keeper", error, "warning")
    if info is None:
        return passed("keeper", "no container is on a bridge network")
    way_out = info.way_out
    count = f"{len(info.members)} container{'s' * (len(info.members) != 1)} on bridge networks"
    if way_out.state == "failed":
        detail = f"process {info.pid} answers the names of {count}, which have no way out"
        return Check("keeper", "warning", detail, f"{way_out.message}: {way_out.cause}", way_out.mend)
    again = f", started anew {way_out.restarts} times" if way_out.restarts else ""
    leads = f"slirp4netns {info.slirp_version} ({way_out.pid}) leads out with an MTU of {info.mtu}{again}"
    return passed("keeper", f"process {info.pid} answers the names of {count}; {leads}")


def check_ipv6(machine: Machine) -> Check:
    """Whether the kernel has IPv6, and the host uses it."""
    off = read_text(f"{machine.proc}/sys/net/ipv6/conf/all/disable_ipv6")
    if off is None:
        return Check(
            "ipv6",
            "warning",
            "networks cannot have IPv6",
            "this kernel has none, or was started with ipv6.disable=1",
            "take ipv6.disable=1 from the kernel's command line",
        )
    if off != "0":
        return passed("ipv6", "networks can have IPv6; the host itself does not use it")
    return passed("ipv6", "networks can have IPv6")


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


def _make_bridge() -> None:
    try:
        router, routing = make_router()
        settings = BridgeSettings(bridge_name("doctor"), Subnet("172.17.0.0", 16, "172.17.0.1"))
        endpoint = EndpointSettings(settings, 1 << 20, "eth0", "172.17.0.2", "", mac_of("172.17.0.2"))
        netns_fd, inside_fd = call_in_router(router, _container_namespace)
        add_endpoint(routing, Rtnetlink.from_fd(inside_fd), netns_fd, endpoint)
    except NetError as error:
        raise SandboxError(error.message, cause=error.cause, mend=error.mend) from error


def _container_namespace() -> tuple[int, int]:
    unshare(CLONE_NEWNET)
    prepare_bridged_namespace()
    return open_namespace(), open_rtnetlink().detach()


def _hold_network(ready_read: int, ready_write: int) -> None:
    try:
        os.close(ready_read)
        unshare(CLONE_NEWNET)
        os.write(ready_write, b"1")
        os.read(os.pipe()[0], 1)  # for ever: the parent kills us
    finally:
        os._exit(1)
