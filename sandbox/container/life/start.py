"""Starting a container that exists: `start`, `restart`."""

from __future__ import annotations

from sandbox.container.life.create import join_networks
from sandbox.container.life.handshake import StartOptions, abandon, start_in_monitor
from sandbox.container.life.lookup import open_container
from sandbox.container.life.networking import tell_linked
from sandbox.container.life.stop import is_active
from sandbox.container.model.claims import TakenError, claim_for, to_start
from sandbox.container.model.store import load_container, update_state
from sandbox.container.monitor.limits import claim_cgroup, plan_container_limits
from sandbox.container.monitor.neighbours import find_neighbours, outer_namespace_pid
from sandbox.container.monitor.plan import Attachment, SpawnRequest
from sandbox.container.monitor.reach import wait_monitor
from sandbox.container.monitor.spawn import spawn_monitor
from sandbox.errors import ConflictError, NotFoundError, SandboxError
from sandbox.named_tuple import NamedTuple
from sandbox.network.mode import uses_bridge
from sandbox.state import open_state
from sandbox.transactions import transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from sandbox.container.model.record import Container
    from sandbox.container.monitor.spawn import SpawnedMonitor
    from sandbox.paths import Paths
    from sandbox.runtime.terminal import WindowSize


class StartRequest(NamedTuple):
    """Which container, and what of it the command wants to see from the first byte on."""

    word: str
    attachment: Attachment = Attachment()
    window_size: WindowSize | None = None


class RunningStart(NamedTuple):
    """A container that was just started, and the way to its monitor."""

    container: Container
    spawned: SpawnedMonitor


def start_container(paths: Paths, env: Mapping[str, str], request: StartRequest) -> RunningStart | None:
    """Start a container that is not running; None where it runs already. Raises SandboxError.

    No database connection may be open in this process.
    """
    while True:
        container, join_pid = _look_up(paths, request.word)
        if container is None:
            return None
        on_bridges = uses_bridge(container.config.network)
        spawned = spawn_monitor(paths, SpawnRequest(container.id, False, join_pid, on_bridges))
        try:
            claimed = _claim(paths, container, spawned.pid)
            if claimed is None:
                abandon(spawned)
                continue  # what the other command made of it is waited for
            limits = plan_container_limits(claimed.config, env).limits
            detached = not request.attachment.wanted
            limits = claim_cgroup(limits, claimed.id, spawned.pid, env, detached=detached)
        except BaseException:
            abandon(spawned)
            raise
        options = StartOptions(request.attachment, request.window_size, limits)
        start_in_monitor(paths, spawned, claimed, options)
        if on_bridges:
            tell_linked(paths, claimed)
        return RunningStart(claimed, spawned)


def _look_up(paths: Paths, word: str) -> tuple[Container | None, int]:
    # closed before the fork that follows
    with open_state(paths) as connection:
        try:
            container = _startable(connection, paths, word)
            while container.state.monitor_pid and not is_active(container):
                # it is being started, or removed, by another command
                wait_monitor(paths, container)
                container = _startable(connection, paths, container.id)
            if is_active(container):
                return None, 0
            return container, outer_namespace_pid(find_neighbours(connection, paths, container.config))
        except (NotFoundError, _PausedError):
            raise
        except SandboxError as error:
            raise SandboxError(
                f"cannot start container {word}: {error.message}", cause=error.cause, mend=error.mend
            ) from error


class _PausedError(ConflictError):
    """It runs, and is no more started than any that does, but its processes are held."""


def _startable(connection: sqlite3.Connection, paths: Paths, word: str) -> Container:
    container = open_container(connection, paths, word)
    if container.state.status == "paused":
        raise _PausedError("cannot start a paused container, try unpause instead", mend=f"sandbox unpause {word}")
    return container


def _claim(paths: Paths, container: Container, monitor_pid: int) -> Container | None:
    """Enter the new monitor in the record: of two commands that start one container, one gets it, the other None."""
    claim = to_start(claim_for(monitor_pid), paths.container_runtime(container.id))
    with open_state(paths, durable=False) as connection:
        try:
            state = update_state(connection, container.id, claim)
        except TakenError:
            return None
        # as it is now: it may have been put on another network since it was looked at
        claimed = load_container(connection, container.id) if state is not None else None
        if claimed is None:
            raise NotFoundError(f"No such container: {container.name}", cause="it was removed meanwhile")
        with transaction(connection):
            join_networks(connection, paths, claimed)
    return claimed
