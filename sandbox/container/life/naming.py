"""What a container is called, here and in the file of `--cidfile`: settled before anything is made."""

from __future__ import annotations

import os

from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple


class Identity(NamedTuple):
    """What a container is called, and which monitor will run it (0: none yet)."""

    container_id: str
    #: "" has one made up
    name: str = ""
    monitor_pid: int = 0


def check_cidfile(path: str) -> None:
    """Raise UsageError where the file is there already: it may be another container's."""
    if os.path.lexists(path):
        raise UsageError(
            f"container ID file found, make sure the other container isn't running or delete {path}", mend=f"rm {path}"
        )


def write_cidfile(path: str, container_id: str) -> None:
    """Write the id to a new file. Raises UsageError."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UsageError(
            f"failed to create the container ID file {path}",
            cause=error.strerror or "",
            mend=f"ls -ld {os.path.dirname(path)}",
        ) from error
    with open(fd, "w") as file:
        file.write(container_id)
