"""`--filter` of the prunes: `until`, `label` and `label!`."""

from __future__ import annotations

from sandbox.grammar.filters import FilterError, Filters, parse_filters, parse_time
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PRUNE_KEYS = ("until", "label", "label!")


class PruneFilters(NamedTuple):
    """What may go. `before_ns` is None where it may be of any age."""

    filters: Filters
    before_ns: int | None = None

    @property
    def by_label(self) -> bool:
        return self.filters.given("label") or self.filters.given("label!")

    def accept(self, created_ns: int, labels: Mapping[str, str]) -> bool:
        """Whether what was made at `created_ns`, ns since 1970, may go."""
        return (self.before_ns is None or created_ns < self.before_ns) and self.accept_labels(labels)

    def accept_labels(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels are as asked for, whatever the age."""
        return self.filters.match_labels(labels) and self.filters.match_labels(labels, "label!")


def read_prune_filters(texts: Iterable[str], now_ns: int, further: tuple[str, ...] = ()) -> PruneFilters:
    """The filters in `texts`; `further` are keys that one prune knows besides. Raises UsageError, FilterError."""
    filters = parse_filters(texts, (*further, *PRUNE_KEYS))
    bounds = filters.of("until")
    if len(bounds) > 1:
        raise FilterError("more than one until filter specified", mend=f"--filter until={bounds[0]}")
    return PruneFilters(filters, parse_time(bounds[0], now_ns) if bounds else None)
