"""`--network` and what goes with it: aliases, addresses, links.

    --network NAME                                  a network, or none, host, default, bridge, container:ID
    --network name=NAME,alias=…,ip=…,driver-opt=…   with options of its own

The grammar is whole, so that a text means what it means to Docker; `usable_network` says which of it works today.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.container.option_values.comma_fields import split_fields
from sandbox.container.option_values.hosts import canonical_address
from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_BUILT_IN = frozenset({"", "default", "bridge", "host", "none"})


class NetworkAttachment(NamedTuple):
    """One network a container is to join, and how."""

    target: str
    aliases: tuple[str, ...] = ()
    driver_options: tuple[tuple[str, str], ...] = ()
    links: tuple[str, ...] = ()
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_addresses: tuple[str, ...] = ()
    mac_address: str = ""
    gateway_priority: int = 0

    @property
    def is_plain(self) -> bool:
        return self == NetworkAttachment(self.target)


def is_user_defined(network: str) -> bool:
    """Whether `network` names one that somebody made, not a mode of the engine."""
    return network not in _BUILT_IN and not network.startswith("container:")


def parse_network(text: str) -> NetworkAttachment:
    """The attachment that one `--network` text asks for. Raises UsageError."""
    if not _is_long_form(text):
        return NetworkAttachment(text)
    attachment = NetworkAttachment("")
    for field in split_fields(text):
        key, equals, value = field.lower().partition("=")
        key, value = key.strip(), value.strip()
        if not equals or key not in _KEYS:
            raise UsageError(f"invalid field {field}")
        attachment = _add(attachment, key, value)
    if not attachment.target:
        raise UsageError("network name/id is not specified")
    return attachment


_KEYS = frozenset({"name", "alias", "driver-opt", "ip", "ip6", "mac-address", "link-local-ip", "gw-priority"})


def _is_long_form(text: str) -> bool:
    # Docker looks for \w+=\w+ anywhere; container:NAME cannot hold an equals sign
    before, equals, after = text.partition("=")
    return bool(equals and before and after and (before[-1].isalnum() or before[-1] == "_"))


def _add(attachment: NetworkAttachment, key: str, value: str) -> NetworkAttachment:
    if key == "name":
        return attachment._replace(target=value)
    if key == "alias":
        return attachment._replace(aliases=(*attachment.aliases, value))
    if key == "driver-opt":
        name, equals, content = value.partition("=")
        if not equals or not name:
            raise UsageError("invalid key value pair format in driver options")
        return attachment._replace(driver_options=(*attachment.driver_options, (name, content)))
    if key == "ip":
        return attachment._replace(ipv4_address=_address(value, version=4))
    if key == "ip6":
        return attachment._replace(ipv6_address=_address(value, version=6))
    if key == "mac-address":
        return attachment._replace(mac_address=parse_mac(value))
    if key == "link-local-ip":
        return attachment._replace(link_local_addresses=(*attachment.link_local_addresses, _address(value)))
    return attachment._replace(gateway_priority=_priority(value))


def _priority(text: str) -> int:
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 9:
        raise UsageError(f"invalid gw-priority ({text}): invalid syntax")
    return int(text)


def _address(text: str, version: int = 0) -> str:
    address = canonical_address(text)
    if address is None or (version == 4 and ":" in address) or (version == 6 and ":" not in address):
        raise UsageError(f"invalid IP{f'v{version}' if version else ''} address: {text}")
    return address


def parse_mac(text: str) -> str:
    """A MAC address of six bytes, parted by colons or dashes, in lower case with colons. Raises UsageError."""
    bare = text.replace("-", ":").lower()
    parts = bare.split(":")
    if len(parts) != 6 or not all(len(part) == 2 and set(part) <= set("0123456789abcdef") for part in parts):
        raise UsageError(f"{text} is not a valid mac address")
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


def combine_networks(texts: Sequence[str], shared: SharedOptions) -> tuple[NetworkAttachment, ...]:
    """Every network asked for, with the options beside `--network` put on the first. Raises UsageError."""
    attachments = [parse_network(text) for text in texts] or [NetworkAttachment("default")]
    attachments[0] = _with_shared(attachments[0], shared)
    names = [attachment.target for attachment in attachments]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f'network "{name}" is specified multiple times')
    if len({is_user_defined(name) for name in names}) > 1:
        raise UsageError("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
    return tuple(attachments)


def _with_shared(attachment: NetworkAttachment, shared: SharedOptions) -> NetworkAttachment:
    conflicts: tuple[tuple[object, object, str], ...] = (
        (attachment.aliases, shared.aliases, "--network-alias and per-network alias"),
        (attachment.links, shared.links, "--link and per-network links"),
        (attachment.ipv4_address, shared.ipv4_address, "--ip and per-network IPv4 address"),
        (attachment.ipv6_address, shared.ipv6_address, "--ip6 and per-network IPv6 address"),
        (attachment.mac_address, shared.mac_address, "--mac-address and per-network MAC address"),
        (
            attachment.link_local_addresses,
            shared.link_local_addresses,
            "--link-local-ip and per-network link-local IP addresses",
        ),
    )
    for own, other, what in conflicts:
        if own and other:
            raise UsageError(f"conflicting options: cannot specify both {what}")
    return attachment._replace(
        aliases=attachment.aliases or shared.aliases,
        # on the default network a link is the container's, not the network's
        links=attachment.links or (shared.links if is_user_defined(attachment.target) else ()),
        ipv4_address=attachment.ipv4_address or _optional(shared.ipv4_address, 4),
        ipv6_address=attachment.ipv6_address or _optional(shared.ipv6_address, 6),
        mac_address=attachment.mac_address or (parse_mac(shared.mac_address) if shared.mac_address else ""),
        link_local_addresses=attachment.link_local_addresses
        or tuple(_address(text) for text in shared.link_local_addresses),
    )


def _optional(text: str, version: int) -> str:
    return _address(text, version) if text else ""


def usable_network(attachments: Sequence[NetworkAttachment]) -> str:
    """The record's network: "none", "host", "container:ID" or "default". Raises UsageError for the rest."""
    first = attachments[0]
    target = first.target
    for alias in first.aliases:
        # it becomes a word of /etc/hosts
        if not alias or not alias.isprintable() or " " in alias:
            raise UsageError(f"invalid network alias: {alias!r}")
    if is_user_defined(target):
        raise UsageError(
            f"network {target} not found",
            cause="networks of several containers are not built yet",
            mend="use --network default, host, none or container:NAME",
        )
    if target == "container:":
        raise UsageError("invalid container format container:<name|id>", mend="--network container:NAME")
    for given, what in (
        (first.ipv4_address or first.ipv6_address or first.link_local_addresses, "a fixed address"),
        (first.mac_address, "a fixed MAC address"),
        (first.driver_options, "driver-opt"),
        (first.gateway_priority, "gw-priority"),
    ):
        if given:
            raise UsageError(f"{what} is supported on user-defined networks only", mend="leave it out")
    return "default" if target in ("", "bridge") else target
