"""Names of capabilities as `--cap-add` and `--cap-drop` take them; which exist is known to `sandbox.runtime`."""

from __future__ import annotations

from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

ALL = "ALL"


def normalize_capability(text: str) -> str:
    """`CAP_…` in upper case, or `ALL`."""
    name = text.strip().upper()
    return name if name == ALL or name.startswith("CAP_") else f"CAP_{name}"


def check_capability(text: str) -> None:
    """Raise UsageError for the name of a capability that there is none of."""
    from sandbox.runtime.capabilities import CAPABILITIES

    name = normalize_capability(text)
    if name not in (ALL, f"CAP_{ALL}", *CAPABILITIES):
        raise UsageError(f"invalid CapAdd/CapDrop: unknown capability: {name!r}", mend="man 7 capabilities")


def normalize_capabilities(add: Iterable[str], drop: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What to add and what to drop, each sorted and once; ALL swallows the rest, and adding beats dropping."""
    added = {normalize_capability(text) for text in add}
    dropped = {normalize_capability(text) for text in drop}
    if ALL in dropped:
        dropped = {ALL}
    if ALL in added:
        added = {ALL}
    return tuple(sorted(added)), tuple(sorted(dropped - added))
