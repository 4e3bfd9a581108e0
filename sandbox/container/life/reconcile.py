"""Records that no longer tell the truth, mended: what a SIGKILL or a reboot left is seen by the next command.

A record is stale when it names a monitor that does not run any more: the pid is gone, or it belongs to another boot,
or another process has it now (start time, proc(5)). The kernel ends a container with its monitor (PR_SET_PDEATHSIG),
unless its first process asked for something else or has executed a set-user-ID program: one that is left is ended
here, before anybody may start the container again. Its mounts went with its mount namespace; what is left is files and,
perhaps, a slirp4netns that ends by itself.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from sandbox.container.model.claims import ACTIVE, Claim, claim_of, own_claim, with_claim
from sandbox.container.model.runtime_files import remove_runtime_files, runtime_directory
from sandbox.container.model.store import load_container, update_state
from sandbox.container.model.transitions import health_of_ended
from sandbox.container.monitor.mount_servers import end_left_servers
from sandbox.live_processes import boot_id, is_alive
from sandbox.state import DatabaseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.model.record import Container, ContainerState
    from sandbox.paths import Paths

KILLED_EXIT_CODE = 137
#: what is killed ends at once, unless it waits for a disk or for the server of a file system
_KILL_SECONDS = 5.0
_ACTIVE = (*ACTIVE, "removing")


def is_stale(state: ContainerState) -> bool:
    """Whether `state` names a monitor, or claims a running container, that does not exist."""
    if state.monitor_pid == 0:
        return state.status in _ACTIVE
    return not claim_of(state).is_alive


def mended_state(state: ContainerState, *, same_boot: bool, now_ns: int) -> ContainerState:
    """What a stale `state` becomes: exited if it had run, else as it was, without its processes."""
    cleared = state._replace(
        pid=0, pid_start=0, monitor_pid=0, monitor_start=0, published_ports=(), cgroup="", lost_mount="",
        health=health_of_ended(state),
    )  # fmt: skip
    if state.status not in _ACTIVE:
        return cleared
    return cleared._replace(
        status="exited",
        exit_code=KILLED_EXIT_CODE,
        finished_ns=now_ns,
        error="the monitor was killed" if same_boot else "the machine was restarted",
    )


def reconcile(
    connection: sqlite3.Connection, paths: Paths, container: Container, *, only_tell: bool = False
) -> Container | None:
    """`container` as it truly is; its record and leavings are mended first. None where it was to be removed on exit.

    Where another process waits for what is left of it to end, that is waited for too; but not to `only_tell` of it.
    """
    while is_stale(container.state):
        runtime = _open_directory(runtime_directory(paths, container.id, container.state))
        try:
            # looked at with the directory in hand: it is of this monitor, for none starts before the record is mended
            present = load_container(connection, container.id)
            if present is None:
                return None
            if claim_of(present.state) == claim_of(container.state):
                _end_left_process(present.state)
                may_be_left = runtime >= 0 and container.state.boot_id == boot_id()
                # outside any transaction: one that hangs is given seconds
                if may_be_left and not end_left_servers(runtime, wait=not only_tell):
                    return _told(container)
                return _mend(connection, paths, container, only_tell=only_tell)
            container = present
        finally:
            if runtime >= 0:
                os.close(runtime)
    return container


def _mend(connection: sqlite3.Connection, paths: Paths, container: Container, *, only_tell: bool) -> Container | None:
    """`container`, whose monitor is dead and has left nobody."""
    this_boot = boot_id()
    # a removal that was cut short is finished: part of its files is gone already
    is_going = container.config.auto_remove or container.state.status == "removing"
    own = own_claim() if is_going else Claim()

    def mend(state: ContainerState) -> ContainerState:
        # asked again inside the transaction: another command may have mended and started it meanwhile
        if claim_of(state) != claim_of(container.state) or not is_stale(state):
            return state
        # and inside it these go, before anybody can claim the container and make his own
        remove_runtime_files(paths, container.id, state)
        return mended_state(state, same_boot=state.boot_id == this_boot, now_ns=time.time_ns())

    def go(state: ContainerState) -> ContainerState:
        # in the same transaction: where this is cut short as well, the record must still say that it was to go
        return state if state.monitor_pid or not is_going else with_claim(state._replace(status="removing"), own)

    try:
        state = update_state(connection, container.id, mend, go)
    except DatabaseError:
        # a full disk: the truth can be told all the same, and whoever wants to change something will be told why not
        return _told(container)
    if state is None:
        return None
    if is_stale(state):
        return reconcile(connection, paths, container._replace(state=state), only_tell=only_tell)
    is_ours = is_going and claim_of(state) == own
    if state.monitor_pid and not is_ours:
        return load_container(connection, container.id)
    if container.state.cgroup:
        from sandbox.runtime.cgroups import ContainerCgroup, remove_container_cgroup

        remove_container_cgroup(ContainerCgroup(container.state.cgroup))
    if is_ours:
        from sandbox.container.monitor.discard import discard_container

        discard_container(connection, paths, container)
        return None
    return container._replace(state=state)


def reconcile_all(connection: sqlite3.Connection, paths: Paths, containers: list[Container]) -> list[Container]:
    """`containers` as they truly are, in the same order, without those that were to be removed on exit."""
    if not any(is_stale(container.state) for container in containers):
        return containers
    told = (reconcile(connection, paths, container, only_tell=True) for container in containers)
    return [container for container in told if container is not None]


def _told(container: Container) -> Container:
    state = mended_state(container.state, same_boot=container.state.boot_id == boot_id(), now_ns=time.time_ns())
    return container._replace(state=state)


def _end_left_process(state: ContainerState) -> None:
    """Kill the first process of a container whose monitor is dead, and with it the container; wait until it is gone.

    Whoever made the outer user namespace may signal what is below it, user_namespaces(7).
    """
    if not is_alive(state.pid, state.pid_start, state.boot_id):
        return
    try:
        pidfd = os.pidfd_open(state.pid)
    except ProcessLookupError:
        return
    try:
        # asked again with the descriptor in hand: the number may have been given anew
        if is_alive(state.pid, state.pid_start, state.boot_id):
            import select

            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            poller.poll(_KILL_SECONDS * 1000)
    finally:
        os.close(pidfd)


def _open_directory(path: str) -> int:
    """A descriptor, or -1 where there is no directory."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
