"""Which fields the documents of `info` and `version` may have, as Docker's types say it."""

from __future__ import annotations

from sandbox.go_template import Shape
from sandbox.go_template.kinds import NULL_LIST, NULL_POINTER, Kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: mappings with keys of anybody's
_MAPS = frozenset(("Runtimes", "RegistryConfig.IndexConfigs", "Server.Components.Details"))
_KINDS = Kinds(_MAPS, ())
SHAPE = Shape(_MAPS, {"Client.Platform": NULL_POINTER, "DefaultAddressPools": NULL_LIST})


def typed(document: dict[str, Any]) -> dict[str, Any]:
    """The document as a template sees it."""
    found: dict[str, Any] = _KINDS.typed(document)
    return found
