"""Making a container: its record, its directories, its volumes. Half of one is never left."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress

from sandbox.container.model.claims import claim_for, to_start
from sandbox.container.model.documents import to_json
from sandbox.container.model.events import Tell, emit_of
from sandbox.container.model.record import Container, ContainerState
from sandbox.container.model.store import delete_container, insert_container, load_container
from sandbox.errors import ImageNotFoundError, SandboxError, StartError, UsageError
from sandbox.random_ids import new_container_id
from sandbox.record_copies import keep_container_copy
from sandbox.transactions import transaction
from storage.private_directories import make_private_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from sandbox.container.life.naming import Identity
    from sandbox.container.model.record import ContainerConfig
    from sandbox.container.request.request import ContainerRequest
    from sandbox.paths import Paths
    from sandbox.values import MountPoint


def create_container(
    connection: sqlite3.Connection,
    paths: Paths,
    identity: Identity,
    config: ContainerConfig,
    request: ContainerRequest | None = None,
    contents: Sequence[bytes] = (),
) -> Container:
    """A new container, kept in the database with what was asked for; `contents` are those of its secrets and configs.
    Raises ConflictError for a taken name; StartError;
    UsageError; ImageNotFoundError for an image that has gone meanwhile.

    The record comes first: whatever is made for a container can be found from it, and a command that is killed in the
    middle leaves a record whose monitor is gone.
    """
    check_mounts(config.mounts)
    config, new_volumes = _with_volume_names(config)
    state = ContainerState()
    if identity.monitor_pid:
        runtime = paths.container_runtime(identity.container_id)
        state = to_start(claim_for(identity.monitor_pid), runtime)(state)
    wanted = Container(identity.container_id, identity.name, time.time_ns(), config, state)
    try:
        container = _record_with_volumes(connection, paths, wanted, "" if request is None else to_json(request))
        for mount in config.mounts:
            if mount.kind == "bind" and mount.create_source and not os.path.lexists(mount.source):
                _make_source(mount)
        _make_data(paths, container, contents)
        keep_container_copy(connection, container.id)
    except BaseException:
        # a ctrl-C too: nobody would know that the record is of half a container
        _forget(connection, paths, identity.container_id, new_volumes)
        raise
    return container


def _with_volume_names(config: ContainerConfig) -> tuple[ContainerConfig, tuple[str, ...]]:
    """The configuration with a name for each volume that has none, and these: what is made can be found by them."""
    named = [
        mount._replace(source=new_container_id(), anonymous=True)
        if mount.kind == "volume" and not mount.source
        else mount
        for mount in config.mounts
    ]
    new = tuple(
        after.source for before, after in zip(config.mounts, named, strict=True) if before.source != after.source
    )
    return (config._replace(mounts=tuple(named)) if new else config), new


def _forget(connection: sqlite3.Connection, paths: Paths, container_id: str, volumes: Sequence[str]) -> None:
    """Remove what there is of a container that was not made, and these volumes."""
    if load_container(connection, container_id) is not None:
        from sandbox.runtime.owned_trees import remove_files

        remove_files(paths.container_data(container_id))
        with transaction(connection):
            delete_container(connection, container_id)
    for name in volumes:
        from sandbox.volume.store import remove_volume

        # nobody's; it may not have been made yet
        with suppress(SandboxError):
            remove_volume(paths, name)


def _record_with_volumes(connection: sqlite3.Connection, paths: Paths, wanted: Container, asked: str) -> Container:
    """Record the new container; a volume that is removed between its making and this is made again."""
    named = _with_volumes(connection, paths, wanted)
    while (container := _record(connection, paths, named, asked)) is None:
        named = _with_volumes(connection, paths, named)
    return container


def _with_volumes(connection: sqlite3.Connection, paths: Paths, container: Container) -> Container:
    """The container with every volume in existence."""
    config = container.config
    if not any(mount.kind == "volume" for mount in config.mounts):
        return container
    # the store of volumes, only where there are some
    from sandbox.volume.volumes import make_volumes

    return container._replace(config=config._replace(mounts=make_volumes(connection, paths, config.mounts)))


def _record(connection: sqlite3.Connection, paths: Paths, container: Container, asked: str) -> Container | None:
    """Record the new container; None where a volume of it has gone. Raises ConflictError, ImageNotFoundError."""
    config = container.config
    with transaction(connection):
        # an image that is being removed meanwhile is seen here, or its removal sees this container
        if not connection.execute("SELECT 1 FROM image WHERE id = ?", (config.image_id,)).fetchone():
            raise ImageNotFoundError(f"No such image: {config.image}", cause="it was removed meanwhile")
        if any(mount.kind == "volume" for mount in config.mounts):
            from sandbox.volume.volumes import have_volumes

            if not have_volumes(connection, config.mounts):
                return None
        container = insert_container(connection, container, asked)
        emit_of(connection, container.id, Tell("create"))
        if container.state.monitor_pid:
            join_networks(connection, paths, container)
        return container


def join_networks(connection: sqlite3.Connection, paths: Paths, container: Container) -> None:
    """Put the container on its networks, within the transaction that claims it for its monitor. Raises SandboxError."""
    if container.config.has_links:
        from sandbox.container.model.linked import check_links  # few containers have some

        check_links(connection, container)
    if container.config.network not in ("none", "host"):
        from sandbox.network.requested import requested_endpoints, require_shapeable

        # what the default network is may have changed since it was asked for
        require_shapeable(container.config)
        if requested_endpoints(container.config):
            from sandbox.network.allocate import give_endpoints

            give_endpoints(connection, paths, container)


def _make_source(mount: MountPoint) -> None:
    try:
        os.makedirs(mount.source, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"cannot make {mount.source}, which is to be mounted at {mount.target}",
            cause=f"{error.strerror}: {error.filename}",
            mend=f"mount at {mount.target} a directory that is there, or that you may make",
        ) from error


def _make_data(paths: Paths, container: Container, contents: Sequence[bytes]) -> None:
    try:
        directory = paths.container_data(container.id)
        make_private_directory(os.path.dirname(directory))
        os.mkdir(directory, 0o700)
        if contents:
            from sandbox.container.model.grant_files import keep_contents

            keep_contents(directory, contents)
    except OSError as error:
        raise StartError(
            f"cannot create container {container.name}",
            cause=f"{error.strerror}: {error.filename}",
            mend=f"df {paths.data_root}",
        ) from error


#: what is wrong with a path, whoever looks at it
_UNUSABLE = {
    errno.ELOOP: "its symbolic links lead in a circle",
    errno.ENOTDIR: "a part of it is a file, and no directory",
    errno.ENAMETOOLONG: "the path is too long",
}


def check_mounts(mounts: tuple[MountPoint, ...]) -> None:
    """Raise UsageError for a bind mount of what is not there; `-v` makes a missing source, `--mount` does not."""
    seen: set[str] = set()
    for mount in mounts:
        if mount.target in seen:
            raise UsageError(f"Duplicate mount point: {mount.target}")
        seen.add(mount.target)
        if mount.kind == "bind":
            _check_source(mount)


def _check_source(mount: MountPoint) -> None:
    try:
        os.stat(mount.source)
    except FileNotFoundError as error:
        if not mount.create_source and not os.path.islink(mount.source):
            raise UsageError(
                f'invalid mount config for type "bind": bind source path does not exist: {mount.source}',
                mend=f"mkdir -p {mount.source}",
            ) from error
    except OSError as error:
        # what we may not look at the monitor may: it has power over files of subordinate ids
        if error.errno in _UNUSABLE:
            raise UsageError(
                f'invalid mount config for type "bind": cannot use the source {mount.source}',
                cause=_UNUSABLE[error.errno],
                mend=f"namei {mount.source}",
            ) from error
