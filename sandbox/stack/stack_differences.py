"""What of a stack's files means something else to Docker: where its stacks leave a key out, or will not have it, and
what becomes of it here.
"""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.stack.model import Service
    from sandbox.stack.project import Project

_IGNORED = "Docker's stacks ignore it"
_REFUSED = "Docker's stacks refuse a file that has it"
_DONE = "it is done"
#: a key of a service -> what Docker's stacks do with it, and what is done here
_OF_SERVICES: dict[str, tuple[str, str]] = {
    "build": (_IGNORED, "the image is built with --build, and must be there without it"),
    "cgroup_parent": (_IGNORED, "it is left out here too"),
    "container_name": (_IGNORED, "replicas have names of their own; this one is one more name of the service"),
    "cpu_quota": (_REFUSED, _DONE),
    "cpu_shares": (_REFUSED, _DONE),
    "cpuset": (_REFUSED, _DONE),
    "depends_on": (_IGNORED, "the first replica starts when those of the others run, and are healthy"),
    "devices": (_IGNORED, _DONE),
    "domainname": (_IGNORED, _DONE),
    "expose": (_IGNORED, _DONE),
    "extends": (_REFUSED, _DONE),
    "external_links": (_IGNORED, "it is left out here too"),
    "ipc": (_IGNORED, _DONE),
    "links": (_IGNORED, "an alias of a link is one more name of the service"),
    "mac_address": (_IGNORED, "several replicas cannot have one address, so it is left out"),
    "mem_limit": (_REFUSED, _DONE),
    "memswap_limit": (_REFUSED, _DONE),
    "network_mode": (_IGNORED, _DONE),
    "pid": (_IGNORED, _DONE),
    "privileged": (_IGNORED, "within the rights of the user"),
    "security_opt": (_IGNORED, _DONE),
    "shm_size": (_IGNORED, _DONE),
    "userns_mode": (_IGNORED, "each container has a user namespace of its own"),
    "volumes_from": (_REFUSED, "the replicas have the same volumes and directories"),
}


class Difference(NamedTuple):
    """`path` is that of the key, "services.web.links", or "" of what is so for every stack."""

    path: str
    docker: str
    here: str

    def __str__(self) -> str:
        return f"{self.path or 'all stacks'}: {self.docker}; here {self.here}"


def differences_of(project: Project) -> Iterator[Difference]:
    """What differs, in the order of services and keys; what is so for every stack comes first."""
    yield Difference(
        "",
        "Docker asks a registry for the digest of each image",
        "so it does, but an image that was built or loaded under a name that no registry gave it is taken as it is",
    )
    yield Difference(
        "", "Docker's networks of stacks span machines (overlay)", "they are bridges: there is this machine alone"
    )
    for name, service in project.services:
        for key, (docker, here) in _OF_SERVICES.items():
            if f"services.{name}.{key}" in project.places:
                yield Difference(f"services.{name}.{key}", docker, here)
        yield from _of_values(name, service, project)


def _of_values(name: str, service: Service, project: Project) -> Iterator[Difference]:
    path = f"services.{name}"
    has_policy = service.deploy is not None and service.deploy.restart_policy is not None
    if service.restart and has_policy:
        yield Difference(f"{path}.restart", "deploy.restart_policy is taken", "it is too")
    elif service.restart == "no":
        yield Difference(
            f"{path}.restart",
            "Docker's stacks replace a replica that has ended all the same",
            "so it is here: write deploy.restart_policy.condition none",
        )
    for number, port in enumerate(service.ports):
        if not isinstance(port, str) and port.host_ip:
            yield Difference(
                f"{path}.ports[{number}]", "Docker's stacks publish it on every address", "on this one alone"
            )
    for number, volume in enumerate(service.volumes):
        missing = not isinstance(volume, str) and volume.type == "bind" and volume.bind is not None
        if missing and f"{path}.volumes[{number}]" in project.places:
            yield Difference(
                f"{path}.volumes[{number}]",
                "Docker's stacks reject a replica whose directory is missing",
                "it is made, as Compose does, unless create_host_path says no",
            )
    if service.deploy is not None and service.deploy.placement.preferences:
        yield Difference(
            f"{path}.deploy.placement.preferences", "Docker spreads replicas", "there is this machine alone"
        )
