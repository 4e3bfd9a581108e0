"""The contents of a container's secrets and configs, which no record has: copied when it is made, one file for each
grant in the container's directory, for this user alone.
"""

from __future__ import annotations

import os

from sandbox.errors import StartError
from storage.private_files import write_private_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.container.model.record import Container, ContainerConfig
    from sandbox.paths import Paths
    from sandbox.values import FileGrant

_NAME = "grants"


def grants_of(config: ContainerConfig) -> tuple[FileGrant, ...]:
    """Secrets, then configs: the order in which the contents are numbered."""
    return (*config.secrets, *config.configs)


def keep_contents(directory: str, contents: Sequence[bytes]) -> None:
    """Put the contents into a container's directory. Raises OSError."""
    if contents:
        os.mkdir(f"{directory}/{_NAME}", 0o700)
        for position, data in enumerate(contents):
            write_private_file(f"{directory}/{_NAME}/{position}", data)


def read_content(paths: Paths, container: Container, position: int) -> bytes:
    """What was kept for the grant at `position`. Raises StartError where it is gone."""
    path = f"{paths.container_data(container.id)}/{_NAME}/{position}"
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        grant = grants_of(container.config)[position]
        raise StartError(
            f"cannot give {grant.source or grant.target} to container {container.name}: its content is gone",
            cause=f"{error.strerror}: {path}",
            mend=f"sandbox rm {container.name}, and make it again",
        ) from error
