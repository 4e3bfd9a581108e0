"""The overlay table of docs/benchmarks.md: medians, ratios of paired runs and their geometric mean."""

from __future__ import annotations

import os
import platform
import statistics
import time
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.overlay_rows import ROWS
from benchmarks.report import replace_measured

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_OURS, _PEER = "sandbox-overlay", "fuse-overlayfs"
_MARKS = ("<!-- measured: written by benchmarks/run overlay -->", "<!-- end of measured overlay -->")
_MARKS_APART = (
    "<!-- measured: written by benchmarks/run overlay --apart -->",
    "<!-- end of measured overlay apart -->",
)


class Measured(NamedTuple):
    """Seconds by row and file system, one for each round, and bytes of the server with 20,000 files."""

    seconds: dict[str, dict[str, list[float]]]
    memory: dict[str, float]


def paired_ratio(taken: dict[str, list[float]]) -> float | None:
    """The median over rounds of ours to fuse-overlayfs's in the same round: what slows a round slows both."""
    ours, theirs = taken.get(_OURS), taken.get(_PEER)
    if not ours or not theirs:
        return None
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def geometric_mean(ratios: Sequence[float]) -> float:
    return statistics.geometric_mean(ratios)


def overlay_table(measured: Measured) -> str:
    names = list(next(iter(measured.seconds.values())))
    lines = [f"| Work | {' | '.join(names)} | ratio |", "|---|" + "---|" * (len(names) + 1)]
    ratios = []
    for row, taken in measured.seconds.items():
        ratio = paired_ratio(taken)
        if ratio is not None:
            ratios.append(ratio)
        cells = [_cell(taken[name]) for name in names]
        lines.append(f"| {ROWS[row].title} | {' | '.join(cells)} | {'–' if ratio is None else f'{ratio:.2f}'} |")
    if ratios:
        lines.append(f"| **geometric mean** |{' |' * len(names)} **{geometric_mean(ratios):.2f}** |")
    memory = [f"{value / 1e6:.0f} MB" if (value := measured.memory.get(name)) else "–" for name in names]
    lines.append(f"| memory (PSS) of the server, 20,000 files walked | {' | '.join(memory)} | |")
    return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3f} s ({min(values):.3f}–{max(values):.3f})" if values else "–"


def write_overlay_page(page: Path, measured: Measured, versions: Sequence[str], *, apart: bool) -> None:
    """Put the table into its place in `page`, which keeps what was written by hand; print it as well."""
    rounds = max(len(values) for taken in measured.seconds.values() for values in taken.values())
    machine = (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}{''.join(f'; {version}' for version in versions)}. Load average at the end "
        f"{os.getloadavg()[1]:.1f}. Medians of {rounds} rounds (least–most); the ratio is sandbox-overlay to "
        "fuse-overlayfs, the median of paired rounds."
    )
    replace_measured(page, _MARKS_APART if apart else _MARKS, f"{machine}\n\n{overlay_table(measured)}")
