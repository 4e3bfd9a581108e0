"""What a build does, as the classic builder's messages."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.builder.progress.progress import Event, Vertex

_FAILED = re.compile(r'process "(?P<command>.*)" did not complete successfully: exit code: (?P<code>\d+)', re.DOTALL)


class BuildMessages:
    """Tells the events of a build: an EventSink."""

    def __init__(self, tell: Callable[[dict[str, Any]], None], *, quiet: bool) -> None:
        self._tell = tell
        self._quiet = quiet
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __call__(self, event: Event, /) -> None:
        """Take one."""
        if self._quiet:
            return
        if event.kind == "started" and event.step is not None:
            line = _line(event.step)
            if line:
                self.say(line)
        elif event.kind == "output":
            piece = self._decoder.decode(event.data)
            if piece:
                self._tell({"stream": piece})
        elif event.kind == "cached":
            self.say(" ---> Using cache")
        elif event.kind == "warning":
            self.say(f"[Warning] {event.text}")

    def say(self, line: str) -> None:
        """One line."""
        self._tell({"stream": f"{line}\n"})


def _line(step: Vertex) -> str:
    if not step.position:
        return ""
    instruction = step.name.partition("] ")[2] or step.name
    return f"Step {step.position}/{step.total} : {instruction}"


def failure_message(text: str) -> dict[str, Any]:
    """The last message of a build that failed."""
    found = _FAILED.search(text)
    detail: dict[str, Any] = {"message": text}
    if found is not None:
        # the words that programs look for
        text = f"The command '{found['command']}' returned a non-zero code: {found['code']}"
        detail = {"code": int(found["code"]), "message": text}
    return {"errorDetail": detail, "error": text}
