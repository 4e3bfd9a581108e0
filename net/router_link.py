"""The way out of the bridges' network namespace: which slirp4netns, and what it leaves to be done."""

from __future__ import annotations

import os

from net.named_tuple import NamedTuple
from net.netlink import open_rtnetlink
from net.router import call_in_thread
from net.slirp import DEFAULT_MTU, SlirpPlan, assume_features
from net.way_out import configure_way_out

#: what a keeper leaves when it ends by a fault
LOG_NAME = "keeper.log"


class RouterLink(NamedTuple):
    """What a keeper is started over; the descriptor is of the bridges' network namespace, and stays the caller's.

    `directory` is the user's own: slirp4netns' API socket and the log of faults lie there. Mounts below
    `private_mounts` are the container's of who forks, and not to be kept alive.
    """

    netns_fd: int
    directory: str
    mtu: int = DEFAULT_MTU
    ipv6: bool = True
    private_mounts: str = ""

    @property
    def api_socket(self) -> str:
        """Of this namespace alone: another one of the same user may be about to end."""
        return f"{self.directory}/slirp-{os.fstat(self.netns_fd).st_ino}.sock"


def slirp_plan(link: RouterLink) -> SlirpPlan:
    """The slirp4netns that is the way out of the namespace. Raises NetError where it is not installed."""
    return SlirpPlan(assume_features(), link.netns_fd, link.api_socket, link.mtu, link.ipv6)


def finish_tap(link: RouterLink) -> None:
    """What slirp4netns leaves to be done on its tap. Raises NetError."""
    if not link.ipv6:
        return
    routing = call_in_thread(link.netns_fd, open_rtnetlink)
    try:
        configure_way_out(routing)
    finally:
        routing.close()
