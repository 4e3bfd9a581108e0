"""The way out of the bridges' network namespace: which slirp4netns, and what it leaves to be done."""

from __future__ import annotations

import errno
import os
import time
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, socket

from net.named_tuple import NamedTuple
from net.netlink import open_rtnetlink
from net.router import call_in_thread
from net.slirp import DEFAULT_MTU, SlirpPlan, assume_features
from net.way_out import answer_for_containers, configure_way_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from net.netlink import Rtnetlink

#: what a keeper leaves when it ends by a fault
LOG_NAME = "keeper.log"


_SOCKET_PREFIX = "slirp-"
#: a socket that nobody listens on yet is no older
_BIRTH_SECONDS = 10.0


class RouterLink(NamedTuple):
    """What a keeper is started over; the descriptor is of the bridges' network namespace, and stays the caller's.

    `directory` is the user's own: slirp4netns' API socket and the log of faults lie there. Mounts below
    `private_mounts` are the container's of who forks, and not to be kept alive. `label` is what `ps` shows of the
    keeper, beside its name. It goes to the directory `cgroup`, that of who forks being the container's, where it may.
    `vips` is the file of the single addresses of services.
    """

    netns_fd: int
    directory: str
    mtu: int = DEFAULT_MTU
    ipv6: bool = True
    private_mounts: str = ""
    label: str = ""
    cgroup: str = ""
    vips: str = ""

    @property
    def api_socket(self) -> str:
        """Of this namespace alone: another one of the same user may be about to end."""
        return api_socket(self.directory, os.fstat(self.netns_fd).st_ino)


def slirp_plan(link: RouterLink) -> SlirpPlan:
    """The slirp4netns that is the way out of the namespace. Raises NetError where it is not installed."""
    socket_path = link.api_socket if _is_made(link.directory) else ""
    return SlirpPlan(assume_features(), link.netns_fd, socket_path, link.mtu, link.ipv6)


def _is_made(directory: str) -> bool:
    # a runtime directory goes at a log-out, and so may the place where it was
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
    except OSError:
        return False
    return True


def api_socket(directory: str, router: int) -> str:
    """Where slirp4netns listens whose namespace has the inode `router`."""
    return f"{directory}/{_SOCKET_PREFIX}{router}.sock"


def dead_sockets(directory: str) -> list[str]:
    """API sockets of slirp4netns that was killed with all who knew it, as paths."""
    found = []
    for name in os.listdir(directory) if os.path.isdir(directory) else ():
        path = f"{directory}/{name}"
        if name.startswith(_SOCKET_PREFIX) and not _is_heard(path):
            found.append(path)
    return sorted(found)


def _is_heard(path: str) -> bool:
    stream = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)
    try:
        if time.time() - os.stat(path).st_mtime < _BIRTH_SECONDS:
            return True
        return stream.connect_ex(path) != errno.ECONNREFUSED
    except FileNotFoundError:
        return True
    finally:
        stream.close()


def finish_tap(link: RouterLink) -> None:
    """What slirp4netns leaves to be done on its tap. Raises NetError."""
    routing = call_in_thread(link.netns_fd, _begin_finish)
    try:
        if link.ipv6:
            configure_way_out(routing)
    finally:
        routing.close()


def _begin_finish() -> Rtnetlink:
    answer_for_containers()
    return open_rtnetlink()
