"""`--network` and what goes with it: aliases, addresses, links.

    --network NAME                                  a network, or none, host, default, bridge, slirp4netns, pasta,
                                                    container:ID
    --network name=NAME,alias=…,ip=…,driver-opt=…   with options of its own

`joined_networks` says what of it a container's record keeps; whether there are such networks is seen in the database.
"""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.grammar.comma_fields import split_fields
from sandbox.grammar.hosts import canonical_address
from sandbox.named_tuple import NamedTuple
from sandbox.values import EndpointRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_BUILT_IN = frozenset({"", "default", "bridge", "host", "none", "slirp4netns", "pasta"})
#: those on which a container may have further names; what has a network of its own may be there for want of a bridge
_NAMED = _BUILT_IN - {"host", "none"}


def is_user_defined(network: str) -> bool:
    """Whether `network` names one that somebody made, not a mode of the engine."""
    return network not in _BUILT_IN and not network.startswith("container:")


def parse_network(text: str) -> EndpointRequest:
    """The endpoint that one `--network` text asks for. Raises UsageError."""
    if not _is_long_form(text):
        return EndpointRequest(text)
    endpoint = EndpointRequest("")
    for field in split_fields(text):
        # the name of a network, and IFNAME in a setting, are as they were written
        key, equals, value = field.partition("=")
        key, value = key.strip().lower(), value.strip()
        if not equals or key not in _KEYS:
            raise UsageError(f"invalid field {field}")
        endpoint = _add(endpoint, key, value)
    if not endpoint.network:
        raise UsageError("network name/id is not specified")
    return endpoint


_KEYS = frozenset({"name", "alias", "driver-opt", "ip", "ip6", "mac-address", "link-local-ip", "gw-priority"})


def _is_long_form(text: str) -> bool:
    # Docker looks for \w+=\w+ anywhere; container:NAME cannot hold an equals sign
    before, equals, after = text.partition("=")
    return bool(equals and before and after and (before[-1].isalnum() or before[-1] == "_"))


def _add(endpoint: EndpointRequest, key: str, value: str) -> EndpointRequest:
    if key == "name":
        return endpoint._replace(network=value)
    if key == "alias":
        return endpoint._replace(aliases=(*endpoint.aliases, value))
    if key == "driver-opt":
        name, equals, content = value.partition("=")
        if not equals or not name:
            raise UsageError("invalid key value pair format in driver options")
        return endpoint._replace(driver_options=(*endpoint.driver_options, (name, content)))
    if key == "ip":
        return endpoint._replace(ipv4_address=_address(value, version=4))
    if key == "ip6":
        return endpoint._replace(ipv6_address=_address(value, version=6))
    if key == "mac-address":
        return endpoint._replace(mac_address=parse_mac(value))
    if key == "link-local-ip":
        return endpoint._replace(link_local_addresses=(*endpoint.link_local_addresses, _address(value)))
    return endpoint._replace(gateway_priority=_priority(value))


def _priority(text: str) -> int:
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 9:
        raise UsageError(f"invalid gw-priority ({text}): invalid syntax")
    return int(text)


def _address(text: str, version: int = 0) -> str:
    address = canonical_address(text)
    # an IPv4 address in the form of IPv6 is neither to Docker
    mapped = text.lower().startswith("::ffff:") and "." in text
    if address is None or mapped or (version == 4 and ":" in address) or (version == 6 and ":" not in address):
        raise UsageError(f"invalid IP{f'v{version}' if version else ''} address: {text}")
    return address


def _link_local(text: str) -> str:
    address = _address(text)
    if not address.startswith(("169.254.", "fe8", "fe9", "fea", "feb")):
        raise UsageError(f"invalid link local IP address: {text}", cause="those begin with 169.254. or fe80:")
    return address


def parse_mac(text: str) -> str:
    """A MAC address of six bytes, parted by colons or dashes, in lower case with colons. Raises UsageError, also for
    one that no interface takes.
    """
    bare = text.replace("-", ":").lower()
    parts = bare.split(":")
    if len(parts) != 6 or not all(len(part) == 2 and set(part) <= set("0123456789abcdef") for part in parts):
        raise UsageError(f"{text} is not a valid mac address")
    # IEEE 802, section 8.2: the lowest bit of the first byte
    is_of_group = int(parts[0], 16) & 1
    if is_of_group or set(parts) == {"00"}:
        raise UsageError(
            f"{text} is not a valid mac address",
            cause="it is that of a group of devices" if is_of_group else "no device has it",
            mend="--mac-address 02:42:0a:00:00:09",
        )
    return bare


def parse_link(text: str) -> tuple[str, str]:
    """The name and the alias of `--link NAME[:ALIAS]`. Raises UsageError."""
    parts = text.split(":")
    if not text:
        raise UsageError("empty string specified for links")
    if len(parts) > 2:
        raise UsageError(f"bad format for links: {text}")
    return parts[0], parts[-1]


class SharedOptions(NamedTuple):
    """The options beside `--network`, which belong to the first network."""

    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_addresses: tuple[str, ...] = ()
    mac_address: str = ""


