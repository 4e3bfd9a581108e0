"""Ports of the host that two of a project would both publish: refused before anything is made. Pure."""

from __future__ import annotations

from sandbox.stack.consistency import place_of
from sandbox.stack.errors import problem
from sandbox.stack.request_networks import ports_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.stack.project import Project


def check_ports(project: Project, *, are_shared: bool = False) -> None:
    """Raise ComposeFileError where two services, or two containers of one, publish one port of the host. Where ports
    `are_shared`, one listener of a service is for all of its containers, and is there without any.
    """
    holders: dict[tuple[str, int], list[tuple[str, str]]] = {}
    for name, service in project.services:
        if not service.replicas and not are_shared:
            continue
        for number, port in enumerate(ports_of(name, project, service)):
            if not port.host_port or port.host_port_end:
                continue
            path = f"services.{name}.ports[{number}]"
            others = holders.setdefault((port.protocol, port.host_port), [])
            for other, address in others:
                if _overlap(address, port.host_ip):
                    raise problem(
                        place_of(project.places, path), path,
                        f"port {port.host_port}/{port.protocol} of the host is published by {other} as well",
                    )  # fmt: skip
            others.append((f"service {name}", port.host_ip))
            if service.replicas > 1 and not are_shared:
                raise problem(
                    place_of(project.places, path), path,
                    f"port {port.host_port}/{port.protocol} of the host cannot be published by {service.replicas} "
                    f"containers of service {name}",
                    mend=f"a range of ports for {name}, or the container's port alone, which takes any of the host",
                )  # fmt: skip


def _overlap(one: str, other: str) -> bool:
    if "" in (one, other) or one == other:
        return True
    return (":" in one) == (":" in other) and bool({"0.0.0.0", "::"} & {one, other})
