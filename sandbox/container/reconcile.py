"""Records that no longer tell the truth, mended: what a SIGKILL or a reboot left is seen by the next command.

A record is stale when it names a monitor that does not run any more: the pid is gone, or it belongs to another boot,
or another process has it now (start time, proc(5)). The container cannot have outlived its monitor (PR_SET_PDEATHSIG),
and its mounts went with its mount namespace; what is left is files and, perhaps, a slirp4netns that ends by itself.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from sandbox.container.mount_servers import end_left_servers
from sandbox.container.store import load_container, update_state
from sandbox.state import DatabaseError, boot_id, is_alive

if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.record import Container, ContainerState
    from sandbox.paths import Paths

KILLED_EXIT_CODE = 137
_ACTIVE = ("running", "paused", "restarting", "removing")


def is_stale(state: ContainerState) -> bool:
    """Whether `state` names a monitor, or claims a running container, that does not exist."""
    if state.monitor_pid == 0:
        return state.status in _ACTIVE
    return not is_alive(state.monitor_pid, state.monitor_start, state.boot_id)


def mended_state(state: ContainerState, *, same_boot: bool, now_ns: int) -> ContainerState:
    """What a stale `state` becomes: exited if it had run, else as it was, without its processes."""
    cleared = state._replace(
        pid=0, pid_start=0, monitor_pid=0, monitor_start=0, published_ports=(), health="", cgroup="", lost_mount=""
    )
    if state.status not in _ACTIVE:
        return cleared
    return cleared._replace(
        status="exited",
        exit_code=KILLED_EXIT_CODE,
        finished_ns=now_ns,
        error="the monitor was killed" if same_boot else "the machine was restarted",
    )


def reconcile(connection: sqlite3.Connection, paths: Paths, container: Container) -> Container | None:
    """`container` as it truly is; its record and leavings are mended first. None where it was to be removed on exit."""
    if not is_stale(container.state):
        return container
    this_boot = boot_id()

    def mend(state: ContainerState) -> ContainerState:
        # asked again inside the transaction: another command may have mended and started it meanwhile
        if not is_stale(state):
            return state
        # and inside it these go, before anybody can claim the container and make his own
        if state.boot_id == this_boot:
            end_left_servers(paths.container_runtime(container.id))
        remove_runtime_files(paths.container_runtime(container.id))
        return mended_state(state, same_boot=state.boot_id == this_boot, now_ns=time.time_ns())

    try:
        state = update_state(connection, container.id, mend)
    except DatabaseError:
        # a full disk: the truth can be told all the same, and whoever wants to change something will be told why not
        same_boot = container.state.boot_id == this_boot
        return container._replace(state=mended_state(container.state, same_boot=same_boot, now_ns=time.time_ns()))
    if state is None:
        return None
    if state.monitor_pid:
        return load_container(connection, container.id)
    if container.state.cgroup:
        from sandbox.runtime.cgroups import ContainerCgroup, remove_container_cgroup

        remove_container_cgroup(ContainerCgroup(container.state.cgroup))
    if container.config.auto_remove or container.state.status == "removing":
        # a removal that was cut short is finished: part of its files is gone already
        from sandbox.container.remove import discard_container

        discard_container(connection, paths, container)
        return None
    return container._replace(state=state)


def reconcile_all(connection: sqlite3.Connection, paths: Paths, containers: list[Container]) -> list[Container]:
    """`containers` as they truly are, in the same order, without those that were to be removed on exit."""
    if not any(is_stale(container.state) for container in containers):
        return containers
    return [c for c in (reconcile(connection, paths, container) for container in containers) if c is not None]


def remove_runtime_files(directory: str) -> None:
    """Remove the sockets and the empty mount point; none of them belongs to a subordinate id."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        path = f"{directory}/{name}"
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            os.unlink(path)
    os.rmdir(directory)
