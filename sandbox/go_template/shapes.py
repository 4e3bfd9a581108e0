"""Which fields data may have: Go knows it from its types, JSON-plain data does not.

A place in the data is the dotted names on the way to it; items of lists add nothing to it, keys of a map add `*`.
"""

from __future__ import annotations

from sandbox.go_template.printing import NO_VALUE
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Shape(NamedTuple):
    """Every mapping is a structure, whose fields are those it has, besides what is named here."""

    #: places of mappings that may have any key: one that is lacking is no mistake
    maps: frozenset[str] = frozenset()
    #: places of fields that are left out where there is nothing to tell, and their values then
    left_out: Mapping[str, Any] = {}

    def lacking(self, data: Any, mapping: dict[str, Any], name: str) -> Any:
        """What `mapping`, somewhere in `data`, has as the field `name`, which it lacks. Raises KeyError."""
        place = self._place(data, mapping, "")
        # what a function of the template made has no place
        if place is None or place in self.maps:
            return NO_VALUE
        return self.left_out[_below(place, name)]

    def _place(self, data: Any, wanted: dict[str, Any], place: str) -> str | None:
        if data is wanted:
            return place
        if isinstance(data, dict):
            is_map = place in self.maps
            inner = ((value, _below(place, "*" if is_map else key)) for key, value in data.items())
        elif isinstance(data, list | tuple):
            inner = ((value, place) for value in data)
        else:
            return None
        return next((found for value, at in inner if (found := self._place(value, wanted, at)) is not None), None)


#: rows of a listing, and documents without maps
STRUCTURES = Shape()


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
