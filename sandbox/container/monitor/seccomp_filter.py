"""Which seccomp filter the processes of a container get."""

from __future__ import annotations

from sandbox.container.monitor.runtime_spec import custom_seccomp_profile
from sandbox.runtime.capabilities import resolve_capabilities

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import Container
    from sandbox.paths import Paths


def seccomp_program(paths: Paths, container: Container) -> bytes | None:
    """The compiled filter for the container's processes, None where it has none. Raises UsageError, HostError."""
    profile = custom_seccomp_profile(container.config)
    if profile is None:
        return None
    from sandbox.runtime.seccomp import find_program

    config = container.config
    path = ""
    if profile:
        path = f"{paths.container_data(container.id)}/seccomp.json"
        with open(path, "w") as file:
            file.write(profile)
    capabilities = resolve_capabilities(config.cap_add, config.cap_drop, privileged=config.privileged)
    return find_program(path, capabilities, paths.cache)
