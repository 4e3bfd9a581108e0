"""Compose's second way of printing a listing: a table with wide columns, or one JSON array."""

from __future__ import annotations

from sandbox.cli.output.table import render_table
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sandbox.cli.command import Context

_LEAST_WIDTH = 20


def print_section(
    context: Context, titles: Sequence[str], rows: Iterable[Sequence[str]], documents: Sequence[Mapping[str, object]],
    form: str,
) -> None:  # fmt: skip
    """Print `rows` below `titles`, or where the form is `json` the documents that say the same. Raises UsageError."""
    if form in ("", "table", "pretty"):
        context.stdout.write(render_table([titles, *rows], least_width=_LEAST_WIDTH))
    elif form == "json":
        import json

        context.print_quoted(json.dumps(documents, ensure_ascii=False, separators=(",", ":")))
    else:
        raise UsageError(f'format value "{form}" could not be parsed', mend="--format table, or --format json")
