"""Listings as commands print them: a table, JSON, or a template for each row."""

from __future__ import annotations

from sandbox.cli.output.table import render_table, row_as_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.cli.command import Context
    from sandbox.cli.output.table import Field, Row


def print_listing(
    context: Context, headers: Mapping[str, str], columns: Sequence[str], rows: Sequence[Row], format_text: str | None,
    *, raw: str = "",
) -> None:  # fmt: skip
    """Print `rows` as `--format` asks: a table of `columns`, `json`, `table TEMPLATE` or a Go template.

    `headers` names every field that a template may use, with its column's title. `raw` is the template that Docker
    has under that name. Raises SandboxError for a template that cannot be read or names an unknown field.
    """
    if format_text == "raw":
        format_text = raw or None
    if format_text is None or format_text.strip() in ("", "table"):
        lines = [[headers[name] for name in columns], *([_text(row[name]) for name in columns] for row in rows)]
        context.stdout.write(render_table(lines))
    elif format_text.strip() == "json":
        for row in rows:
            context.print_quoted(row_as_json(row))
    else:
        # the template language is not on the hot path of a plain `ps`
        from sandbox.cli.output.template_listing import print_template_listing

        print_template_listing(context, headers, rows, format_text)


def _text(field: Field) -> str:
    return field if isinstance(field, str) else ""
