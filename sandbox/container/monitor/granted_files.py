"""A container's secrets and configs as its processes have them: files on a tmpfs of the monitor's, each bound into the
tree, and variables that no record has.
"""

from __future__ import annotations

import os
from contextlib import suppress

from sandbox.container.model.grant_files import grants_of, read_content
from sandbox.errors import StartError
from sandbox.runtime.file_tmpfs import TmpfsFile, mount_file_tmpfs
from sandbox.runtime.spec import BindMount
from storage.mount_points import is_mounted
from storage.private_directories import make_private_directory
from storage.syscalls import MNT_DETACH, umount2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import Container
    from sandbox.paths import Paths

_NAME = "granted"


def granted_directory(paths: Paths, container: Container) -> str:
    """Where the monitor mounts the tmpfs."""
    return f"{paths.container_runtime(container.id)}/{_NAME}"


def mount_granted(paths: Paths, container: Container) -> None:
    """Have the files on their tmpfs, in the calling monitor's mount namespace. Raises StartError."""
    directory = granted_directory(paths, container)
    if is_mounted(directory):
        return
    files = [
        TmpfsFile(str(position), read_content(paths, container, position), grant.uid, grant.gid, grant.mode)
        for position, grant in enumerate(grants_of(container.config))
        if not grant.variable
    ]
    if not files:
        return
    try:
        make_private_directory(directory)
        mount_file_tmpfs(directory, files)
    except OSError as error:
        raise StartError(
            f"cannot write the secrets and configs of container {container.name}", cause=error.strerror or str(error)
        ) from error


def unmount_granted(paths: Paths, container: Container) -> None:
    """Nothing of them is left; twice is safe."""
    directory = granted_directory(paths, container)
    with suppress(OSError):
        umount2(directory, MNT_DETACH)
    with suppress(OSError):
        os.rmdir(directory)


def granted_mounts(paths: Paths, container: Container) -> tuple[BindMount, ...]:
    """What is bound into the tree, read-only."""
    directory = granted_directory(paths, container)
    return tuple(
        BindMount(f"{directory}/{position}", grant.target, read_only=True, recursive=False)
        for position, grant in enumerate(grants_of(container.config))
        if not grant.variable
    )


def with_granted_variables(paths: Paths, container: Container) -> Container:
    """The container as its processes are started: with the variables that secrets are. Raises StartError."""
    granted = {
        grant.variable: os.fsdecode(read_content(paths, container, position))
        for position, grant in enumerate(grants_of(container.config))
        if grant.variable
    }
    if not granted:
        return container
    kept = [entry for entry in container.config.environment if entry.partition("=")[0] not in granted]
    added = [f"{name}={value}" for name, value in granted.items()]
    return container._replace(config=container.config._replace(environment=(*kept, *added)))
