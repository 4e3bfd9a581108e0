"""What happens to an image on its way, in the messages that Docker's clients draw their bars from."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sandbox.humane import human_size, short_digest

if TYPE_CHECKING:
    from collections.abc import Callable

    Tell = Callable[[dict[str, Any]], None]

#: the bytes of one layer are told at most so often
_EVERY_SECONDS = 0.1
_WIDTH = 50
#: what clients say themselves
_OF_CLIENTS = ("Using default tag:",)


class ToldProgress:
    """Tells each thing as a message."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._told: dict[str, float] = {}
        #: where from is told with what follows: what fails before that is no story yet
        self._held: dict[str, Any] | None = None

    def line(self, text: str) -> None:
        """A line of the story."""
        if text.startswith(_OF_CLIENTS):
            return
        head, colon, rest = text.partition(": ")
        # "latest: Pulling from …", "latest: digest: …"
        if colon and rest.startswith("Pulling from "):
            self._held = {"status": rest, "id": head}
        else:
            self._say({"status": text})

    def warning(self, text: str) -> None:
        """What did not come as it was meant to."""
        self._say({"status": text})

    def layer(self, blob: str, status: str) -> None:
        """A layer has entered a state."""
        self._say({"status": status, "progressDetail": {}, "id": short_digest(blob)})

    def layer_bytes(self, blob: str, received: int, size: int) -> None:
        """So many bytes of a layer are there."""
        self._tell_bytes("Downloading", blob, received, size)

    def layer_unpacked(self, blob: str, done: int, size: int) -> None:
        """So many bytes of a layer's archive have been unpacked."""
        self._tell_bytes("Extracting", blob, done, size)

    def close(self) -> None:
        """The story is over."""

    def _say(self, message: dict[str, Any]) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._tell(held)
        self._tell(message)

    def _tell_bytes(self, status: str, blob: str, done: int, size: int) -> None:
        now = time.monotonic()
        if now - self._told.get(blob, 0.0) < _EVERY_SECONDS:
            return
        self._told[blob] = now
        detail = {"current": done, "total": size}
        self._say({"status": status, "progressDetail": detail, "progress": _bar(done, size), "id": short_digest(blob)})


def _bar(done: int, size: int) -> str:
    if size <= 0:
        return human_size(done)
    filled = min(_WIDTH, done * _WIDTH // size)
    arrow = "=" * filled + (">" if filled < _WIDTH else "")
    return f"[{arrow:<{_WIDTH}}] {human_size(done):>8}/{human_size(size)}"
