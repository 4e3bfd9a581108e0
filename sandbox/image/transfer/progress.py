"""What a person sees of a transfer: an interface, the two ways without a terminal, and the choice of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sandbox.humane import short_digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO


class Progress(Protocol):
    """Told by `pull` and `load` what happens; the calls come from one task at a time."""

    def line(self, text: str) -> None:
        """A line of the story: what is pulled from where, digest, status."""

    def warning(self, text: str) -> None:
        """What did not come as it was meant to, which is told also where no story is wanted."""

    def layer(self, blob: str, status: str) -> None:
        """A layer, named by its blob's digest, has entered a state: `Download complete`."""

    def layer_bytes(self, blob: str, received: int, size: int) -> None:
        """So many bytes of a layer are there."""

    def layer_unpacked(self, blob: str, done: int, size: int) -> None:
        """So many bytes of a layer's archive have been unpacked."""

    def close(self) -> None:
        """The story is over, well or not."""


class QuietProgress:
    """Says nothing but warnings, where it is given a stream for them; bytes are told in vain."""

    def __init__(self, warnings: TextIO | None = None) -> None:
        self._warnings = warnings

    def line(self, text: str) -> None:
        pass

    def warning(self, text: str) -> None:
        if self._warnings is not None:
            self._warnings.write(text + "\n")
            self._warnings.flush()

    def layer(self, blob: str, status: str) -> None:
        pass

    def layer_bytes(self, blob: str, received: int, size: int) -> None:
        pass

    def layer_unpacked(self, blob: str, done: int, size: int) -> None:
        pass

    def close(self) -> None:
        pass


class PlainProgress:
    """One line for each change, as Docker writes where there is no terminal; bytes are told in vain."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    warning = line

    def layer(self, blob: str, status: str) -> None:
        self.line(f"{short_digest(blob)}: {status}")

    def layer_bytes(self, blob: str, received: int, size: int) -> None:
        pass

    def layer_unpacked(self, blob: str, done: int, size: int) -> None:
        pass

    def close(self) -> None:
        pass


class StoryProgress(PlainProgress):
    """The lines alone: no layers."""

    def layer(self, blob: str, status: str) -> None:
        pass


def choose_progress(
    stream: TextIO, screen: TextIO, env: Mapping[str, str], *, quiet: bool, layers: bool = True
) -> Progress:
    """The story on `stream`, with rows where `screen`, standard error, is a terminal; nothing but warnings when quiet.

    Without `layers` they have no lines of their own where there are no rows.
    """
    if quiet:
        return QuietProgress(screen)
    if screen.isatty() and env.get("TERM", "dumb") != "dumb":
        from sandbox.image.transfer.terminal_progress import TerminalProgress  # only where somebody watches

        return TerminalProgress(stream, screen)
    return PlainProgress(stream) if layers else StoryProgress(stream)
