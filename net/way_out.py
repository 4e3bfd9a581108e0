"""The router's tap, behind which slirp4netns is: IPv6 is set there by us.

slirp4netns sets IPv4 itself and announces IPv6, but the router takes no announcements: a container could make them.
"""

from __future__ import annotations

import errno
import struct
from contextlib import suppress

from net.link_messages import default_route, get_link, new_address
from net.slirp import TAP_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from net.netlink import Rtnetlink

#: slirp4netns' fixed network, in which it is fd00::2 and its name server fd00::3
_ADDRESS, _PREFIX, _GATEWAY = "fd00::100", 64, "fd00::2"
#: a kernel that has no IPv6, or has it switched off
_WITHOUT_IPV6 = (errno.EAFNOSUPPORT, errno.EOPNOTSUPP, errno.EACCES)

#: slirp4netns asks its network for whom a port leads to: the router answers for all that it can reach, at once
_PROXY = ((f"conf/{TAP_NAME}/proxy_arp", "1"), (f"neigh/{TAP_NAME}/proxy_delay", "0"))


def answer_for_containers() -> None:
    """Have the tap lead to the containers too, in whose router's network namespace the calling thread is."""
    for path, value in _PROXY:
        # where it may not be, `--port-driver slirp4netns` alone is in want of it
        with suppress(OSError), open(f"/proc/sys/net/ipv4/{path}", "w") as file:
            file.write(value)


def configure_way_out(routing: Rtnetlink) -> None:
    """Have the router go out by IPv6 too, once slirp4netns is ready, and again when another one is; twice is no error.

    Raises NetError. Nothing is done where there is no tap.
    """
    for body in routing.ask(get_link(TAP_NAME)):
        # struct ifinfomsg: family, padding, type, then the index
        (index,) = struct.unpack_from("=i", body, 4)
        messages = (new_address(index, _ADDRESS, _PREFIX), default_route(index, _GATEWAY))
        routing.send(*(message._replace(tolerated=_WITHOUT_IPV6) for message in messages))