def combine_networks(texts: Sequence[str], shared: SharedOptions) -> tuple[EndpointRequest, ...]:
    """Every network asked for, with the options beside `--network` put on the first. Raises UsageError."""
    endpoints = [parse_network(text) for text in texts] or [EndpointRequest("default")]
    endpoints[0] = _with_shared(endpoints[0], shared)
    names = [endpoint.network for endpoint in endpoints]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f'network "{name}" is specified multiple times')
    if len({is_user_defined(name) for name in names}) > 1:
        raise UsageError("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
    return tuple(endpoints)


def _with_shared(endpoint: EndpointRequest, shared: SharedOptions) -> EndpointRequest:
    conflicts: tuple[tuple[object, object, str], ...] = (
        (endpoint.aliases, shared.aliases, "--network-alias and per-network alias"),
        (endpoint.links, shared.links, "--link and per-network links"),
        (endpoint.ipv4_address, shared.ipv4_address, "--ip and per-network IPv4 address"),
        (endpoint.ipv6_address, shared.ipv6_address, "--ip6 and per-network IPv6 address"),
        (endpoint.mac_address, shared.mac_address, "--mac-address and per-network MAC address"),
        (
            endpoint.link_local_addresses,
            shared.link_local_addresses,
            "--link-local-ip and per-network link-local IP addresses",
        ),
    )
    for own, other, what in conflicts:
        if own and other:
            raise UsageError(f"conflicting options: cannot specify both {what}")
    return endpoint._replace(
        aliases=endpoint.aliases or shared.aliases,
        # on the default network a link is the container's, not the network's
        links=endpoint.links or (shared.links if is_user_defined(endpoint.network) else ()),
        ipv4_address=endpoint.ipv4_address or _optional(shared.ipv4_address, 4),
        ipv6_address=endpoint.ipv6_address or _optional(shared.ipv6_address, 6),
        mac_address=endpoint.mac_address or (parse_mac(shared.mac_address) if shared.mac_address else ""),
        link_local_addresses=endpoint.link_local_addresses
        or tuple(_address(text) for text in shared.link_local_addresses),
    )


def _optional(text: str, version: int) -> str:
    return _address(text, version) if text else ""


class JoinedNetworks(NamedTuple):
    """What a record says of networks: its mode, the names that others have for the container, and its endpoints."""

    network: str
    aliases: tuple[str, ...] = ()
    endpoints: tuple[EndpointRequest, ...] = ()


def joined_networks(endpoints: Sequence[EndpointRequest]) -> JoinedNetworks:
    """What endpoints come to; whether there are such networks is not seen here. Raises UsageError."""
    endpoints = [check_endpoint(endpoint) for endpoint in endpoints]
    first = endpoints[0]
    target = first.network
    if is_user_defined(target):
        return JoinedNetworks(target, first.aliases, tuple(endpoints))
    if len(endpoints) > 1:
        names = " and ".join(endpoint.network for endpoint in endpoints)
        raise UsageError(f"conflicting options: cannot attach to {names} at once", mend=f"--network {target}")
    if target == "container:":
        raise UsageError("invalid container format container:<name|id>", mend="--network container:NAME")
    if first.ipv4_address or first.ipv6_address:
        raise UsageError(
            "user specified IP address is supported on user defined networks only",
            mend="sandbox network create --subnet 172.30.0.0/16 NAME, and --network NAME",
        )
    plain = "default" if target in ("", "bridge") else target
    if first.aliases and target not in _NAMED:
        raise UsageError(
            "network-scoped aliases are only supported for user-defined networks",
            cause=f"with --network {target} a container has no place on a network",
            mend="sandbox network create NAME, and --network NAME",
        )
    if first._replace(network=target, aliases=()).is_plain:
        return JoinedNetworks(plain, first.aliases)
    if plain == "default":
        return JoinedNetworks("bridge", first.aliases, (first._replace(network="bridge"),))
    raise UsageError(
        f"conflicting options: {_what_else(first)} and the network mode {target}", mend=f"--network {target}, alone"
    )


def _what_else(endpoint: EndpointRequest) -> str:
    for given, what in (
        (endpoint.mac_address, "mac-address"),
        (endpoint.links, "links"),
        (endpoint.driver_options, "driver-opt"),
        (endpoint.link_local_addresses, "link-local-ip"),
    ):
        if given:
            return what
    return "gw-priority"


def check_endpoint(endpoint: EndpointRequest) -> EndpointRequest:
    """The endpoint with its addresses in their normal form; a program may have put anything in. Raises UsageError."""
    for alias in endpoint.aliases:
        # it becomes a word of /etc/hosts, and a name that is asked for
        if not alias or not alias.isprintable() or " " in alias:
            raise UsageError(f"invalid network alias: {alias!r}")
    if endpoint.driver_options:
        from sandbox.grammar.endpoint_options import check_options

        check_options(endpoint)
    return endpoint._replace(
        ipv4_address=_optional(endpoint.ipv4_address, 4),
        ipv6_address=_optional(endpoint.ipv6_address, 6),
        mac_address=parse_mac(endpoint.mac_address) if endpoint.mac_address else "",
        link_local_addresses=tuple(_link_local(text) for text in endpoint.link_local_addresses),
        links=tuple(":".join(parse_link(text)) for text in endpoint.links),
    )
