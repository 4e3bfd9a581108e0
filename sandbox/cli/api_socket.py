"""The user's API server for containers that mount Docker's socket: started where there is none."""

from __future__ import annotations

from sandbox.docker_sockets import is_ours_instead

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Context
    from sandbox.container.request.request import ContainerRequest
    from sandbox.stack.project import Project


def serve_container(context: Context, request: ContainerRequest) -> None:
    """Have a server for the container, where it mounts the socket. Raises HostError."""
    sources = [text.partition(":")[0] for text in request.binds] + [mount.source for mount in request.mounts]
    if any(map(is_ours_instead, sources)):
        _serve(context)


def serve_project(context: Context, project: Project | None) -> None:
    """Have a server for the services, where one of them mounts the socket. Raises HostError."""
    from sandbox.stack.request_mounts import mounts_docker_socket

    if project is not None and any(mounts_docker_socket(service) for _, service in project.services):
        _serve(context)


def _serve(context: Context) -> None:
    from sandbox.api.sockets import ensure_socket

    ensure_socket(context.find_paths(), context.env)
