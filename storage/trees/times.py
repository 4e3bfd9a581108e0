"""Modification times, held to a latest one: for layers that must not tell when they were made."""

from __future__ import annotations

import os

from storage.errors import os_failure
from storage.trees.walk import Walk


def clamp_times(root_fd: int, latest_ns: int) -> None:
    """Set every later modification time below and of `root_fd` back to `latest_ns`. Raises StorageError."""
    times = (latest_ns, latest_ns)
    try:
        for step in Walk(root_fd):
            if step.status.st_mtime_ns > latest_ns and not step.leaving:
                os.utime(step.name, ns=times, dir_fd=step.dir_fd, follow_symlinks=False)
        if os.fstat(root_fd).st_mtime_ns > latest_ns:
            os.utime(root_fd, ns=times)
    except OSError as error:
        raise os_failure("cannot set the times of the layer", error) from error
