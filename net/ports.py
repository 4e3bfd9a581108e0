"""Published and exposed ports: the texts of `-p` and `--expose`, read by the rules of Docker's go-connections.

    [ip:][host[-host]:]container[-container][/tcp|/udp]        published=…,target=…,protocol=…
    either, and then: ,proxy-protocol[=v1|=v2]                 ours

Two ranges must be of one length, except that a host range in front of a single container port means: any free one of
them. An absent host port, or 0, means: any free port. IPv6 addresses may stand in brackets. Pure functions only.
"""

from __future__ import annotations

# not `socket` or `ipaddress`: `run` and `ps` import this module, and those cost 8 ms each
from _socket import AF_INET, AF_INET6, inet_pton

from net.errors import NetError
from net.named_tuple import NamedTuple
from net.port_texts import join_address, split_protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Literal

    Protocol = Literal["tcp", "udp"]
else:
    Protocol = str

_LARGEST = 65535
_PROXY_PROTOCOL = "proxy-protocol"
_PROXY_VERSIONS = {"": 1, "v1": 1, "v2": 2}
_EVERY = {"0.0.0.0": AF_INET, "::": AF_INET6}


class PortMapping(NamedTuple):
    """A host address and port in front of a container's port.

    `host_ip` "" stands for every address; `host_port` 0 for any free port; with `host_port_end` set, for any free one
    from `host_port` to it. With `proxy_protocol` 1 or 2, a version, each connection begins with a header of the PROXY
    protocol, which tells the client's address.
    """

    host_ip: str
    host_port: int
    container_port: int
    protocol: Protocol = "tcp"
    host_port_end: int = 0
    proxy_protocol: int = 0


class Forward(NamedTuple):
    """A forward as a program talks of it: what is bound, without room for choice."""

    host_ip: str
    host_port: int
    protocol: Protocol

    def __str__(self) -> str:
        return f"{join_address(self.host_ip, str(self.host_port))}/{self.protocol}"


class PortRange(NamedTuple):
    first: int
    last: int


def parse_port_number(text: str) -> int:
    """A port number, 0 included. Raises NetError."""
    if not text:
        raise NetError("value is empty")
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise NetError("invalid syntax")
    # the length is looked at first: int() takes quadratic time over a long text
    if text.startswith("-") or len(digits.lstrip("0")) > 5 or int(digits) > _LARGEST:
        raise NetError(f"value out of range (0–{_LARGEST})")
    return int(digits)


def parse_port_range(text: str) -> PortRange:
    """ "80" or "80-90". Raises NetError."""
    if not text:
        raise NetError("empty string specified for ports")
    first_text, dash, last_text = text.partition("-")
    first = _range_end("start", first_text)
    if not dash:
        return PortRange(first, first)
    last = _range_end("end", last_text)
    if last < first:
        raise NetError(f"invalid port range: {text}")
    return PortRange(first, last)


def _range_end(which: str, text: str) -> int:
    try:
        return parse_port_number(text)
    except NetError as error:
        raise NetError(f"invalid {which} port '{text}': {error.message}") from None


def parse_published(text: str) -> tuple[PortMapping, ...]:
    """The mappings of one `-p`, a range as one mapping for each container port. Raises NetError."""
    plain, version = _split_proxy_protocol(text)
    mappings = _parse_plain(plain)
    if not version:
        return mappings
    if mappings[0].protocol != "tcp":
        raise NetError(f"proxy-protocol is for tcp ports only: {text}", mend=f"-p {plain}")
    return tuple(mapping._replace(proxy_protocol=version) for mapping in mappings)


def _parse_plain(text: str) -> tuple[PortMapping, ...]:
    spec = _from_long_form(text) if "=" in text else text
    host_ip, host_text, rest = _split_spec(spec)
    container_text, protocol_text = split_protocol(rest)
    if not container_text:
        raise NetError(f"no port specified: {text}<empty>")
    protocol = _check_protocol(protocol_text)
    host_ip = _check_address(host_ip)
    container = _named_range("containerPort", container_text)
    if container.first == 0:
        raise NetError(f"invalid containerPort: {container_text}", cause="a container's port is from 1 to 65535")
    host = _named_range("hostPort", host_text) if host_text else PortRange(0, 0)
    if host == (0, 0):
        return tuple(PortMapping(host_ip, 0, port, protocol) for port in range(container.first, container.last + 1))
    if host.first == 0:
        raise NetError(f"invalid hostPort: {host_text}", cause="a range cannot begin at port 0")
    if host.last - host.first == container.last - container.first:
        pairs = zip(range(host.first, host.last + 1), range(container.first, container.last + 1), strict=True)
        return tuple(PortMapping(host_ip, here, there, protocol) for here, there in pairs)
    if container.first != container.last:
        raise NetError(
            f"invalid ranges specified for container and host Ports: {container_text} and {host_text}",
            cause=f"{container.last - container.first + 1} container ports, {host.last - host.first + 1} host ports",
            mend="give two ranges of one length, or a single container port",
        )
    return (PortMapping(host_ip, host.first, container.first, protocol, host.last),)


