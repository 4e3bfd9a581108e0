"""`--publish` of a service, in both of Docker's forms, and how ports are added to others and taken away."""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.grammar.comma_fields import split_fields
from sandbox.grammar.ports import parse_ports
from sandbox.service.spec import ServicePort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.cli.service_options.changes import Changes
    from sandbox.service.spec import ServiceSpec

_MODES = ("ingress", "host")
_LARGEST = 65535


def with_ports(spec: ServiceSpec, changes: Changes) -> ServiceSpec:
    """`spec` with ports taken away, by container's port, protocol and mode, and others added. Raises UsageError."""
    removed = {_inner(port) for text in changes.removed("publish") for port in parse_service_ports(text)}
    kept = [port for port in spec.ports if _inner(port) not in removed]
    added = [port for ports in changes.added("publish", parse_service_ports) for port in ports]
    ports = tuple(dict.fromkeys((*kept, *added)))
    if changes.is_update:
        ports = tuple(sorted(ports, key=lambda port: (port.published, port.target, port.protocol, port.mode)))
    return spec._replace(ports=ports)


def _inner(port: ServicePort) -> tuple[int, str, str]:
    return port.target, port.protocol, port.mode


def parse_service_ports(text: str) -> tuple[ServicePort, ...]:
    """The ports of one text: `8080:80/tcp`, or `published=8080,target=80,mode=host`. Raises UsageError."""
    if "=" in text:
        return (_long_form(text),)
    return tuple(port for mapping in parse_ports([text]) for port in _expanded(ServicePort(
        mapping.container_port, mapping.host_port, mapping.protocol, "ingress", mapping.host_ip
    ), mapping.host_port_end))  # fmt: skip


def _expanded(port: ServicePort, last: int) -> Iterator[ServicePort]:
    """Each port of a range before one of the container's, as Docker's services have it."""
    for published in range(port.published, max(port.published, last) + 1):
        yield port._replace(published=published)


def _long_form(text: str) -> ServicePort:
    port = ServicePort(0)
    for field in split_fields(text):
        key, equals, value = field.lower().partition("=")
        if not equals or not key:
            raise UsageError(f"invalid field: {field}")
        port = _with_field(port, key, value)
    if not port.target:
        raise UsageError("missing mandatory field 'target'", mend="published=8080,target=80")
    return port


def _with_field(port: ServicePort, key: str, value: str) -> ServicePort:
    if key == "protocol":
        if value not in ("tcp", "udp"):
            raise UsageError(f"invalid protocol value '{value}'", mend="protocol=tcp or udp")
        return port._replace(protocol="udp" if value == "udp" else "tcp")
    if key == "mode":
        if value not in _MODES:
            raise UsageError(f"invalid publish mode value ({value}): must be either 'ingress' or 'host'")
        return port._replace(mode=value)
    if key not in ("target", "published"):
        raise UsageError(f"invalid field key: {key}")
    if not (value.isascii() and value.isdigit() and len(value) < 6 and int(value) <= _LARGEST):
        raise UsageError(f"invalid {key} port ({value}): value must be an integer: invalid syntax")
    return port._replace(target=int(value)) if key == "target" else port._replace(published=int(value))
