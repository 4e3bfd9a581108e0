"""Calling the reconciler of services: by whoever has changed what it decides on, from whatever process.

It listens on a FIFO of the runtime directory. What is written there has no meaning but that the rows are to be looked
at, and waits in the kernel while it is busy. When it has nothing to decide it becomes a small program that waits there
for the next call (`service/reconciler.py`): a monitor, which is inside its container's user namespace, could not start
a process that may start other containers, but it can write to a FIFO.

Who finds nobody there starts one, where he can: a command, never a monitor.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from sandbox.live_processes import process_start

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from sandbox.paths import Paths

_END_SECONDS = 60
#: of a task's container: whose it is
SERVICE_LABEL = "com.docker.swarm.service.id"
# ends at once in the place of its child, whom nobody waits for then
_BOOT = (
    "import os, sys; os.fork() and os._exit(0); sys.path[:] = sys.argv[1:]; "
    "from sandbox.service.reconciler import main; main()"
)


def call_path(paths: Paths) -> str:
    """The FIFO; the runtime root is shared by all data roots of a user."""
    return f"{paths.runtime_root}/reconciler-{paths.runtime_prefix}"


def lock_path(paths: Paths) -> str:
    """What the one that decides holds a lock of; it names the process, which is also the one that waits for a call."""
    return f"{call_path(paths)}.lock"


def turn_path(paths: Paths) -> str:
    """What one that begins or ends holds a lock of: so that who finds the other lock taken finds somebody listening."""
    return f"{call_path(paths)}.turn"


def call_reconciler(paths: Paths) -> bool:
    """Have it look at the rows again; False where nobody listens."""
    try:
        fd = os.open(call_path(paths), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # a shell may wait for it, which reads a line
        os.write(fd, b"\n")
    except BlockingIOError:
        return True  # one that is full has been called often enough
    except BrokenPipeError:
        return False  # it has ended meanwhile
    finally:
        os.close(fd)
    return True


def ensure_reconciler(paths: Paths, env: Mapping[str, str]) -> None:
    """Have it look at the rows, started with this environment where it does not run."""
    if call_reconciler(paths) or not sys.executable:
        return
    from sandbox.own_modules import module_places

    words = [sys.executable, "-IS", "-c", _BOOT, *module_places()]
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    # what a caller has blocked or ignored is his own
    signals = range(1, 32)
    pid = os.posix_spawn(
        words[0], words, dict(env), file_actions=null, setsid=True, setsigmask=(), setsigdef=set(signals) - {9, 19}
    )
    os.waitpid(pid, 0)


def end_reconciler(paths: Paths) -> None:
    """End it, at whatever it does: for who is about to remove what it decides on."""
    import select  # for a reset only
    import signal

    try:
        with open(lock_path(paths)) as file:
            pid, start = (int(word) for word in file.read().split())
        pidfd = os.pidfd_open(pid)
    except (OSError, ValueError):
        return  # there is none
    try:
        # asked with the descriptor in hand: the number may have been given anew
        if process_start(pid) == start:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            poller.poll(_END_SECONDS * 1000)
    finally:
        os.close(pidfd)
    for path in (call_path(paths), lock_path(paths), turn_path(paths)):
        with suppress(FileNotFoundError):
            os.unlink(path)


def ensure_due(connection: sqlite3.Connection, paths: Paths, env: Mapping[str, str]) -> None:
    """Have it look at the rows, where there is something to decide: one query where there is nothing."""
    if connection.execute("SELECT 1 FROM service WHERE due_ns > 0 LIMIT 1").fetchone() is not None:
        ensure_reconciler(paths, env)
