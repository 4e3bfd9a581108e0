"""Where programs look for Docker's socket, and whether the user's own API takes its place there."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.request.request import ContainerRequest

DOCKER_SOCKETS = ("/var/run/docker.sock", "/run/docker.sock")


def is_ours_instead(source: str) -> bool:
    """Whether a mount of `source` gets the user's own socket: it is Docker's, and missing or not the user's to use."""
    return source in DOCKER_SOCKETS and not os.access(source, os.R_OK | os.W_OK)


def with_socket(request: ContainerRequest, path: str) -> ContainerRequest:
    """The request with the socket at `path` in the place of Docker's; "" leaves it as it is."""
    if not path:
        return request
    binds = [text.partition(":") for text in request.binds]
    return request._replace(
        binds=tuple(f"{path if is_ours_instead(source) else source}{colon}{rest}" for source, colon, rest in binds),
        mounts=tuple(
            mount._replace(source=path) if mount.kind == "bind" and is_ours_instead(mount.source) else mount
            for mount in request.mounts
        ),
    )
