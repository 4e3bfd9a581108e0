"""What is known of a network, and of a container's place on it."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from net.networks import BridgeSettings, EndpointSettings, Subnet

#: the networks that are always there, by name, with their drivers
PREDEFINED = {"bridge": "bridge", "host": "host", "none": "null"}
#: options of Docker's bridges
MTU = "com.docker.network.driver.mtu"
ICC = "com.docker.network.bridge.enable_icc"
HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"


class Network(NamedTuple):
    """One row of `network`. Subnets and ranges are "address/prefix", addresses without a prefix; "" is none."""

    id: str  # 64 hex
    name: str
    driver: str  # bridge, host, null; overlay: a bridge too, for this machine is all of its swarm
    created_ns: int = 0
    subnet4: str = ""
    gateway4: str = ""
    range4: str = ""
    subnet6: str = ""
    gateway6: str = ""
    range6: str = ""
    #: whether a person chose the subnet: only then may a container choose its address
    chosen4: bool = False
    chosen6: bool = False
    internal: bool = False
    attachable: bool = False
    #: com.docker.network.bridge.name=…, com.docker.network.driver.mtu=…
    options: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    #: addresses that no container gets, by the name that a person gave each
    auxiliary: Mapping[str, str] = {}
    egress: tuple[str, ...] = ()
    #: of the driver of addresses, which has none of its own; None where nobody spoke of them
    ipam_options: Mapping[str, str] | None = None
    #: the addresses that were given last
    last4: str = ""
    last6: str = ""

    @property
    def is_predefined(self) -> bool:
        return self.name in PREDEFINED

    @property
    def is_bridged(self) -> bool:
        """Whether containers are on it by wires of their own."""
        return self.driver in ("bridge", "overlay")

    @property
    def scope(self) -> str:
        """Docker's word for how far it reaches."""
        return "swarm" if self.driver == "overlay" else "local"


class Endpoint(NamedTuple):
    """One row of `endpoint`: a container that runs, or is being started, on one network."""

    container_id: str
    network: Network
    id: str  # 64 hex
    #: of all the user's endpoints only this one has it: the index of the interface in the router
    number: int
    #: eth0, eth1, …
    interface: str
    address4: str = ""
    address6: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = ()
    #: "CONTAINER:ALIAS": names that this container alone has for others
    links: tuple[str, ...] = ()
    gateway_priority: int = 0
    #: whether the container's way out is here
    default_route: bool = False
    #: addresses beside the one that the network gave
    link_local: tuple[str, ...] = ()
    #: com.docker.network.endpoint.ifname, .sysctls; of others nothing comes
    driver_options: tuple[tuple[str, str], ...] = ()

    @property
    def prefix4(self) -> int:
        return prefix_of(self.network.subnet4) if self.address4 else 0

    @property
    def prefix6(self) -> int:
        return prefix_of(self.network.subnet6) if self.address6 else 0

    def settings(self) -> EndpointSettings:
        """What the kernel is to have of it."""
        from net.networks import EndpointSettings  # on the way of who starts a container on a bridge

        name = self.interface
        if self.driver_options:
            from sandbox.grammar.endpoint_options import interface_name  # few have any

            name = interface_name(self.driver_options) or name
        return EndpointSettings(
            bridge_settings(self.network), self.number, name, self.address4, self.address6, self.mac,
            self.default_route, int(self.interface.removeprefix("eth")), self.link_local,
        )  # fmt: skip


def bridge_settings(network: Network) -> BridgeSettings:
    """What the kernel is to have of a network."""
    from net.networks import DEFAULT_MTU, BridgeSettings, bridge_name

    options = network.options
    mtu = int(options.get(MTU, options.get("mtu", "0"))) or DEFAULT_MTU
    return BridgeSettings(
        bridge_name(network.id), _subnet(network.subnet4, network.gateway4), _subnet(network.subnet6, network.gateway6),
        mtu, network.internal, options.get(ICC, "true").lower() not in ("false", "0"),
    )  # fmt: skip


def _subnet(subnet: str, gateway: str) -> Subnet | None:
    from net.networks import Subnet

    address, _, bits = subnet.partition("/")
    return Subnet(address, int(bits), gateway) if subnet else None


def prefix_of(subnet: str) -> int:
    """The bits of "172.17.0.0/16" that belong to the network; 0 of no subnet."""
    return int(subnet.partition("/")[2] or 0)


def dns_names(aliases: Sequence[str], name: str, short_id: str, hostname: str) -> tuple[str, ...]:
    """What a container is called on a network, in Docker's order."""
    return tuple(dict.fromkeys(filter(None, (name, *aliases, short_id, hostname))))


def gateways_of(endpoints: Sequence[Endpoint]) -> set[str]:
    """Of all their networks."""
    return {address for one in endpoints for address in (one.network.gateway4, one.network.gateway6) if address}


def has_local_names(endpoints: Sequence[Endpoint]) -> bool:
    """Whether names are asked for at 127.0.0.11 inside: on every network but the default one, as Docker has it."""
    return any(not endpoint.network.is_predefined for endpoint in endpoints)
