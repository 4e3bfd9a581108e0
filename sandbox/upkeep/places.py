"""Containers and volumes: rows against directories, both ways.

Commands go on while this looks. A container's row comes before its directory and goes after it, a volume's the other
way round; so what seems to lack its other half at the beginning is asked again at the end.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from sandbox.container.model.runtime_files import SOCKET_NAME, remove_runtime_directory
from sandbox.container.model.store import load_container
from sandbox.protocol.local_sockets import connect_to
from sandbox.record_copies import RECORD, has_copy, keep_container_copy, keep_volume_copy
from sandbox.runtime.owned_trees import remove_files
from sandbox.transactions import transaction
from sandbox.upkeep.findings import Finding
from sandbox.volume.archive import has_left_import, remove_left_import
from sandbox.volume.store import GONE, find_unremoved, put_back_unremoved
from storage.errors import StorageError
from storage.volumes import VolumeStore

if TYPE_CHECKING:
    from sandbox.container.model.record import Container
    from sandbox.upkeep.check_context import CheckContext
    from sandbox.upkeep.layers import LayerCheck
    from sandbox.upkeep.records import Records
    from sandbox.values import MountPoint


class PlaceCheck:
    """Made before the records are read: the directories it sees now are those it speaks of."""

    def __init__(self, context: CheckContext) -> None:
        self._context = context
        self._containers = _names(os.path.dirname(context.paths.container_data("x")))
        self._volumes = _names(context.paths.volumes)
        self._without_data = frozenset(
            name for name in self._volumes if not os.path.isdir(f"{context.paths.volumes}/{name}/_data")
        )
        self._runtime = _names(os.path.dirname(context.paths.container_runtime("x")))

    def check_all(self, records: Records, layers: LayerCheck) -> None:
        for container in records.containers:
            self._check_layers(container, layers)
            self._check_directory(container)
        known = {container.id for container in records.containers}
        for name in sorted(self._containers - known):
            self._check_container_directory(name)
        for name in sorted(self._runtime - {os.path.basename(self._context.paths.container_runtime(i)) for i in known}):
            self._check_runtime(name)
        mounted = {mount.source for container in records.containers for mount in _volume_mounts(container)}
        unremoved = self._check_unremoved()
        for name in sorted((self._volumes | records.volumes | mounted) - unremoved):
            self._check_volume(name, records)

    def _check_layers(self, container: Container, layers: LayerCheck) -> None:
        for chain_id in container.config.layers:
            if chain_id not in layers.whole and chain_id not in layers.held:
                self._context.report(
                    Finding(
                        "container",
                        container.name,
                        f"its layer {chain_id} is missing",
                        f"sandbox pull {container.config.image}, or sandbox rm -f {container.name}",
                    )
                )

    def _check_directory(self, container: Container) -> None:
        directory = self._context.paths.container_data(container.id)
        if os.path.isdir(directory) or load_container(self._context.connection, container.id) is None:
            return
        if os.path.isdir(directory):
            return
        if container.state.status == "created":
            # nothing can be lost that was never written
            self._context.report(
                Finding("container", container.name, "its directory is missing; it never ran"),
                lambda: self._make_directory(container),
            )
        else:
            self._context.report(
                Finding("container", container.name, "its directory is gone, and with it what it wrote"),
                lambda: self._make_directory(container),
            )

    def _make_directory(self, container: Container) -> None:
        os.makedirs(self._context.paths.container_data(container.id), mode=0o700, exist_ok=True)
        keep_container_copy(self._context.connection, container.id)

    def _check_container_directory(self, name: str) -> None:
        directory = f"{os.path.dirname(self._context.paths.container_data('x'))}/{name}"
        if not os.path.lexists(directory) or load_container(self._context.connection, name) is not None:
            return
        if has_copy(self._context.paths.data_root, "container", name):
            return  # told as what the database does not know
        # what a container wrote may be all that somebody has: it goes only where it is named
        finding = Finding("container", name, f"{directory} belongs to no container that is known")
        if name in self._context.options.remove:
            self._context.report(finding, lambda: remove_files(directory))
        else:
            self._context.report(finding._replace(mend=f"sandbox system check --repair --remove {name}"))

    def _check_runtime(self, name: str) -> None:
        prefix = self._context.paths.runtime_prefix
        if not name.startswith(prefix):
            return  # of another data root
        directory = f"{os.path.dirname(self._context.paths.container_runtime('x'))}/{name}"
        beginning = name.removeprefix(prefix)
        row = self._context.connection.execute(
            "SELECT 1 FROM container WHERE id LIKE ? || '%'", (beginning,)
        ).fetchone()
        if row is None and os.path.isdir(directory) and not _is_served(directory):
            self._context.report(
                Finding("runtime", name, f"{directory} belongs to no container", leftover=True),
                lambda: remove_runtime_directory(directory),
            )

    def _check_unremoved(self) -> frozenset[str]:
        """Volumes whose removal was killed before their record went, and anything with it; also what was set aside."""
        connection, paths = self._context.connection, self._context.paths
        with transaction(connection):
            found = find_unremoved(connection, paths)

        def put_back() -> None:
            with transaction(connection):
                put_back_unremoved(connection, paths)

        for name in sorted(found):
            self._context.report(
                Finding("volume", name, "its removal was cut short before anything was removed", leftover=True),
                put_back,
            )
        return frozenset((*found, *map(os.path.basename, found.values())))

    def _check_volume(self, name: str, records: Records) -> None:
        if name.startswith(GONE):
            # what was put back meanwhile is no leftover any more
            if os.path.lexists(f"{self._context.paths.volumes}/{name}"):
                self._context.report(
                    Finding("volume", name.removeprefix(GONE), "its removal was cut short", leftover=True),
                    lambda: remove_files(f"{self._context.paths.volumes}/{name}"),
                )
            return
        store = VolumeStore(self._context.paths.volumes)
        try:
            # makers of volumes hold a transaction from the look to the row
            with transaction(self._context.connection):
                query = self._context.connection.execute("SELECT 1 FROM volume WHERE name = ?", (name,))
                has_row = query.fetchone() is not None
                has_data = os.path.isdir(store.data(name))
        except StorageError:
            return  # no name that a volume can have: nothing of ours
        if has_row and has_left_import(store.directory(name)):
            self._context.report(
                Finding("volume", name, "an import into it was killed", leftover=True),
                lambda: remove_left_import(store.directory(name)),
            )
        there = os.path.lexists(f"{self._context.paths.volumes}/{name}")
        if has_row and not has_data and (name not in self._volumes or name in self._without_data):
            self._report_without_data(name, records, store)
        elif not has_row and has_data:
            self._report_without_row(name, store)
        elif not has_row and not there:
            self._report_gone(name, records, store)
        elif not has_row and there and not has_copy(self._context.paths.data_root, "volume", name):
            finding = Finding("volume", name, "it was left half-made or half-removed")
            found = set(os.listdir(f"{self._context.paths.volumes}/{name}"))
            if found <= {"fill", RECORD, f".{RECORD}.new"}:
                # its maker was killed, where not even a copy of a record was begun
                finding = finding._replace(leftover=found <= {"fill"})
                self._context.report(finding, lambda: remove_files(store.directory(name)))
            else:
                # somebody has put something there, or renamed the data
                self._context.report(finding._replace(mend=f"ls -la {self._context.paths.volumes}/{name}"))

    def _report_gone(self, name: str, records: Records, store: VolumeStore) -> None:
        """A volume with neither record nor directory, where a container that is there still mounts it."""
        present = [load_container(self._context.connection, one.id) for one in _users(name, records)]
        # unnamed volumes go before the record of the container that is removed with them
        user = next((one for one in present if one is not None and one.state.status != "removing"), None)

        def make() -> None:
            store.create(name)
            self._record(name)

        if user is not None:
            self._context.report(Finding("volume", name, f"it is gone, and container {user.name} mounts it"), make)

    def _report_without_data(self, name: str, records: Records, store: VolumeStore) -> None:
        users = [container.name for container in _users(name, records)]
        if users:
            self._context.report(
                Finding("volume", name, f"its directory is gone, and container {users[0]} mounts it"),
                lambda: store.create(name),
            )
        else:
            self._context.report(
                Finding("volume", name, "its directory is gone"),
                lambda: self._context.connection.execute("DELETE FROM volume WHERE name = ?", (name,)),
            )

    def _report_without_row(self, name: str, store: VolumeStore) -> None:
        if store.waits_to_be_filled(name):
            # its maker was killed before anything was put into it
            self._context.report(
                Finding("volume", name, "it was left half-made", leftover=True),
                lambda: remove_files(store.directory(name)),
            )
            return
        if not has_copy(self._context.paths.data_root, "volume", name):
            # what lies in it may be dear to somebody: it is taken back, never removed
            self._context.report(Finding("volume", name, "it has data, but no record"), lambda: self._record(name))

    def _record(self, name: str) -> None:
        self._context.connection.execute(
            "INSERT OR IGNORE INTO volume (name, created_ns, labels, anonymous) VALUES (?, ?, '{}', 0)",
            (name, time.time_ns()),
        )
        keep_volume_copy(self._context.connection, name)


def _users(name: str, records: Records) -> list[Container]:
    """The containers that mount the volume."""
    return [one for one in records.containers if any(mount.source == name for mount in _volume_mounts(one))]


def _volume_mounts(container: Container) -> list[MountPoint]:
    return [mount for mount in container.config.mounts if mount.kind == "volume"]


def _is_served(directory: str) -> bool:
    """Whether a monitor listens there."""
    try:
        connect_to(directory, SOCKET_NAME).close()
    except OSError:
        return False
    return True


def _names(directory: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(directory))
    except FileNotFoundError:
        return frozenset()
