"""Listings: the columns of Docker's tabwriter, `--format` and `--quiet`, over rows given as mappings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.humane import display_width, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sandbox.cli.command import Context

    #: a field's text, or a function for a field that takes an argument (`{{.Label "name"}}`)
    Field = str | Callable[[str], str]
    Row = Mapping[str, Field]

_LEAST_WIDTH = 10
_PADDING = 3


def render_table(rows: Iterable[Sequence[str]]) -> str:
    """Lines with aligned columns, each ending in a newline; the last column is not padded.

    Control characters are escaped: a cell may hold what a hostile image says of itself.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    # as Go's tabwriter has it, the last cell of a line belongs to no column
    count = max((len(row) for row in cells), default=0)
    widths = [
        max([_LEAST_WIDTH, *(display_width(row[index]) + _PADDING for row in cells if len(row) > index + 1)])
        for index in range(count)
    ]
    return "".join(_line(row, widths) for row in cells)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell + " " * (width - display_width(cell)) for cell, width in zip(row[:-1], widths, strict=False)]
    return "".join(padded) + (row[-1] if row else "") + "\n"


def print_listing(
    context: Context, headers: Mapping[str, str], columns: Sequence[str], rows: Sequence[Row], format_text: str | None
) -> None:
    """Print `rows` as `--format` asks: a table of `columns`, `json`, `table TEMPLATE` or a Go template.

    `headers` names every field that a template may use, with its column's title. Raises SandboxError for a template
    that cannot be read or names an unknown field.
    """
    if format_text is None or format_text.strip() in ("", "table"):
        lines = [[headers[name] for name in columns], *([_text(row[name]) for name in columns] for row in rows)]
        context.stdout.write(render_table(lines))
    elif format_text.strip() == "json":
        import json

        for row in rows:
            plain = {name: field for name, field in sorted(row.items()) if isinstance(field, str)}
            context.print(json.dumps(plain, ensure_ascii=False, separators=(",", ":")))
    else:
        # the template language is not on the hot path of a plain `ps`
        from sandbox.cli.output.template_listing import print_template_listing

        print_template_listing(context, headers, rows, format_text)


def _text(field: Field) -> str:
    return field if isinstance(field, str) else ""
