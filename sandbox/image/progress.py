"""What a person sees of a transfer: an interface, and the two ways that need nothing imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing import TextIO


class Progress(Protocol):
    """Told by `pull` and `load` what happens; the calls come from one task at a time."""

    def line(self, text: str) -> None:
        """A line of the story: what is pulled from where, digest, status."""

    def layer(self, blob: str, status: str) -> None:
        """A layer, named by its blob's digest, has entered a state: `Download complete`."""

    def layer_bytes(self, blob: str, received: int, size: int) -> None:
        """So much of a layer is there."""

    def close(self) -> None:
        """The story is over, well or not."""


class QuietProgress:
    """Says nothing."""

    def line(self, text: str) -> None:
        pass

    def layer(self, blob: str, status: str) -> None:
        pass

    def layer_bytes(self, blob: str, received: int, size: int) -> None:
        pass

    def close(self) -> None:
        pass


class PlainProgress:
    """One line for each change, as Docker writes where there is no terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def layer(self, blob: str, status: str) -> None:
        self.line(f"{short_digest(blob)}: {status}")

    def layer_bytes(self, blob: str, received: int, size: int) -> None:
        pass

    def close(self) -> None:
        pass


class TerminalProgress:
    """A bar for each layer on standard error, the story on standard output."""

    def __init__(self, stream: TextIO) -> None:
        # 70 ms of import: only where somebody watches
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
        from rich.progress import Progress as Bars

        self._stream = stream
        self._bars = Bars(
            TextColumn("{task.description}"),
            TextColumn("{task.fields[status]}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._tasks: dict[str, int] = {}
        self._bars.start()

    def line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def layer(self, blob: str, status: str) -> None:
        self._bars.update(self._task(blob), status=status)  # type: ignore[arg-type]

    def layer_bytes(self, blob: str, received: int, size: int) -> None:
        self._bars.update(self._task(blob), completed=received, total=size)  # type: ignore[arg-type]

    def close(self) -> None:
        self._bars.stop()

    def _task(self, blob: str) -> int:
        if blob not in self._tasks:
            self._tasks[blob] = self._bars.add_task(short_digest(blob), status="", total=None)
        return self._tasks[blob]


def short_digest(digest: str) -> str:
    """The twelve digits people know a layer by."""
    return digest.removeprefix("sha256:")[:12]
