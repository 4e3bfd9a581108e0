"""Tables in the columns of Docker's tabwriter (Go's text/tabwriter), what a row of a listing is, and its JSON."""

from __future__ import annotations

from sandbox.humane import display_width, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    #: a field's text, or a function for a field that takes an argument (`{{.Label "name"}}`)
    Field = str | Callable[[str], str]
    Row = Mapping[str, Field]

_LEAST_WIDTH = 10
_PADDING = 3
#: as Go's json.Marshal has them
_ESCAPED = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def render_table(rows: Iterable[Sequence[str]], *, least_width: int = _LEAST_WIDTH, padding: int = _PADDING) -> str:
    """Lines with aligned columns, each ending in a newline; the last column is not padded.

    Control characters are escaped: a cell may hold what a hostile image says of itself.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    # as Go's tabwriter has it, the last cell of a line belongs to no column
    count = max((len(row) for row in cells), default=0)
    widths = [
        max([least_width, *(display_width(row[index]) + padding for row in cells if len(row) > index + 1)])
        for index in range(count)
    ]
    return "".join(_line(row, widths) for row in cells)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell + " " * (width - display_width(cell)) for cell, width in zip(row[:-1], widths, strict=False)]
    return "".join(padded) + (row[-1] if row else "") + "\n"


def row_as_json(row: Row) -> str:
    """A row as Docker's formatter writes it: keys sorted, and what means something to HTML escaped."""
    return go_json({name: field for name, field in sorted(row.items()) if isinstance(field, str)})


def go_json(value: object) -> str:
    """JSON as Go's json.Marshal writes it."""
    import json

    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPED)
