"""What a bridge network and its endpoints are made of, as plain values that processes send each other as JSON."""

from __future__ import annotations

from net.named_tuple import NamedTuple

#: of a bridge, its veths and slirp4netns' tap alike; the largest that slirp4netns takes, net.slirp
DEFAULT_MTU = 65520
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Subnet(NamedTuple):
    """`address`/`prefix` of one IP version, with the address in it that the bridge has."""

    address: str
    prefix: int
    gateway: str

    @property
    def text(self) -> str:
        """As in "172.17.0.0/16"."""
        return f"{self.address}/{self.prefix}"


class BridgeSettings(NamedTuple):
    """One network: the bridge in the router's namespace."""

    name: str
    subnet4: Subnet | None = None
    subnet6: Subnet | None = None
    mtu: int = DEFAULT_MTU
    #: no way out, and none in from other networks
    internal: bool = False
    #: whether its containers reach each other
    icc: bool = True


class EndpointSettings(NamedTuple):
    """One container's place on one network; addresses without a prefix, "" for none."""

    bridge: BridgeSettings
    #: unique among the endpoints of the user; the interface index in the router's namespace, so at least 2^20: the
    #: kernel numbers its own from 1
    number: int
    #: its name in the container: "eth0" or what was asked for
    interface: str
    address4: str = ""
    address6: str = ""
    mac: str = ""
    default_route: bool = True
    #: among the container's own, from 0
    position: int = 0
    #: further addresses, of the link alone
    link_local: tuple[str, ...] = ()

    @property
    def host_interface(self) -> str:
        """The name of the veth's end in the router's namespace; at most 15 bytes for any number below 2^72."""
        digits, rest = "", self.number
        while rest:
            rest, digit = divmod(rest, 36)
            digits = _DIGITS[digit] + digits
        return f"v{digits or '0'}"


def bridge_name(network_id: str) -> str:
    """The bridge's interface of the network with that id, as Docker names it."""
    return f"br-{network_id[:12]}"


def mac_of(address4: str) -> str:
    """The MAC address that an endpoint with this IPv4 address has: 02:42, then the address, as Docker has it."""
    return ":".join(("02", "42", *(f"{int(part):02x}" for part in address4.split("."))))


def mac_of6(address6: str) -> str:
    """The MAC address of an endpoint that has no IPv4 address: 02:42, then the last four bytes of this one."""
    from _socket import AF_INET6, inet_pton  # a socket's module, for the rare network without IPv4

    return ":".join(("02", "42", *(f"{byte:02x}" for byte in inet_pton(AF_INET6, address6)[-4:])))
