"""A container's file system as a tar archive, from its layers and what it changed; it need not run, nor be able to."""

from __future__ import annotations

import os

from sandbox.container.life.stop import is_active
from sandbox.container.monitor.etc_files import gone_error
from sandbox.container.monitor.mounts import OVERLAY_NAME, ROOT_NAME
from sandbox.errors import SandboxError, translated
from sandbox.runtime.user_namespace import call_in_user_namespace
from storage.drivers import driver_named
from storage.layers.store import LayerStore
from storage.tar.writer import write_tree
from storage.trees.tree import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import Container
    from sandbox.paths import Paths

#: of a mount that is read from alone
_OWN_NAME = "own"


def export_container(paths: Paths, container: Container, out_fd: int) -> tuple[str, ...]:
    """Write the container's tree to `out_fd`; returns notes on what an archive cannot hold. Raises SandboxError."""
    directory = f"{paths.container_data(container.id)}/export-{os.getpid()}"
    try:
        os.mkdir(directory, 0o700)
    except FileNotFoundError as error:
        raise gone_error(container, os.path.dirname(directory), SandboxError) from error
    try:
        notes = call_in_user_namespace(_export, paths, container, directory, out_fd)
    finally:
        remove_tree(directory)
    assert isinstance(notes, list)
    return tuple(str(note) for note in notes)


def _export(paths: Paths, container: Container, directory: str, out_fd: int) -> list[str]:
    # Volumes are not part of the container's own tree, as in Docker: only the root is mounted here. A container that
    # runs has it mounted too; this second mount is read from and goes with this process's mount namespace.
    config = container.config
    store = LayerStore(paths.layers)
    upper = f"{paths.container_data(container.id)}/{OVERLAY_NAME}"
    driver = driver_named(config.storage_driver)
    driver.prepare(upper)
    # no two FUSE servers write to one upper directory: to a second one it is the topmost layer
    own = f"{directory}/{_OWN_NAME}" if config.storage_driver == "fuse" and is_active(container) else ""
    target = f"{directory}/{ROOT_NAME}"
    os.mkdir(target)
    with translated(SandboxError, f"cannot export container {container.name}"):
        layers = store.trees(config.layers)
        if own:
            driver.prepare(own)
            mounted = driver.mount_root([*layers, f"{upper}/upper"], own, target)
        else:
            mounted = driver.mount_root(layers, upper, target)
    try:
        mounted.wait_ready()
        root_fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with driver.true_owners(layers, upper) as owners:
                return list(write_tree(root_fd, out_fd, owners))
        finally:
            os.close(root_fd)
    except OSError as error:
        raise SandboxError(f"cannot export container {container.name}", cause=error.strerror or str(error)) from error
    finally:
        mounted.unmount()
