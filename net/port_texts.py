"""How ports are written, for `ps` and `port`: no more than that, since `ps` should not wait for the grammar of `-p`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

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
    """The PORTS column of `ps`, as Docker has it.

    First what is only exposed or has its own number on the host, consecutive ports of one address as one range; then,
    one by one, what has another number.
    """
    rows = [
        (container_port, host_ip or "0.0.0.0", host_port, protocol)
        for host_ip, host_port, container_port, protocol, *_rest in published
    ]
    hidden = {(row[0], row[3]) for row in rows}
    for text in exposed:
        port, protocol = split_protocol(text)
        if (int(port), protocol) not in hidden:
            rows.append((int(port), "", 0, protocol))
    finished: list[str] = []
    mapped: list[str] = []
    #: the first and last port of what may go on, by address and protocol
    runs: dict[tuple[str, str], tuple[int, int]] = {}
    for number, address, host_port, protocol in sorted(rows, key=_by_container_port):
        place = (address, protocol)
        if address and host_port != number:
            mapped.append(f"{join_address(address, str(host_port))}->{number}/{protocol}")
        elif place not in runs:
            runs[place] = number, number
        elif number == runs[place][1] + 1:
            runs[place] = runs[place][0], number
        else:
            finished.append(_render_run(place, runs[place]))
            runs[place] = number, number
    return ", ".join([*finished, *(_render_run(*run) for run in runs.items()), *mapped])


def _by_container_port(row: tuple[int, str, int, str]) -> tuple[int, bool, list[int], str, int, str]:
    number, address, host_port, protocol = row
    is_ipv6 = ":" in address
    quad = [] if is_ipv6 or not address else [int(part) for part in address.split(".")]
    return number, is_ipv6, quad, address, host_port, protocol


def _render_run(place: tuple[str, str], run: tuple[int, int]) -> str:
    (address, protocol), (first, last) = place, run
    span = str(first) if first == last else f"{first}-{last}"
    return f"{join_address(address, span)}->{span}/{protocol}" if address else f"{span}/{protocol}"
