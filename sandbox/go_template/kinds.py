"""What Go's types make of JSON: a mapping is a map or a structure, a null is a slice, a map or a pointer; each
prints and behaves in its own way.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any


class NullList(list):  # type: ignore[type-arg]  # it has no items
    """A slice that is nil: printed as one without items."""


class NullMap(dict):  # type: ignore[type-arg]  # it has no keys
    """A map that is nil: printed as one without keys."""


class NullPointer:
    """A pointer that is nil: `<nil>`; it has no fields."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "<nil>"


NULL_LIST, NULL_MAP, NULL_POINTER = NullList(), NullMap(), NullPointer()


class Structure(dict):  # type: ignore[type-arg]  # values of any kind
    """A mapping whose keys are fields: printed as their values, in the order of `order`, which has what stands for
    those that JSON leaves out.
    """

    order: Mapping[str, Any] = {}


#: fields that Docker's types call otherwise than its JSON: a template may say either
GO_NAMES: dict[str, str] = {
    "ID": "Id", "APIVersion": "ApiVersion", "DNS": "Dns", "DNSOptions": "DnsOptions", "DNSSearch": "DnsSearch",
    "NanoCPUs": "NanoCpus", "CPUShares": "CpuShares", "CPUPeriod": "CpuPeriod", "CPUQuota": "CpuQuota",
    "CPURealtimePeriod": "CpuRealtimePeriod", "CPURealtimeRuntime": "CpuRealtimeRuntime", "CPUCount": "CpuCount",
    "CPUPercent": "CpuPercent", "CPUCfsPeriod": "CpuCfsPeriod", "CPUCfsQuota": "CpuCfsQuota",
    "HTTPProxy": "HttpProxy", "HTTPSProxy": "HttpsProxy",
}  # fmt: skip


class Kinds:
    """What JSON is by its place (as `shapes` has places): mappings with keys of anybody's, and nulls that are maps or
    pointers; every other mapping is a structure, every other null a list. `fields` has those of structures of which
    JSON leaves out some, in order, and what they are then.
    """

    def __init__(
        self, maps: Collection[str], pointers: Collection[str], fields: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        self._maps = frozenset(maps)
        self._pointers = frozenset(pointers)
        self._fields = fields or {}

    def typed(self, value: Any, place: str = "") -> Any:
        """A copy of `value` in which each mapping and each null is of its kind."""
        if value is None:
            return NULL_POINTER if place in self._pointers else NULL_MAP if place in self._maps else NULL_LIST
        if isinstance(value, dict):
            head = f"{place}." if place else ""
            if place in self._maps:
                return {key: self.typed(item, f"{head}*") for key, item in value.items()}
            found = Structure((name, self.typed(item, f"{head}{name}")) for name, item in value.items())
            found.order = self._fields.get(place, value)
            return found
        if isinstance(value, list | tuple):
            return [self.typed(item, place) for item in value]
        return value


def untyped(value: Any) -> Any:
    """`value` as JSON has it, each null a null again."""
    if isinstance(value, NullList | NullMap | NullPointer):
        return None
    if isinstance(value, dict):
        return {key: untyped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [untyped(item) for item in value]
    return value
