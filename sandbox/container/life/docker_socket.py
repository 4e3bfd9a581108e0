"""Docker's socket as a mount: where there is none that the user may use, the socket of the user's own API."""

from __future__ import annotations

import os

from sandbox.docker_sockets import is_ours_instead
from sandbox.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import ContainerConfig
    from sandbox.paths import Paths


def with_own_socket(paths: Paths, config: ContainerConfig) -> ContainerConfig:
    """The configuration with the socket of the user's API in the place of Docker's. Raises HostError where no server
    has made it.
    """
    if not any(mount.kind == "bind" and is_ours_instead(mount.source) for mount in config.mounts):
        return config
    if not os.path.exists(paths.api_socket):
        raise HostError(
            "cannot mount Docker's socket: no server of the API listens in its place",
            cause=f"{paths.api_socket} is not there",
            mend="sandbox api serve --detach",
        )
    return config._replace(
        mounts=tuple(
            mount._replace(source=paths.api_socket, create_source=False)
            if mount.kind == "bind" and is_ours_instead(mount.source)
            else mount
            for mount in config.mounts
        )
    )
