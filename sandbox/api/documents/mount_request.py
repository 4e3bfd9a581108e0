"""Docker's Mount as a MountRequest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.api.documents.reading import flag, number, pairs, table, text
from sandbox.api.errors import ApiError
from sandbox.values import MountRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS = ("bind", "volume", "tmpfs")
#: Go's os.FileMode has bits of its own above those of the file system
_MOST_MODE = 0xFFFFFFFF


def mount_of(document: Mapping[str, Any]) -> MountRequest:
    """The mount that is asked for. Raises ApiError."""
    kind = text(document, "Type")
    if kind not in _KINDS:
        raise ApiError(400, f'invalid mount config for type "{kind}": mount type unknown')
    bind, volume, tmpfs = (table(document, f"{each}Options") for each in ("Bind", "Volume", "Tmpfs"))
    if number(tmpfs, "SizeBytes") < 0 or not 0 <= number(tmpfs, "Mode") <= _MOST_MODE:
        raise ApiError(400, f'invalid mount config for type "{kind}": no size or mode that a tmpfs can have')
    driver = table(volume, "DriverConfig")
    return MountRequest(
        kind,
        text(document, "Source"),
        text(document, "Target"),
        flag(document, "ReadOnly"),
        text(bind, "Propagation"),
        _recursion(bind),
        flag(bind, "CreateMountpoint"),
        text(bind, "IdMap"),
        flag(volume, "NoCopy"),
        pairs(volume, "Labels"),
        text(driver, "Name"),
        pairs(driver, "Options"),
        text(volume, "Subpath"),
        number(tmpfs, "SizeBytes"),
        number(tmpfs, "Mode") or None,
    )


def _recursion(bind: Mapping[str, Any]) -> str:
    if flag(bind, "NonRecursive"):
        return "disabled"
    if flag(bind, "ReadOnlyNonRecursive"):
        return "writable"
    return "readonly" if flag(bind, "ReadOnlyForceRecursive") else ""
