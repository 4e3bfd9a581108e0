"""A task that is to stop leaves its service's ports and names first, and its open requests have their time."""

from __future__ import annotations

import select
from contextlib import suppress

from sandbox.errors import SandboxError
from sandbox.service import ports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.paths import Paths
    from sandbox.service.record import Service
    from sandbox.service.task import Task

#: Docker's, where nothing else is asked for
_GRACE_SECONDS = 10


def drain(paths: Paths, service: Service, task: Task, others: Sequence[Task], grace_seconds: int | None) -> None:
    """Have nobody new come to the task, but to the others, and wait until those who are there have left, as long as a
    stop has time.
    """
    if not any(port.mode == "ingress" for port in service.spec.ports):
        with suppress(SandboxError):
            ports.withdraw(paths, service, task)
        return
    # one that cannot be told is stopped all the same
    with suppress(SandboxError):
        ports.settle(paths, service, others)
        ports.withdraw(paths, service, task)
        drain = ports.begin_drain(paths, service, task)
        if drain is not None:
            try:
                seconds = _GRACE_SECONDS if grace_seconds is None or grace_seconds < 0 else grace_seconds
                poller = select.poll()
                poller.register(drain.fileno(), select.POLLIN)
                poller.poll(seconds * 1000)
            finally:
                drain.close()
