"""`-p`, `-P` and `--expose` as values of the record; the grammar is that of `net.ports`."""

from __future__ import annotations

from net.errors import NetError
from net.ports import PortMapping, check_conflicts, parse_published
from net.ports import parse_exposed as _parse_exposed
from sandbox.errors import UsageError
from sandbox.grammar.hosts import canonical_address
from sandbox.values import PublishedPort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: each port is a mapping of its own; more of them than this is a slip of the hand, and minutes of work
_MOST_PUBLISHED = 1024
_LARGEST = 65535


def parse_exposed(text: str) -> tuple[str, ...]:
    """`80`, `80/udp` or `8000-8010/tcp` as single ports "80/tcp". Raises UsageError."""
    try:
        return _parse_exposed(text)
    except NetError as error:
        raise UsageError(error.message, cause=error.cause, mend=error.mend) from error


def parse_host_port(text: str) -> int:
    """The number of one port. Raises UsageError."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= _LARGEST):
        raise UsageError(f"invalid host port: {text}", cause="ports are from 1 to 65535", mend="--host-port 5432")
    return int(text)


def parse_ports(texts: Iterable[str]) -> tuple[PublishedPort, ...]:
    """The ports of every `-p`. Raises UsageError for a text that cannot be read, and for one port asked for twice."""
    try:
        ports = tuple(PublishedPort(*mapping) for text in texts for mapping in parse_published(text))
    except NetError as error:
        raise UsageError(error.message, cause=error.cause, mend=error.mend) from error
    check_ports(ports)
    return ports


def _check_port(port: PublishedPort) -> None:
    numbers = 0 <= port.host_port <= _LARGEST and 1 <= port.container_port <= _LARGEST
    ends = not port.host_port_end or 0 < port.host_port <= port.host_port_end <= _LARGEST
    if not numbers or not ends:
        raise UsageError(f"invalid port: {port.host_port} for {port.container_port}", cause="ports are from 1 to 65535")
    if port.protocol not in ("tcp", "udp"):
        raise UsageError(f"invalid proto: {port.protocol}", mend="tcp or udp")
    if port.host_ip and canonical_address(port.host_ip) is None:
        raise UsageError(f"invalid IP address: {port.host_ip}")


def check_ports(ports: Sequence[PublishedPort]) -> None:
    """Raise UsageError where one host port is asked for twice, too many are, or one that cannot be."""
    for port in ports:
        _check_port(port)
    try:
        check_conflicts([PortMapping(*port) for port in ports])
    except NetError as error:
        raise UsageError(error.message, cause=error.cause, mend=error.mend) from error
    if len(ports) > _MOST_PUBLISHED:
        raise UsageError(
            f"cannot publish {len(ports)} ports",
            cause=f"at most {_MOST_PUBLISHED} are allowed for one container",
            mend="publish a smaller range, or use --network host",
        )
