"""Requests that no container could be made of: told with the place in the file, before anything is made."""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.stack.consistency import place_of
from sandbox.stack.errors import problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.request.request import ContainerRequest
    from sandbox.stack.project import Project

#: a field of a request -> the keys of a service that say it
_KEYS: dict[str, tuple[str, ...]] = {
    "binds": ("volumes",),
    "memory_bytes": ("deploy.resources.limits.memory", "mem_limit"),
    "memory_reservation_bytes": ("deploy.resources.reservations.memory", "mem_reservation"),
    "memory_swap_bytes": ("memswap_limit",),
    "mounts": ("volumes",),
    "nano_cpus": ("deploy.resources.limits.cpus", "cpus"),
    "rlimits": ("ulimits",),
    "security_options": ("security_opt",),
    "working_directory": ("working_dir",),
}


def check_request(project: Project, name: str, request: ContainerRequest) -> None:
    """Raise ComposeFileError where the service's request is for what no container can be, whatever its image."""
    from sandbox.container.request.image_defaults import ImageDefaults
    from sandbox.container.request.merging import HostFacts, merge

    try:
        # whose volumes those are is asked where a container is made
        merge(request._replace(volumes_from=()), ImageDefaults(), HostFacts())
    except UsageError as error:
        path = _path_of(project, name, error.field)
        # an option of a command is no help here
        mend = "" if error.mend.startswith("-") else error.mend
        raise problem(place_of(project.places, path), path, error.message, cause=error.cause, mend=mend) from error


def _path_of(project: Project, name: str, field: str) -> str:
    """The path of the key that stands in the file; the service's where none is known."""
    plain = field.partition("[")[0]
    paths = [f"services.{name}.{key}" for key in _KEYS.get(plain, (plain,))]
    return next((path for path in paths if path in project.places), f"services.{name}")
