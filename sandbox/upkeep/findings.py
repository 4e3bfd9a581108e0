"""What a check of the store found, as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal[
    "database",
    "blob",
    "layer",
    "image",
    "container",
    "volume",
    "network",
    "secret",
    "config",
    "build cache",
    "download",
    "stage",
    "build",
    "runtime",
    "process",
]


class Finding(NamedTuple):
    """One thing that is not as it should be.

    `leftover`: what a killed process leaves by design: it is in nobody's way, and may be taken up again. `repairable`:
    `--repair` mends it; `mend` is what a person must do besides, or instead.
    """

    kind: Kind
    name: str
    problem: str
    mend: str = ""
    leftover: bool = False
    repairable: bool = True
    repaired: bool = False


class Report(NamedTuple):
    """The findings, how many objects of each kind were looked at, and what could not be looked at, in words."""

    findings: tuple[Finding, ...]
    checked: dict[str, int]
    notes: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong any more; leftovers are not wrong."""
        return not problems_left(self.findings)


def problems_left(findings: Sequence[Finding]) -> list[Finding]:
    """What is wrong still."""
    return [finding for finding in findings if not finding.leftover and not finding.repaired]
