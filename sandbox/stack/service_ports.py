"""The ports of a stack's service. One that may be any of a range is, as with Docker's stacks, each of them."""

from __future__ import annotations

from sandbox.service.spec import ServicePort
from sandbox.stack.model import Port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.stack.asked_service import AskedService

_LARGEST = 65535


def service_ports_of(asked: AskedService) -> tuple[ServicePort, ...]:
    """The published ports, lowest first. Raises ComposeFileError."""
    found = [
        each
        for number, port in enumerate(asked.service.ports)
        if isinstance(port, Port)
        for each in _ports(asked, port, f"ports[{number}]")
    ]
    return tuple(sorted(found, key=lambda port: (port.published, port.target, port.protocol)))


def _ports(asked: AskedService, port: Port, key: str) -> Iterator[ServicePort]:
    if port.protocol not in ("", "tcp", "udp"):
        raise asked.error(key, f"ports of {port.protocol} cannot be published", mend="protocol: tcp, or udp")
    mode = asked.one_of(f"{key}.mode", port.mode, ("ingress", "host"))
    first, dash, last = port.published.partition("-")
    numbers = [_number(asked, f"{key}.published", text) for text in (first, last if dash else "") if text]
    for published in range(numbers[0], numbers[-1] + 1) if numbers else (0,):
        yield ServicePort(
            port.target, published, "udp" if port.protocol == "udp" else "tcp", mode, port.host_ip, port.name
        )


def _number(asked: AskedService, key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= _LARGEST):
        raise asked.error(key, f"{text!r} is no port", mend="a number up to 65535, or a range of them")
    return int(text)
