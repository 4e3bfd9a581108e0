"""`--progress rawjson`: one JSON object for each line, in the form of BuildKit's SolveStatus (client/graph.go)."""

from __future__ import annotations

import base64
import json
import sys
from typing import TYPE_CHECKING, Any, TextIO

from sandbox.builder.image_state import as_time

if TYPE_CHECKING:
    from sandbox.builder.progress.progress import Event


class RawProgress:
    """An EventSink that writes to standard error, or to the `stream` that is given."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._vertexes: dict[str, dict[str, Any]] = {}

    def __call__(self, event: Event) -> None:
        stream = sys.stderr if self._stream is None else self._stream
        stream.write(json.dumps(self._status(event), separators=(",", ":")) + "\n")
        stream.flush()

    def close(self) -> None:
        """Nothing is left to say."""

    def _status(self, event: Event) -> dict[str, Any]:
        time = as_time(event.time_ns)
        match event.kind:
            case "output":
                data = base64.b64encode(event.data).decode()
                return {"logs": [{"vertex": event.vertex, "stream": event.stream, "data": data, "timestamp": time}]}
            case "status":
                status = {"id": event.text, "vertex": event.vertex, "name": event.text, "current": event.current}
                done = {"completed": time} if event.current >= event.total else {}
                total = {"total": event.total} if event.total else {}
                return {"statuses": [{**status, **total, "timestamp": time, "started": time, **done}]}
            case "warning":
                return {"warnings": [{"level": 1, "short": base64.b64encode(event.text.encode()).decode()}]}
            case _:
                return {"vertexes": [self._vertex(event, time)]}

    def _vertex(self, event: Event, time: str) -> dict[str, Any]:
        if event.step is not None:
            inputs = {"inputs": list(event.step.inputs)} if event.step.inputs else {}
            begun: dict[str, Any] = {"digest": event.vertex, **inputs, "name": event.step.name, "started": time}
            self._vertexes[event.vertex] = begun
            return begun
        known = dict(self._vertexes.get(event.vertex, {"digest": event.vertex}), completed=time)
        if event.kind == "cached":
            known["cached"] = True
        elif event.kind == "failed":
            known["error"] = event.text
        elif event.kind == "cancelled":
            known["error"] = "context canceled"
        return known
