"""What a build does, as the classic builder's messages."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.builder.progress.progress import Event

_FAILED = re.compile(r'process "(?P<command>.*)" did not complete successfully: exit code: (?P<code>\d+)', re.DOTALL)


#: what a pull of a base tells beside its layers
_OF_PULLS = ("Digest: ", "Status: ")
#: what BuildKit's rules find in a file, of which the classic builder has none
_RULE = re.compile(r"\S+:\d+:\d+: [A-Z]\w+: ")
_RED, _PLAIN = "\x1b[91m", "\x1b[0m"


class BuildMessages:
    """Tells the events of a build: an EventSink. `reuses` is whether steps of earlier builds may be taken."""

    def __init__(self, tell: Callable[[dict[str, Any]], None], *, quiet: bool, reuses: bool = True) -> None:
        self._tell = tell
        self._quiet = quiet
        self._reuses = reuses
        self._decoders = {1: _decoder(), 2: _decoder()}
        self._position = 0
        self._total = 0
        #: names of stages of which a step was made anew
        self._fresh: set[str] = set()
        self._stages: dict[str, str] = {}

    def __call__(self, event: Event, /) -> None:
        """Take one."""
        if self._quiet:
            return
        step = event.step
        if event.kind == "instruction" and step is not None:
            self._total = max(step.total, self._position + 1)
            self._begin(step.name)
            if self._position > 1 and not step.name[:5].upper().startswith("FROM ") and self._may_reuse(step.stage):
                self.say(" ---> Using cache")
        elif event.kind == "started" and step is not None:
            if step.position:
                self._stages[event.vertex] = step.stage
                self._begin(step.name.partition("] ")[2] or step.name)
        elif event.kind == "output":
            self._output(event)
        elif event.kind == "cached":
            self.say(" ---> Using cache")
            self._stages.pop(event.vertex, None)
        elif event.kind == "finished" and event.vertex in self._stages:
            self._fresh.add(self._stages.pop(event.vertex))
        elif event.kind == "status":
            self._status(event)
        elif event.kind == "warning" and not _RULE.match(event.text):
            self.say(f"[Warning] {event.text}")

    def say(self, line: str) -> None:
        """One line."""
        self._tell({"stream": f"{line}\n"})

    def _begin(self, instruction: str) -> None:
        self._position += 1
        self.say(f"Step {self._position}/{max(self._total, self._position)} : {instruction}")

    def _may_reuse(self, stage: str) -> bool:
        return self._reuses and stage not in self._fresh

    def _output(self, event: Event) -> None:
        piece = self._decoders[2 if event.stream == 2 else 1].decode(event.data)
        if piece:
            self._tell({"stream": f"{_RED}{piece}{_PLAIN}" if event.stream == 2 else piece})

    def _status(self, event: Event) -> None:
        head, _, rest = event.text.partition(": ")
        if rest.startswith("Pulling from "):
            self._tell({"status": rest, "id": head})
        elif event.text.startswith(_OF_PULLS):
            self._tell({"status": event.text})


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("replace")


def failure_message(text: str) -> dict[str, Any]:
    """The last message of a build that failed."""
    found = _FAILED.search(text)
    detail: dict[str, Any] = {"message": text}
    if found is not None:
        # the words that programs look for
        text = f"The command '{found['command']}' returned a non-zero code: {found['code']}"
        detail = {"code": int(found["code"]), "message": text}
    return {"errorDetail": detail, "error": text}
