"""What may be asked of a container's interface on one network: link-local addresses, and Docker's driver options.

    driver-opt=com.docker.network.endpoint.ifname=lan0
    driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.IFNAME.accept_ra=2

Other options are kept and shown, and nothing comes of them, as by Docker.
"""

from __future__ import annotations

from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.values import EndpointRequest

IFNAME = "com.docker.network.endpoint.ifname"
SYSCTLS = "com.docker.network.endpoint.sysctls"
#: IFNAMSIZ without the final NUL
_LONGEST_NAME = 15
_FAMILIES = ("ipv4", "ipv6", "mpls")
_GROUPS = ("conf", "neigh")
#: the second is what Docker's command line makes of the first
_PLACES = ("IFNAME", "ifname")


def check_options(endpoint: EndpointRequest) -> None:
    """Raises UsageError for an option that is no name, or no setting, of an interface."""
    options = dict(endpoint.driver_options)
    name = options.get(IFNAME)
    if name is not None and (
        not name
        or len(name.encode()) > _LONGEST_NAME
        or not name.isprintable()
        or set(name) & set("/: ")
        or name in (".", "..", "lo", "all", "default")
    ):
        raise UsageError(f"invalid interface name: {name!r}", cause=f"it is a word of at most {_LONGEST_NAME} bytes")
    interface_settings(endpoint.driver_options, "eth0")


def interface_name(options: Sequence[tuple[str, str]]) -> str:
    """What the interface is to be called; "" where nothing is said."""
    return dict(options).get(IFNAME, "")


def interface_settings(options: Sequence[tuple[str, str]], interface: str) -> tuple[tuple[str, str], ...]:
    """Paths below /proc/sys with what is to be written there, of an interface of that name. Raises UsageError."""
    found = []
    for text in filter(None, dict(options).get(SYSCTLS, "").split(",")):
        key, equals, value = text.partition("=")
        parts = key.strip().split(".")
        if not equals or len(parts) != 5 or parts[0] != "net" or parts[3] not in _PLACES:
            raise UsageError(
                f"invalid endpoint sysctl: {text!r}",
                mend=f"{SYSCTLS}=net.ipv4.conf.IFNAME.log_martians=1, with the word IFNAME for the interface",
            )
        if parts[1] not in _FAMILIES or parts[2] not in _GROUPS or not parts[4].replace("_", "").isalnum():
            raise UsageError(f"invalid endpoint sysctl: {text!r}", cause="it is no setting of one interface")
        found.append((f"net/{parts[1]}/{parts[2]}/{interface}/{parts[4]}", value))
    return tuple(found)
