"""What the containers of a project are called."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.stack.model import Service
    from sandbox.stack.project import Project

_SERVICE = "service:"


def container_name(project: Project, name: str, service: Service | None, number: int) -> str:
    """The name of a service's container: the one the file gives, or PROJECT-SERVICE-NUMBER, of old with
    underscores.
    """
    if service is not None and service.container_name:
        return service.container_name
    return project.separator.join((project.name, name, str(number)))


def shared_namespace(project: Project, text: str) -> str:
    """A mode of a namespace; that of another service is that of its first container."""
    if not text.startswith(_SERVICE):
        return text
    name = text.removeprefix(_SERVICE)
    return f"container:{container_name(project, name, project.all_services.value(name), 1)}"
