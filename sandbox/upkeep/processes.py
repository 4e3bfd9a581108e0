"""Running containers against their records: what runs and no record names, and records older than what runs.

A monitor has the container's tree mounted in its runtime directory, which is named after the data root and the
container; the first process of a container has our files mounted over its own. Both are read from mountinfo, proc(5),
so they are found whatever a record says, and those of another data root are told apart.

The records are read after the processes: a monitor mounts nothing before it has its claim, and gives that back after
the tree is unmounted.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from sandbox.container.model.claims import Claim, claim_for, claim_of
from sandbox.container.model.documents import from_plain
from sandbox.container.model.record import ContainerState
from sandbox.container.model.runtime_files import PROCESS_NAME
from sandbox.container.model.store import all_containers, update_state
from sandbox.errors import SandboxError
from sandbox.record_copies import copy_path, read_copy
from sandbox.upkeep.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.container.model.record import Container
    from sandbox.paths import Paths
    from sandbox.upkeep.check_context import CheckContext

#: for a container to stop by its own signal, and then for the kernel to end it
_STOP_SECONDS = 15.0
_KILL_SECONDS = 5.0
_ID_LENGTH = 64


class RunningProcess(NamedTuple):
    """A process of a container of this data root. `container` is the beginning of its id."""

    claim: Claim
    container: str
    is_monitor: bool


def check_processes(context: CheckContext) -> bool:
    """Report what runs unseen; a repair gives a container its record back where a copy has it, and else ends it.

    Returns whether the database was found to be older than what runs.
    """
    is_older = False
    running = [process for process in find_processes(context.paths) if process.claim.is_alive]
    monitored = {process.container for process in running if process.is_monitor}
    containers = all_containers(context.connection)
    for process in running:
        if not process.is_monitor and any(process.container.startswith(beginning) for beginning in monitored):
            continue  # it ends with its monitor
        container = next((one for one in containers if one.id.startswith(process.container)), None)
        claim = claim_of(container.state) if container is not None else Claim()
        # a first process is its monitor's, which has the claim as long as it lives
        if claim == process.claim or (not process.is_monitor and claim.is_alive):
            continue
        copied = _copied_state(context, container) if container is not None else None
        if container is not None and copied is not None and claim_of(copied) == process.claim and not claim.is_alive:
            _report_older(context, container, copied)
            is_older = True
        elif process.claim.is_alive and _container_of(context.paths, str(process.claim.pid)):
            _report_unseen(context, process)
    return is_older


def _report_older(context: CheckContext, container: Container, copied: ContainerState) -> None:
    def take_back() -> None:
        update_state(context.connection, container.id, lambda state: state if claim_of(state).is_alive else copied)

    context.report(
        Finding("container", container.name, f"it runs, and the database has it as {container.state.status}"), take_back
    )


def _report_unseen(context: CheckContext, process: RunningProcess) -> None:
    what = "the monitor" if process.is_monitor else "the first process"
    problem = f"{what} of container {process.container[:12]} runs, and no record names it"
    context.report(Finding("process", str(process.claim.pid), problem), lambda: end_process(process))


def _copied_state(context: CheckContext, container: Container) -> ContainerState | None:
    copy = read_copy(copy_path(context.paths.data_root, "container", container.id))
    if copy is None:
        return None
    try:
        return from_plain(ContainerState, copy["state"])
    except (TypeError, ValueError, KeyError, AttributeError):
        return None


def find_processes(paths: Paths) -> Iterator[RunningProcess]:
    """The monitors of this data root, and the first processes of its containers."""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            claim = claim_for(int(name))
            found = _container_of(paths, name)
            if found is not None and claim.pid:
                yield RunningProcess(claim, *found)


def _container_of(paths: Paths, pid: str) -> tuple[str, bool] | None:
    """The container whose monitor (True) or first process (False) `pid` is."""
    try:
        with open(f"/proc/{pid}/mountinfo", "rb", buffering=0) as file:
            lines = file.readall().splitlines()
        depth = _namespace_pids(pid)
    except OSError:
        return None
    prefix = os.fsencode(f"/{os.path.basename(paths.container_runtime(''))}")
    for line in lines:
        if b"/containers/" not in line:
            continue
        fields = line.split(b" ")
        place, within = fields[4], fields[3]
        above, _, base = place.rpartition(b"/")
        if base == b"rootfs" and prefix in above and len(depth) == 1 and _is_monitor(pid):
            return os.fsdecode(above.rpartition(prefix)[2]), True
        above, _, base = within.rpartition(b"/")
        container_id = os.fsdecode(above.rpartition(b"/")[2])
        # `within` begins at the root of a file system: an id that has a directory here is nobody else's
        is_ours = base in (b"hosts", b"hostname") and len(container_id) == _ID_LENGTH
        is_ours = is_ours and os.path.isdir(paths.container_data(container_id))
        if is_ours and len(depth) > 1 and depth[-1] == b"1":
            return container_id, False
    return None


def _is_monitor(pid: str) -> bool:
    """Not a helper or a child of one: those have another name, or the monitor's session."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            head, _, rest = file.readall().rpartition(b")")
    except OSError:
        return False
    # state, parent, process group, session: proc(5)
    return head.endswith(f"({PROCESS_NAME}".encode()) and rest.split()[3] == pid.encode()


def _namespace_pids(pid: str) -> list[bytes]:
    """Its number in each pid namespace from ours to its own, NSpid in proc(5)."""
    with open(f"/proc/{pid}/status", "rb", buffering=0) as file:
        for line in file.readall().splitlines():
            if line.startswith(b"NSpid:"):
                return line.split()[1:]
    return []


def end_process(process: RunningProcess, *, at_once: bool = False) -> None:
    """A monitor stops its container by its own signal, unless it is to end `at_once`; what does not end is killed.
    Returns when it is gone. Raises SandboxError.
    """
    try:
        pidfd = os.pidfd_open(process.claim.pid)
    except ProcessLookupError:
        return
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    number = signal.SIGTERM if process.is_monitor and not at_once else signal.SIGKILL
    try:
        # asked with the descriptor in hand: the number may have been given anew
        if not process.claim.is_alive:
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, number)
            if not poller.poll(_STOP_SECONDS * 1000):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                if not poller.poll(_KILL_SECONDS * 1000):
                    raise SandboxError("it does not end", mend=f"ps -o pid,stat,wchan,cmd {process.claim.pid}")
    except PermissionError as error:
        raise SandboxError("it cannot be signalled", cause=error.strerror or "") from error
    finally:
        os.close(pidfd)
