"""Volumes as tar archives: `volume export` and `volume import`.

    volumes/<name>/import       the tree in the making: links to the volume's files, with the archive's laid over them
    volumes/<name>/import.old   what the volume had before, being removed
    volumes/<name>/import.lock  held by who imports

The finished tree is exchanged for the volume's in one step, while no container has the volume mounted; where one had
it mounted meanwhile, which its events tell, nothing is exchanged: what that one wrote would be lost. Whatever is
killed before has changed nothing, whatever is killed later has left what nobody names; the next import removes it. Both
trees share the files that the archive does not replace: an entry of an archive makes a new file, and writes into none.
"""

from __future__ import annotations

import os
from contextlib import suppress

from sandbox.container.model.claims import claim_of
from sandbox.container.model.store import all_containers
from sandbox.errors import ConflictError, NotFoundError, NotSupportedError, SandboxError
from sandbox.events import last_event_id, read_events
from sandbox.runtime.user_namespace import call_in_user_namespace
from sandbox.state import open_state
from sandbox.transactions import transaction
from sandbox.volume.store import get_volume
from sandbox.volume.volumes import volume_data
from storage.errors import StorageError, os_failure
from storage.locks import is_unlocked, lock_file, unlock
from storage.syscalls import RENAME_EXCHANGE, renameat2
from storage.trees.tree import remove_tree
from storage.volumes import VolumeStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from sandbox.paths import Paths
    from sandbox.volume.store import Volume

_STAGE, _OLD, _LOCK = "import", "import.old", "import.lock"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def export_volume(paths: Paths, name: str, output_fd: int) -> tuple[str, ...]:
    """Write the archive; the notes on what it cannot hold. Raises NotFoundError, NotSupportedError, SandboxError."""
    with open_state(paths, durable=False) as connection:
        volume = get_volume(connection, name)
    directory = volume_data(paths, name)
    if volume.options:
        directory = _host_directory(volume)
        if not directory:
            raise NotSupportedError(f"volume {name} is a tmpfs: it has nothing that outlives a container")
    if not os.path.isdir(directory):
        raise SandboxError(
            f"cannot export volume {name}", cause=f"{directory} is not there", mend="sandbox system check --repair"
        )
    notes = call_in_user_namespace(_export, directory, output_fd)
    assert isinstance(notes, list)
    return tuple(str(note) for note in notes)


def _export(directory: str, output_fd: int) -> list[str]:
    """As root of the namespace."""
    from storage.tar.writer import TarWriter
    from storage.trees.walk import Step

    writer = TarWriter(output_fd, sparse=True)
    above, base = os.path.split(directory)
    above_fd = os.open(above, _DIRECTORY)
    try:
        root_fd = os.open(base, _DIRECTORY, dir_fd=above_fd)
        try:
            # the volume's own owner, mode and attributes first
            writer.add_entry(Step(above_fd, os.fsencode(base), os.fstat(root_fd), False, 0), b".")
            writer.add_tree(root_fd)
        finally:
            os.close(root_fd)
    except OSError as error:
        raise os_failure(f"cannot read {directory}", error) from error
    finally:
        os.close(above_fd)
    writer.finish()
    return writer.notes


def import_volume(paths: Paths, name: str, input_fd: int) -> tuple[str, ...]:
    """Lay the archive over the volume; the notes on what of it could not be had. Raises NotFoundError, ConflictError,
    NotSupportedError, SandboxError; the volume is as it was then.
    """
    with open_state(paths) as connection:
        _refuse_unusable(connection, name)
        began = last_event_id(connection)
    directory = VolumeStore(paths.volumes).directory(name)
    try:
        lock_fd = lock_file(f"{directory}/{_LOCK}")
    except FileNotFoundError as error:
        raise NotFoundError(f"get {name}: no such volume", cause="it was removed meanwhile", word=name) from error
    try:
        notes = call_in_user_namespace(_fill_stage, directory, input_fd)
        assert isinstance(notes, list)
        _exchange(paths, name, directory, began)
    finally:
        try:
            call_in_user_namespace(_clear, directory)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(f"{directory}/{_LOCK}")
            unlock(lock_fd)
    return tuple(str(note) for note in notes)


