"""The files that a container has while it runs: the monitor's and slirp4netns' sockets, mount points.

Where they lie is in its record: the command that looks for them may have another environment than the one that started
it. A second place for the monitor's socket is the container's own directory, see `monitor.reach`.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import ContainerState
    from sandbox.paths import Paths

SOCKET_NAME = "monitor.sock"
#: beside the container's log: what a fault of the monitor was
TRACE_NAME = "monitor.log"
#: of a monitor, what `ps -o comm` shows: at most 15 bytes, proc(5)
PROCESS_NAME = "sandbox-monitor"
#: beside the socket: a pipe by which a command learns that the monitor listens again
KNOCK_PREFIX = "knock-"
#: and what asks for that: ignored by who does not know of it
KNOCK_SIGNAL = signal.SIGURG


def runtime_directory(paths: Paths, container_id: str, state: ContainerState) -> str:
    """Where the container's files are, or would be."""
    return state.runtime_directory or paths.container_runtime(container_id)


def remove_runtime_files(paths: Paths, container_id: str, state: ContainerState) -> None:
    """Remove what the container has while it runs."""
    remove_runtime_directory(runtime_directory(paths, container_id, state))
    _remove_socket(paths.container_data(container_id))


def remove_runtime_directory(directory: str) -> None:
    """Remove the sockets and the empty mount points; none of them belongs to a subordinate id.

    What others remove at the same time, or put there, is no failure: a record is never left untrue for it.
    """
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        path = f"{directory}/{name}"
        with suppress(OSError):
            if os.path.isdir(path) and not os.path.islink(path):
                os.rmdir(path)
            else:
                os.unlink(path)
    with suppress(OSError):
        os.rmdir(directory)


def _remove_socket(data_directory: str) -> None:
    with suppress(OSError):
        os.unlink(f"{data_directory}/{SOCKET_NAME}")
