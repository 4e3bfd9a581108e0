"""Asking a container's monitor for something that it answers when it is done."""

from __future__ import annotations

from sandbox.container.life.stop import not_running_error, open_channel
from sandbox.container.monitor.reach import refuse_halted
from sandbox.errors import SandboxError
from sandbox.protocol.frames import MESSAGE
from sandbox.runtime.reports import decode_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import Container
    from sandbox.paths import Paths


def call_monitor(paths: Paths, container: Container, verb: str, **fields: object) -> None:
    """Have it done. Raises ConflictError where the container does not run; the error that the monitor tells."""
    refuse_halted(container)
    channel = open_channel(paths, container)
    if channel is None:
        raise not_running_error(container)
    try:
        channel.send_message(verb, **fields)
        frame = channel.receive()
    finally:
        channel.close()
    # an exit code is what everybody is told who comes when it has just ended
    if frame is None or frame.kind != MESSAGE:
        raise not_running_error(container)
    if frame.message["type"] != "error":
        return
    if "report" not in frame.message:
        raise SandboxError(
            f"the monitor of container {container.name} does not know how to {verb}",
            cause="it was started by an older sandbox",
            mend=f"sandbox restart {container.name}",
        )
    raise decode_error(str(frame.message["report"]).encode())
