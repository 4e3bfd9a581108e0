"""What a pull or a push tells, as the statuses of a step of a build."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.humane import short_digest

if TYPE_CHECKING:
    from sandbox.builder.progress.progress import StepReport


class ReportedProgress:
    """A Progress that speaks through a step; it is told bytes."""

    def __init__(self, report: StepReport) -> None:
        self._report = report

    def line(self, text: str) -> None:
        self._report.status(text)

    warning = line

    def layer(self, blob: str, status: str) -> None:
        self._report.status(f"{short_digest(blob)}: {status}")

    def layer_bytes(self, blob: str, received: int, size: int) -> None:
        self._report.status(f"layer {short_digest(blob)}", received, size)

    def layer_unpacked(self, blob: str, done: int, size: int) -> None:
        self._report.status(f"extracting {short_digest(blob)}", done, size)

    def close(self) -> None:
        """Nothing is left to say."""
