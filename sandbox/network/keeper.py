"""The keeper of the bridge networks, from outside: what it does, asked of itself, and its process, found by its name.

A keeper belongs to one data root; its process shows the data root's short name. It ends by itself two seconds after the
last container on a bridge network.
"""

from __future__ import annotations

import os

from net.errors import NetError
from net.keeper_birth import PROCESS_NAME
from net.keeper_questions import ask_info
from net.router import Router
from sandbox.errors import HostError
from sandbox.humane import rfc3339
from sandbox.live_processes import process_start
from sandbox.named_tuple import NamedTuple
from sandbox.network.service_forwarders import forwarder_of
from sandbox.runtime.shared_namespaces import find_shared_namespaces, holder_pids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from net.keeper_protocol import KeeperInfo
    from sandbox.paths import Paths


class KeeperProcess(NamedTuple):
    """Which process, as records name one, and the inode of its router."""

    pid: int
    start: int
    router: int


def ask_keeper(paths: Paths) -> KeeperInfo | None:
    """What the keeper says of itself; None where no container runs on a bridge network. Raises HostError where one
    does, and no keeper answers.
    """
    found = find_shared_namespaces(paths.router)
    if found is None:
        return None
    router = Router(found.user_fd, found.router_fd)
    try:
        info = ask_info(router, join_user=True)
    except NetError as error:
        raise HostError(error.message, cause=error.cause, mend=error.mend) from error
    finally:
        router.close()
    if info is None:
        if all(forwarder_of(pid) for pid in holder_pids(paths.router)):
            return None  # services without a container
        raise HostError("the bridge networks have no keeper", cause="the monitors that start it do not get it to run")
    return info


def describe_keeper(info: KeeperInfo) -> dict[str, Any]:  # Any: JSON
    """What it does, as a document."""
    way_out = info.way_out
    program = f"slirp4netns {info.slirp_version}" if info.slirp_version else "slirp4netns"
    failure = ": ".join(filter(None, (way_out.message, way_out.cause)))
    return {
        "Pid": info.pid,
        "Version": info.version,
        "Started": rfc3339(int(info.started * 1e9)),
        "Containers": [container for container, _pid in info.members],
        "WayOut": {
            "Program": program,
            "State": way_out.state,
            "Pid": way_out.pid,
            "Restarts": way_out.restarts,
            "MTU": info.mtu,
            "EnableIPv6": info.ipv6,
            "Notes": list(way_out.notes),
            "Error": failure,
        },
        "Log": [{"Time": rfc3339(int(time * 1e9)), "Message": text} for time, text in info.log],
    }


def find_keepers(paths: Paths) -> Iterator[KeeperProcess]:
    """The keepers of this data root that run; more than one where another is about to end."""
    title = f"{PROCESS_NAME} {paths.runtime_prefix}"
    for name in os.listdir("/proc"):
        if name.isdecimal() and _is_keeper(name, title) and (start := process_start(int(name))):
            yield KeeperProcess(int(name), start, _router_of(name))


def _is_keeper(pid: str, title: str) -> bool:
    try:
        if os.stat(f"/proc/{pid}").st_uid != os.getuid():
            return False
        with open(f"/proc/{pid}/comm") as file:
            if file.read().strip() != PROCESS_NAME:
                return False
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().strip(b" \0") == title.encode()
    except OSError:
        return False


def _router_of(pid: str) -> int:
    """Of the network namespaces it holds; 0 where it has just ended."""
    for number in _descriptors(pid):
        try:
            kind, _, inode = os.readlink(f"/proc/{pid}/fd/{number}").partition(":")
        except OSError:
            continue
        if kind == "net":
            return int(inode.strip("[]"))
    return 0


def _descriptors(pid: str) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []
