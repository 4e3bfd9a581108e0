"""What a container may reach outside: the texts of `--egress`, and the nftables rules that hold it to them.

A rule names names; the packets that it lets through are told by address and port. So the name server admits the
addresses of an answer, for as long as the answer is good, before it gives the answer; an address that was not asked
for by an allowed name is refused. The packets of a restricted container are marked where they enter its bridge, by
the veth and not by their source, which a container may write as it likes.
"""

from __future__ import annotations

import re
import socket

from net.errors import NetError
from net.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: of a name or an address without a port
DEFAULT_PORT = 443
#: "every port", of `example.org:*`
ANY_PORT = 0
#: the family and table of the rules; the netfilter log group of what they refuse
TABLE = "sandbox_egress"
LOG_GROUP = 91
#: the highest octet of the marks of restricted packets; the others are the number of the veth
_MARK, _MARK_BITS, _NUMBER_BITS = 0x5B000000, 0xFF000000, 0x00FFFFFF
#: lines of the log in a second, of all containers
_LOG_RATE = 20
_FORM = "write deny, or allow= and names with ports: --egress allow=example.org:443,*.example.net"
#: a name or an address, one of IPv6 in brackets, and a port
_ITEM = re.compile(r"(?:\[(?P<six>[^\[\]]+)\](?P<prefix>/[0-9]+)?|(?P<place>[^:\[\]]+))(?::(?P<port>[^:]*))?")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


class AllowedName(NamedTuple):
    """A name, or `*.` and the end of names, or `*`; `port` is a number or ANY_PORT."""

    pattern: str
    port: int


class AllowedAddress(NamedTuple):
    """An address or a subnet with its prefix, in the form of the kernel; `port` is a number or ANY_PORT."""

    address: str
    port: int


class EgressRules(NamedTuple):
    """What may be reached: names that each of several sources allows, and addresses that all of them do."""

    #: of a container, of each of its networks
    names: tuple[tuple[AllowedName, ...], ...] = ()
    addresses: tuple[AllowedAddress, ...] = ()


class Refusal(NamedTuple):
    """Something that a container was kept from: a "name", or an "address" such as `192.0.2.1:80/tcp`."""

    container: str
    #: seconds since 1970
    time: float
    kind: str
    what: str


def parse_egress(texts: Sequence[str]) -> EgressRules:
    """The rules of all texts of one `--egress`: what any of them allows. Raises NetError for another form."""
    names: list[AllowedName] = []
    addresses: list[AllowedAddress] = []
    for text in texts:
        if text.strip() == "deny":
            continue
        key, equals, listed = text.partition("=")
        items = [item.strip() for item in listed.split(",")]
        if key.strip() != "allow" or not equals or not all(items):
            raise NetError(f"invalid egress rule {text!r}", cause="it neither denies nor allows", mend=_FORM)
        for item in items:
            _read_item(item, names, addresses)
    return EgressRules((tuple(dict.fromkeys(names)),), tuple(dict.fromkeys(addresses)))


def combine_egress(sources: Sequence[Sequence[str]]) -> EgressRules:
    """The rules of a container: what its own texts and those of each of its networks all allow. Raises NetError."""
    combined = parse_egress(sources[0])
    for texts in sources[1:]:
        rules = parse_egress(texts)
        both = [_common(one, other) for one in combined.addresses for other in rules.addresses]
        combined = EgressRules(combined.names + rules.names, tuple(dict.fromkeys(one for one in both if one)))
    # a set of the kernel's does not take one that is within another
    needed = tuple(one for one in combined.addresses if not any(_covers(other, one) for other in combined.addresses))
    return combined._replace(addresses=needed)


def ports_of(rules: EgressRules, name: str) -> frozenset[int]:
    """The ports at which `name`, in lower case, may be reached, or ANY_PORT alone for all; none: it may not."""
    found: frozenset[int] = frozenset((ANY_PORT,))
    for names in rules.names:
        ports = frozenset(allowed.port for allowed in names if _matches(allowed.pattern, name))
        if ANY_PORT not in ports:
            found = ports if ANY_PORT in found else found & ports
    return found


def mark_of(interface: str) -> int:
    """The mark of packets that come by the veth `interface`, "v" and its number in base 36. Raises ValueError."""
    if interface[:1] != "v":
        raise ValueError(f"{interface!r} is not a veth of ours")
    return _MARK | int(interface[1:], 36) & _NUMBER_BITS


def interface_mark(mark: int) -> bool:
    """Whether `mark` is one of `mark_of`."""
    return mark & _MARK_BITS == _MARK


def table_text() -> str:
    """The tables in the router that refuse what restricted containers may not reach. Twice is no error."""
    accept = "".join(
        f"    meta mark . {ip} daddr . th dport @sandbox_{kind}{version} accept\n"
        for kind in ("admitted", "allowed")
        for ip, version in (("ip", 4), ("ip6", 6))
    ) + "".join(f"    meta mark . {ip} daddr @sandbox_admitted_any{v} accept\n" for ip, v in (("ip", 4), ("ip6", 6)))
    sets = "".join(
        f"  set sandbox_admitted{v} {{ type mark . {kind} . inet_service; flags timeout; size 65536; }}\n"
        f"  set sandbox_admitted_any{v} {{ type mark . {kind}; flags timeout; size 65536; }}\n"
        f"  set sandbox_allowed{v} {{ type mark . {kind} . inet_service; flags interval; }}\n"
        for kind, v in (("ipv4_addr", 4), ("ipv6_addr", 6))
    )
    # the rules are made anew in one transaction with their flush: no packet meets a chain without them. What goes back
    # to the bridge that it came from, as to a member of a service by the service's address, reaches nothing outside
    return f"""table bridge {TABLE} {{
  map sandbox_restricted {{ type ifname : mark; }}
  chain sandbox_marking {{ type filter hook prerouting priority -300; policy accept; }}
}}
flush chain bridge {TABLE} sandbox_marking
table bridge {TABLE} {{
  chain sandbox_marking {{
    meta mark set iifname map @sandbox_restricted
  }}
}}
table inet {TABLE} {{
{sets}  chain sandbox_refusing {{ type filter hook forward priority 10; policy accept; }}
}}
flush chain inet {TABLE} sandbox_refusing
table inet {TABLE} {{
  chain sandbox_refusing {{
    meta mark & {_MARK_BITS:#x} != {_MARK:#x} accept
    ct state established,related accept
    fib daddr . iif oif exists accept
{accept}    limit rate {_LOG_RATE}/second log group {LOG_GROUP}
    counter reject with icmpx admin-prohibited
  }}
}}
"""


def restrict_text(interfaces: Iterable[str], rules: EgressRules) -> str:
    """The commands that restrict the veths of a container from now on, the tables included. Twice is no error.

    They can be loaded before the veths are there.
    """
    return table_text() + _elements("add", interfaces, rules)


def release_text(interfaces: Iterable[str], rules: EgressRules) -> str:
    """The commands that undo `restrict_text` of the same values; what was admitted since goes with its time."""
    return _elements("delete", interfaces, rules)


def admit_text(marks: Iterable[int], packed: bytes, port: int, lifetime: int) -> str:
    """The commands that admit an address of 4 or 16 octets at `port` for `lifetime` seconds from now."""
    address = socket.inet_ntop(socket.AF_INET6 if len(packed) == 16 else socket.AF_INET, packed)
    lines = []
    for mark in marks:
        name, element = _element(mark, AllowedAddress(address, port))
        # one that is there keeps its time when it is added again: it is added, taken away and added in one transaction
        lines.append(
            f"add element {name} {{ {element} }}\ndelete element {name} {{ {element} }}\n"
            f"add element {name} {{ {element} timeout {lifetime}s }}\n"
        )
    return "".join(lines)


def withdraw_text(marks: Iterable[int], packed: bytes, port: int) -> str:
    """The commands that admit an address no more; one whose time is over is no error."""
    address = socket.inet_ntop(socket.AF_INET6 if len(packed) == 16 else socket.AF_INET, packed)
    lines = []
    for mark in marks:
        name, element = _element(mark, AllowedAddress(address, port))
        lines.append(f"add element {name} {{ {element} }}\ndelete element {name} {{ {element} }}\n")
    return "".join(lines)


def may_be_admitted(packed: bytes) -> bool:
    """Whether a name may lead to an address: not to one of this machine, a link, a group or the way out itself."""
    if len(packed) == 4:
        return not (
            packed[0] in (0, 127)
            or packed[0] >= 224
            or packed[:2] == b"\xa9\xfe"
            # slirp4netns' own
            or packed[:3] == b"\x0a\0\2"
        )
    return not (packed[:10] == b"\0" * 10 or packed[0] == 0xFF or (packed[0] == 0xFE and packed[1] & 0xC0 == 0x80))


