"""The table of docs/benchmarks.md: medians, spread, ratios and what was to be reached."""

from __future__ import annotations

import os
import platform
import statistics
import time
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: what stands between these is written by the benchmark; the rest of the page is written by hand
_BEGIN, _END = "<!-- measured: written by benchmarks/run -->", "<!-- end of measured -->"
_UNITS = {"ms": 1e3, "s": 1.0, "MB": 1e-6}


class Row(NamedTuple):
    """One piece of work; `taken` holds seconds or bytes by engine. To reach: a ratio to podman, or a `limit`."""

    work: str
    unit: Literal["ms", "s", "MB"]
    taken: dict[str, list[float]]
    ratio: float | None = None
    limit: float | None = None

    def cell(self, engine: str) -> str:
        values = self.taken.get(engine)
        if not values:
            return "–"
        factor = _UNITS[self.unit]
        digits = 0 if self.unit == "ms" else 1
        text = f"{statistics.median(values) * factor:.{digits}f} {self.unit}"
        if len(values) > 1:
            text += f" ({min(values) * factor:.{digits}f}–{max(values) * factor:.{digits}f}, n={len(values)})"
        return text

    def measured_ratio(self) -> float | None:
        ours, theirs = self.taken.get("sandbox"), self.taken.get("podman")
        return statistics.median(ours) / statistics.median(theirs) if ours and theirs else None

    def goal(self) -> str:
        if self.limit is not None:
            return f"<= {self.limit * _UNITS[self.unit]:.0f} {self.unit}"
        return f"<= {self.ratio} of podman"

    def is_reached(self) -> bool | None:
        """None where it cannot be told."""
        ours, ratio = self.taken.get("sandbox"), self.measured_ratio()
        if self.limit is not None:
            return statistics.median(ours) <= self.limit if ours else None
        return None if ratio is None or self.ratio is None else ratio <= self.ratio


def table(rows: Sequence[Row]) -> str:
    lines = ["| Work | sandbox | podman | ratio | to reach | |", "|---|---|---|---|---|---|"]
    for row in rows:
        ratio = row.measured_ratio()
        verdict = {True: "reached", False: "missed", None: ""}[row.is_reached()]
        shown = "–" if ratio is None else f"{ratio:.2f}"
        lines.append(
            f"| {row.work} | {row.cell('sandbox')} | {row.cell('podman')} | {shown} | {row.goal()} | {verdict} |"
        )
    return "\n".join(lines)


def write_page(page: Path, rows: Sequence[Row], versions: Sequence[str], notes: Sequence[str]) -> None:
    """Put the table into `page`, which keeps what was written by hand; print it as well."""
    machine = (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}; {'; '.join(versions)}. Load average at the end {os.getloadavg()[1]:.1f} "
        "(1 to 2 is this benchmark alone). Medians (least–most, number of runs)."
    )
    replace_measured(page, (_BEGIN, _END), "\n\n".join([machine, table(rows), *(f"- {note}" for note in notes)]))


def replace_measured(page: Path, marks: tuple[str, str], measured: str) -> None:
    """Put `measured` between the marks of `page`, at its end where it has none; print it as well."""
    begin, end = marks
    text = page.read_text() if page.exists() else "# Benchmarks\n"
    if begin not in text:
        text = f"{text.rstrip()}\n\n{begin}\n{end}\n"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    measured = f"{begin}\n\n{measured}\n\n{end}"
    page.write_text(before + measured + after)
    print(measured)