def _fill_stage(directory: str, input_fd: int) -> list[str]:
    """As root of the namespace."""
    from storage.layers.unpack import unpack_layer
    from storage.syscalls import syncfs
    from storage.trees.copy_tree import share_tree

    _clear(directory)
    stage = f"{directory}/{_STAGE}"
    try:
        os.mkdir(stage, 0o755)
        stage_fd = os.open(stage, _DIRECTORY)
        try:
            data_fd = os.open(f"{directory}/_data", _DIRECTORY)
            try:
                share_tree(data_fd, stage_fd)
            finally:
                os.close(data_fd)
            with open(input_fd, "rb", closefd=False) as stream:
                result = unpack_layer(stream, stage_fd, literal=True)
            syncfs(stage_fd)
        finally:
            os.close(stage_fd)
    except OSError as error:
        raise os_failure("cannot import the archive", error) from error
    if not result.size_bytes:
        # as of a program before a pipe that failed
        raise StorageError("the archive is empty", cause="not even its end is there")
    return list(result.notes)


def _exchange(paths: Paths, name: str, directory: str, began: int) -> None:
    """Give the volume the tree of the stage; in a transaction, for who starts a container with it makes one too.
    `began` is the last event before the volume was read.
    """
    try:
        with open_state(paths) as connection, transaction(connection):
            _refuse_unusable(connection, name)
            _refuse_used(connection, name, began)
            fd = os.open(directory, _DIRECTORY)
            try:
                renameat2(fd, _STAGE, fd, "_data", RENAME_EXCHANGE)
                os.rename(_STAGE, _OLD, src_dir_fd=fd, dst_dir_fd=fd)
            finally:
                os.close(fd)
            VolumeStore(paths.volumes).note_filled(name)
    except OSError as error:
        raise SandboxError(f"cannot import into volume {name}", cause=error.strerror or str(error)) from error


def _refuse_unusable(connection: sqlite3.Connection, name: str) -> None:
    """Raise NotFoundError, NotSupportedError or ConflictError where nothing can be imported into the volume now."""
    volume = get_volume(connection, name)
    if volume.options:
        directory = _host_directory(volume)
        what = f"the host's directory {directory}" if directory else "a tmpfs, which is empty each time"
        mend = f"sandbox unshare tar -x -C {directory}" if directory else ""
        raise NotSupportedError(f"cannot import into volume {name}: it is {what}", mend=mend)
    for container in all_containers(connection):
        mounts = container.config.mounts
        if claim_of(container.state).is_alive and any(
            mount.kind == "volume" and mount.source == name for mount in mounts
        ):
            raise ConflictError(
                f"cannot import into volume {name}: container {container.name} is running with it",
                cause="it would go on with the files that it has",
                mend=f"sandbox stop {container.name}, or sandbox cp - {container.name}:DIRECTORY",
            )


def _refuse_used(connection: sqlite3.Connection, name: str, began: int) -> None:
    """Raise ConflictError where the volume may have been written to after the event `began`."""
    users = {
        container.id
        for container in all_containers(connection)
        if any(mount.kind == "volume" and mount.source == name for mount in container.config.mounts)
    }
    for _id, _time_ns, (kind, action, actor, _attributes) in read_events(connection, after=began):
        # a copy into a container that does not run mounts its volumes, and tells only of itself
        if (kind, action, actor) == ("volume", "mount", name) or (action == "extract-to-dir" and actor in users):
            raise ConflictError(
                f"cannot import into volume {name}: a container had it mounted meanwhile",
                cause="what that one wrote would be lost",
                mend="import it again",
            )


def _host_directory(volume: Volume) -> str:
    """The directory that the volume's options name; "" where they make it a tmpfs."""
    from sandbox.grammar.local_driver import read_options

    local = read_options(volume.options)
    return local.directory if local is not None else ""


def _clear(directory: str) -> None:
    """Remove what an import has left, its own or a killed one's; as root of the namespace."""
    for name in (_STAGE, _OLD):
        remove_tree(f"{directory}/{name}")


def has_left_import(directory: str) -> bool:
    """Whether an import of the volume was killed."""
    if not any(os.path.lexists(f"{directory}/{name}") for name in (_STAGE, _OLD, _LOCK)):
        return False
    lock = f"{directory}/{_LOCK}"
    return not os.path.lexists(lock) or is_unlocked(lock)


def remove_left_import(directory: str) -> None:
    """Remove what a killed import has left, unless another one is on."""
    lock_fd = lock_file(f"{directory}/{_LOCK}")
    try:
        call_in_user_namespace(_clear, directory)
        os.unlink(f"{directory}/{_LOCK}")
    finally:
        unlock(lock_fd)
