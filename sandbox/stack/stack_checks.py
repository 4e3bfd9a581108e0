"""What a stack cannot have, beyond what no project can: told before anything is made."""

from __future__ import annotations

from sandbox.stack.asked_service import AskedService
from sandbox.stack.consistency import place_of
from sandbox.stack.errors import problem
from sandbox.stack.fates import check_supported
from sandbox.stack.port_clashes import check_ports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.stack.project import Project

_HOOKS = ("pre_start", "post_start", "pre_stop")


def check_stack(project: Project, *, builds: bool = False) -> None:
    """Raise ComposeFileError for a project that is no stack. With `builds` images are made of what the file has."""
    check_supported(project)
    for name, service in project.services:
        asked = AskedService(name, project, service)
        if not service.image and not builds:
            raise problem(
                place_of(project.places, f"services.{name}"),
                f"services.{name}",
                f"invalid image reference for service {name}: no image specified",
                mend="image: NAME, and --build to make it" if service.build is not None else "image: NAME",
            )
        for key in _HOOKS:
            if getattr(service, key):
                raise asked.error(key, "hooks are run for the containers of projects alone", mend="sandbox compose up")
        most = service.deploy.placement.max_replicas_per_node if service.deploy is not None else 0
        if most and service.replicas > most:
            raise asked.error(
                "deploy.placement.max_replicas_per_node",
                f"{service.replicas} replicas cannot run with at most {most} on a node: there is this machine alone",
                mend=f"replicas: {most}",
            )
    check_ports(project, are_shared=True)
