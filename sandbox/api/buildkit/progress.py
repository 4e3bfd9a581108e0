"""What a build does, as the messages of BuildKit's Status, kept for whoever asks from the start.

Of what a step writes so much is kept and sent as BuildKit keeps; its clients know the words that stand for the rest.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import trio

from sandbox.api.buildkit.protobuf import encode
from sandbox.api.buildkit.schema import STATUS_RESPONSE
from sandbox.builder.progress.progress import Event, Vertex, vertex_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

_LOG_BYTES = 2 << 20
_CLIPPED = b"[output clipped, log limit 2MiB reached]\n"
#: how often a count that grows is told
_COUNT_NS = 100_000_000


def timestamp(time_ns: int) -> dict[str, int]:
    """google.protobuf.Timestamp."""
    seconds, nanos = divmod(time_ns, 10**9)
    return {"seconds": seconds, "nanos": nanos}


class Progress:
    """The messages of one build; an EventSink too."""

    def __init__(self) -> None:
        self._messages: list[bytes] = []
        self._changed = trio.Event()
        self._is_over = False
        self._begun: dict[str, dict[str, Any]] = {}
        self._written: dict[str, int] = {}
        #: of a step: when a status began, and how far it has come
        self._open: dict[str, dict[str, dict[str, Any]]] = {}
        self.total = self.completed = self.cached = self.warnings = 0

    async def messages(self) -> AsyncIterator[bytes]:
        """All of them, encoded, until the build is over."""
        at = 0
        while True:
            while at < len(self._messages):
                at += 1
                yield self._messages[at - 1]
            if self._is_over:
                return
            await self._changed.wait()

    def end(self) -> None:
        """Nothing more is told."""
        for vertex in tuple(self._open):
            if vertex in self._begun and "completed" not in self._begun[vertex]:
                self(Event("cancelled", vertex, time.time_ns()))
        self._is_over = True
        self._tell()

    def __call__(self, event: Event, /) -> None:
        """Take one of the builder's."""
        match event.kind:
            case "started":
                self._start(event)
            case "output":
                self._log(event)
            case "status":
                # clients write the word behind what is complete
                text = event.text.removesuffix(" done")
                self._status(event.vertex, text, event.current, event.total, event.time_ns)
            case "warning":
                self._warn(event)
            case _:
                self._finish(event)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """A step of the server's own for as long as the block; failed where an error leaves it."""
        vertex = Vertex(vertex_id("internal", title), title)
        self(Event("started", vertex.id, time.time_ns(), step=vertex))
        try:
            yield Step(self, vertex.id)
        except Exception as error:
            self(Event("failed", vertex.id, time.time_ns(), text=getattr(error, "message", "internal error")))
            raise
        except BaseException:
            self(Event("cancelled", vertex.id, time.time_ns()))
            raise
        self(Event("finished", vertex.id, time.time_ns()))

    def count(self, vertex: str, text: str, current: int, *, is_over: bool) -> None:
        """A status that is a number of bytes which grows."""
        now = time.time_ns()
        known = self._open.get(vertex, {}).get(text)
        if known is None or is_over or now - known["told"] >= _COUNT_NS:
            self._status(vertex, text, current, 0, now, is_over=is_over)

    def _start(self, event: Event) -> None:
        assert event.step is not None
        self.total += 1
        begun = {
            "digest": event.vertex, "inputs": event.step.inputs, "name": event.step.name,
            "started": timestamp(event.time_ns),
        }  # fmt: skip
        self._begun[event.vertex] = begun
        self._open[event.vertex] = {}
        self._add(vertexes=[begun])

    def _finish(self, event: Event) -> None:
        self.completed += 1
        statuses = [
            {**{key: value for key, value in status.items() if key != "told"},
             "timestamp": timestamp(event.time_ns), "completed": timestamp(event.time_ns)}
            for status in self._open.pop(event.vertex, {}).values()
        ]  # fmt: skip
        ended = {**self._begun.get(event.vertex, {"digest": event.vertex}), "completed": timestamp(event.time_ns)}
        if event.kind == "cached":
            self.cached += 1
            ended["cached"] = True
        elif event.kind == "failed":
            ended["error"] = event.text
        elif event.kind == "cancelled":
            ended["error"] = "context canceled"
        self._begun[event.vertex] = ended
        self._add(vertexes=[ended], statuses=statuses)

    def _status(self, vertex: str, text: str, current: int, total: int, time_ns: int, *, is_over: bool = False) -> None:
        statuses = self._open.setdefault(vertex, {})
        started = statuses.get(text, {}).get("started", timestamp(time_ns))
        status = {
            "id": text, "vertex": vertex, "name": text, "current": current, "total": total,
            "timestamp": timestamp(time_ns), "started": started,
        }  # fmt: skip
        if is_over or (total and current >= total) or not (total or current):
            statuses.pop(text, None)
            status["completed"] = timestamp(time_ns)
        else:
            statuses[text] = {**status, "told": time_ns}
        self._add(statuses=[status])

    def _log(self, event: Event) -> None:
        written = self._written.get(event.vertex, 0)
        if written >= _LOG_BYTES:
            return
        data = event.data[: _LOG_BYTES - written]
        self._written[event.vertex] = written + len(data)
        if written + len(data) >= _LOG_BYTES:
            data += _CLIPPED
        self._add(
            logs=[{"vertex": event.vertex, "timestamp": timestamp(event.time_ns), "stream": event.stream, "msg": data}]
        )

    def _warn(self, event: Event) -> None:
        self.warnings += 1
        vertex = next(iter(self._begun), "")
        self._add(warnings=[{"vertex": vertex, "level": 1, "short": event.text.encode("utf-8", "replace")}])

    def _add(self, **fields: Any) -> None:
        self._messages.append(encode(STATUS_RESPONSE, fields))
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class Step:
    """A step that the server does itself."""

    def __init__(self, progress: Progress, vertex: str) -> None:
        self._progress = progress
        self._vertex = vertex

    @contextmanager
    def counting(self, text: str) -> Iterator[Callable[[int], None]]:
        """Bytes that come, as a status."""
        last = 0

        def count(current: int) -> None:
            nonlocal last
            last = current
            self._progress.count(self._vertex, text, current, is_over=False)

        try:
            yield count
        finally:
            self._progress.count(self._vertex, text, last, is_over=True)
