"""How ports are written, for `ps` and `port`: no more than that, since `ps` should not wait for the grammar of `-p`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    #: the fields of `ports.PortMapping`: host address and port, container port, protocol, and how that was asked for
    PublishedRow = tuple[str, int, int, str, int, int]


def split_protocol(text: str) -> tuple[str, str]:
    """ "1234/udp" as ("1234", "udp"); without a protocol it is tcp; without a port both are empty."""
    port, _, protocol = text.partition("/")
    return (port, protocol or "tcp") if port else ("", "")


def join_address(address: str, port: str) -> str:
    """ "0.0.0.0:80", "[::1]:80"."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def render_ports(published: Iterable[PublishedRow], exposed: Iterable[str] = ()) -> str:
    """The PORTS column of `ps`: consecutive ports as one range, then what is only exposed.

    Ports without a mapping and those mapped to their own number come first, as Docker has them.
    """
    rows: list[tuple[int, str, int, str]] = [
        (container_port, host_ip or "0.0.0.0", host_port, protocol)
        for host_ip, host_port, container_port, protocol, *_rest in published
    ]
    hidden = {(row[0], row[3]) for row in rows}
    for text in exposed:
        port, protocol = split_protocol(text)
        if (int(port), protocol) not in hidden:
            rows.append((int(port), "", 0, protocol))
    rows.sort(key=lambda row: (row[1] != "" and row[0] != row[2], row[1], row[3], row[0], row[2]))
    groups: list[list[tuple[int, str, int, str]]] = []
    for row in rows:
        if groups and _continues(groups[-1][-1], row):
            groups[-1].append(row)
        else:
            groups.append([row])
    return ", ".join(_render_group(group) for group in groups)


def _continues(last: tuple[int, str, int, str], row: tuple[int, str, int, str]) -> bool:
    step = 0 if row[1] == "" else 1
    return (last[0] + 1, last[1], last[2] + step, last[3]) == row


def _render_group(group: Sequence[tuple[int, str, int, str]]) -> str:
    (first, address, host_first, protocol), (last, _, host_last, _) = group[0], group[-1]
    container = f"{_span(first, last)}/{protocol}"
    return container if address == "" else f"{join_address(address, _span(host_first, host_last))}->{container}"


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