def _elements(verb: str, interfaces: Iterable[str], rules: EgressRules) -> str:
    lines = []
    for interface in interfaces:
        mark = mark_of(interface)
        lines.append(f'{verb} element bridge {TABLE} sandbox_restricted {{ "{interface}" : {mark:#x} }}\n')
        for allowed in rules.addresses:
            name, element = _element(mark, allowed)
            lines.append(f"{verb} element {name} {{ {element} }}\n")
    return "".join(lines)


def _element(mark: int, allowed: AllowedAddress) -> tuple[str, str]:
    """The set, and the element of it, for an address or a subnet."""
    address, port = allowed
    version = 6 if ":" in address else 4
    if "/" in address:
        ports = "0-65535" if port == ANY_PORT else port
        return f"inet {TABLE} sandbox_allowed{version}", f"{mark:#x} . {address} . {ports}"
    if port == ANY_PORT:
        return f"inet {TABLE} sandbox_admitted_any{version}", f"{mark:#x} . {address}"
    return f"inet {TABLE} sandbox_admitted{version}", f"{mark:#x} . {address} . {port}"


def _read_item(item: str, names: list[AllowedName], addresses: list[AllowedAddress]) -> None:
    place, port = _split_port(item)
    address = _subnet(place)
    if address is not None:
        addresses.append(AllowedAddress(address, port))
        return
    name = place.rstrip(".").lower()
    try:
        name = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        name = ""
    rest = name.removeprefix("*.")
    if name != "*" and (len(rest) > 253 or not all(map(_LABEL.fullmatch, rest.split(".")))):
        raise NetError(f"invalid egress rule {item!r}", cause=f"{place!r} is neither a name nor an address", mend=_FORM)
    names.append(AllowedName(name, port))


def _split_port(item: str) -> tuple[str, int]:
    if item.count(":") > 1 and not item.startswith("["):  # an IPv6 address
        return item, DEFAULT_PORT
    form = _ITEM.fullmatch(item)
    if form is None:
        raise NetError(f"invalid egress rule {item!r}", cause="it is no name with a port", mend=_FORM)
    port = form["port"]
    if port is not None and port != "*" and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise NetError(f"invalid egress rule {item!r}", cause=f"{port!r} is not a port", mend="use 1 to 65535, or *")
    place = form["place"] or form["six"] + (form["prefix"] or "")
    return place, DEFAULT_PORT if port is None else ANY_PORT if port == "*" else int(port)


def _subnet(place: str) -> str | None:
    """The text that nft takes of an address or subnet, its bits behind the prefix cleared; None for a name."""
    address, slash, prefix = place.partition("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        packed = socket.inet_pton(family, address)
    except (OSError, ValueError):
        return None
    length = len(packed) * 8
    if not slash:
        return socket.inet_ntop(family, packed)
    if not (prefix.isascii() and prefix.isdigit() and int(prefix) <= length):
        raise NetError(f"invalid egress rule {place!r}", cause=f"/{prefix} is not a prefix of it", mend=_FORM)
    rest = length - int(prefix)
    first = (int.from_bytes(packed, "big") >> rest << rest).to_bytes(len(packed), "big")
    return f"{socket.inet_ntop(family, first)}/{prefix}"


def _common(one: AllowedAddress, other: AllowedAddress) -> AllowedAddress | None:
    """The addresses and the port that both allow; of two subnets one is within the other, or they have none."""
    if one.port != other.port and ANY_PORT not in (one.port, other.port):
        return None
    for narrow, wide in ((one.address, other.address), (other.address, one.address)):
        if _is_within(narrow, wide):
            return AllowedAddress(narrow, one.port or other.port)
    return None


def _covers(one: AllowedAddress, other: AllowedAddress) -> bool:
    return one != other and one.port in (other.port, ANY_PORT) and _is_within(other.address, one.address)


def _is_within(narrow: str, wide: str) -> bool:
    (first, bits), (wide_first, wide_bits) = _bits(narrow), _bits(wide)
    return len(first) == len(wide_first) and bits >= wide_bits and first[:wide_bits] == wide_first[:wide_bits]


def _bits(subnet: str) -> tuple[str, int]:
    address, _, prefix = subnet.partition("/")
    packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    return "".join(f"{octet:08b}" for octet in packed), int(prefix or len(packed) * 8)


def _matches(pattern: str, name: str) -> bool:
    if pattern == "*":
        return True
    return name.endswith(pattern[1:]) and len(name) >= len(pattern) if pattern.startswith("*.") else name == pattern