def parse_exposed(text: str) -> tuple[str, ...]:
    """The ports of one `--expose`, as "80/tcp" each. Raises NetError."""
    if ":" in text:
        raise NetError(f"invalid port format for --expose: {text}", mend="use -p to publish a port on the host")
    port, protocol = split_protocol(text)
    try:
        ports = parse_port_range(port)
    except NetError as error:
        raise NetError(f"invalid range format for --expose: {text}", cause=error.message) from None
    protocol = protocol.lower()
    if protocol not in ("tcp", "udp", "sctp"):
        raise NetError(f"invalid proto: {protocol}")
    return tuple(f"{number}/{protocol}" for number in range(ports.first, ports.last + 1))


def publish_all(exposed: Iterable[str], published: Sequence[PortMapping]) -> tuple[PortMapping, ...]:
    """What `-P` adds: a mapping to any free port for each exposed port that is not published yet."""
    taken = {(mapping.container_port, mapping.protocol) for mapping in published}
    found: dict[tuple[int, Protocol], PortMapping] = {}
    for text in exposed:
        port_text, protocol_text = split_protocol(text)
        protocol = _check_protocol(protocol_text)
        for port in range(*_half_open(parse_port_range(port_text))):
            if (port, protocol) not in taken:
                found[port, protocol] = PortMapping("", 0, port, protocol)
    return tuple(found.values())


def check_conflicts(mappings: Sequence[PortMapping]) -> None:
    """Raise NetError where two mappings of one command ask for the same host port on overlapping addresses."""
    seen: dict[tuple[int, str], list[PortMapping]] = {}
    for mapping in mappings:
        # a port chosen from a range steps aside by itself
        if mapping.host_port == 0 or mapping.host_port_end:
            continue
        others = seen.setdefault((mapping.host_port, mapping.protocol), [])
        for other in others:
            if addresses_overlap(mapping.host_ip, other.host_ip):
                address = Forward(mapping.host_ip or "0.0.0.0", mapping.host_port, mapping.protocol)
                raise NetError(
                    f"host port {address} is asked for twice",
                    cause=f"for container port {other.container_port} and for {mapping.container_port}",
                    mend="publish one of them on another host port",
                )
        others.append(mapping)


def addresses_overlap(one: str, other: str) -> bool:
    """Whether sockets bound to the two addresses would meet; "" is every address, of both families."""
    if one == other or "" in (one, other):
        return True
    every = _EVERY.get(one) or _EVERY.get(other)
    return every is not None and (":" in one) == (":" in other)


def _half_open(ports: PortRange) -> tuple[int, int]:
    return ports.first, ports.last + 1


def _named_range(what: str, text: str) -> PortRange:
    try:
        return parse_port_range(text)
    except NetError as error:
        raise NetError(f"invalid {what}: {text}", cause=error.message) from None


def _split_spec(text: str) -> tuple[str, str, str]:
    # from the right: an IPv6 address without brackets has colons of its own
    parts = text.split(":")
    if len(parts) == 1:
        return "", "", parts[0]
    return ":".join(parts[:-2]), parts[-2], parts[-1]


def _split_proxy_protocol(text: str) -> tuple[str, int]:
    """What Docker knows of the text, and the version of the PROXY protocol that is asked for, or 0."""
    if _PROXY_PROTOCOL not in text:
        return text, 0
    version, kept = 0, []
    for field in text.split(","):
        name, _, value = field.partition("=")
        if name != _PROXY_PROTOCOL:
            kept.append(field)
        elif value in _PROXY_VERSIONS:
            version = _PROXY_VERSIONS[value]
        else:
            raise NetError(
                f"invalid version of the PROXY protocol: {value}", mend="proxy-protocol=v1 or proxy-protocol=v2"
            )
    return ",".join(kept), version


def _from_long_form(text: str) -> str:
    fields = {"protocol": "tcp"}
    for field in text.split(","):
        key, equals, value = field.partition("=")
        if not equals or not key:
            raise NetError(f"invalid publish opts format (should be name=value but got '{field}')")
        if key not in ("published", "target", "protocol", "mode"):
            raise NetError(f"invalid field key: {key}", mend="-p published=8080,target=80,protocol=tcp")
        fields[key] = value
    return f"{fields.get('published', '')}:{fields.get('target', '')}/{fields['protocol']}"


def _check_protocol(text: str) -> Protocol:
    match text.lower():
        case "tcp":
            return "tcp"
        case "udp":
            return "udp"
        case "sctp":
            raise NetError(
                "cannot publish an sctp port", cause="user-mode networking forwards tcp and udp only", mend="use tcp"
            )
    raise NetError(f"invalid proto: {text}")


def _check_address(text: str) -> str:
    address = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not address:
        return ""
    for family in (AF_INET, AF_INET6):
        try:
            inet_pton(family, address)
        except (OSError, ValueError):
            continue
        return address
    raise NetError(f"invalid IP address: {address}")
