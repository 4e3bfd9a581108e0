"""What the processes of a build tell each other: lines of JSON, each with one member that names it.

a stage's process            coordinator                     command
{"event": …}  ─────────────▶ noted, sent on ───────────────▶ shown
{"need": 2}   ─────────────▶ waits for stage 2
              ◀───────────── {"stage": …}
{"stage": …} or {"error": …} ends the talk
                             {"stage": …} or {"error": …} ─▶ the target, or what failed first
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sandbox.builder.cache.step_cache import BuildLayer
from sandbox.builder.image_state import ImageState
from sandbox.builder.stage_state import StageState
from sandbox.dockerfile.arguments import Scope
from sandbox.dockerfile.errors import DockerfileError, Place
from sandbox.errors import SandboxError
from sandbox.faults import explain_fault
from storage.errors import StorageError

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from sandbox.dockerfile.arguments import Globals

_READ_SIZE = 1 << 16


class Lines:
    """One end of a stream socket as lines of JSON. Closing it is the owner's affair."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._rest = b""

    def send(self, message: dict[str, Any]) -> None:
        """Raises BrokenPipeError, ConnectionResetError where the other side is gone."""
        self._end.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]] | None:
        """The messages that have come, at least a part of one waited for; None at the end."""
        try:
            data = self._end.recv(_READ_SIZE)
        except ConnectionResetError:
            data = b""
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Every message up to the end."""
        while (messages := self.receive()) is not None:
            yield from messages


def encode_stage(state: StageState) -> dict[str, Any]:
    """A stage that has ended, as plain values."""
    return {
        "document": state.image.document,
        "layers": [list(layer) for layer in state.layers],
        "environment": state.scope.environment,
        "declared": sorted(state.scope.declared),
        "arguments": state.arguments,
        "records": state.records,
    }


def decode_stage(values: dict[str, Any], globals_: Globals) -> StageState:
    """What `encode_stage` made."""
    state = StageState(
        ImageState(values["document"]),
        [BuildLayer(*layer) for layer in values["layers"]],
        Scope(globals_, values["environment"], values["declared"]),
    )
    state.arguments = list(values["arguments"])
    state.records = list(values["records"])
    return state


def encode_failure(error: BaseException) -> list[Any]:
    """An error as plain values; one that is not ours as what it is, for it is a mistake of ours."""
    if isinstance(error, DockerfileError):
        return [error.message, "", error.mend, list(error.place), error.expected]
    if isinstance(error, SandboxError | StorageError):
        return [error.message, error.cause, error.mend, None, ""]
    return ["cannot carry out the build", explain_fault(error), "", None, ""]


def decode_failure(values: list[Any]) -> SandboxError:
    """What `encode_failure` made."""
    message, cause, mend, place, expected = values
    if place is not None:
        return DockerfileError(message, Place(*place), expected=expected, mend=mend)
    return SandboxError(message, cause=cause, mend=mend)
