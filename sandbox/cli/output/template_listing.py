"""`--format TEMPLATE` and `--format 'table TEMPLATE'` of listings."""

from __future__ import annotations

from sandbox.cli.output.table import render_table, row_as_json
from sandbox.go_template import STRUCTURES, TemplateError, UnknownFieldError, parse_template, template_mend
from sandbox.go_template.functions import FUNCTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from sandbox.cli.command import Context
    from sandbox.cli.output.table import Row
    from sandbox.go_template import Template


def print_template_listing(context: Context, headers: Mapping[str, str], rows: Sequence[Row], text: str) -> None:
    """Print every row through the template `text`; with `table ` before it, in columns under their titles.

    Raises TemplateError, status 1 for listings.
    """
    is_table = text.split(None, 1)[0] == "table"
    # Docker's formatter reads these two escapes in the template's own text
    source = (
        (text.strip().removeprefix("table").strip() if is_table else text).replace("\\t", "\t").replace("\\n", "\n")
    )
    try:
        template = parse_template(source)
        rendered = [_render(template, dict(row)) for row in rows]
        title = "" if rows and not is_table else _title(template, headers, is_table=is_table)
    except TemplateError as error:
        # to Docker a template of a listing that cannot be read is a failure like any other
        mend = template_mend(error, text, headers)
        raise TemplateError(error.message, cause=error.cause, mend=mend) from error
    if not is_table:
        for line in rendered:
            context.print_quoted(line)
        return
    context.stdout.write(render_table([line.split("\t") for line in (title, *rendered)]))


def _render(template: Template, row: dict[str, Any]) -> str:
    as_json = FUNCTIONS["json"]
    functions = {**FUNCTIONS, "json": lambda value: row_as_json(row) if value is row else as_json(value)}
    return template.render(row, shape=STRUCTURES, functions=functions)


def _title(template: Template, headers: Mapping[str, str], *, is_table: bool) -> str:
    """The line of titles, which without a table is asked for only to know that every field is there: no row may be."""
    try:
        return template.render(_header_row(headers), shape=STRUCTURES, functions=_HEADER_FUNCTIONS)
    except UnknownFieldError:
        raise
    except TemplateError:
        # titles are texts, which a template may not be able to index or compare as it does what stands in the rows
        if is_table:
            raise
        return ""


def _header_row(headers: Mapping[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = dict(headers)
    if "Label" in row:
        # a column of one label bears the label's last part: com.example.my-stage -> my stage
        row["Label"] = lambda name: str(name).rpartition(".")[2].translate(_BLANKS)
    return row


_BLANKS = str.maketrans("-_", "  ")


def _first(value: Any, *_rest: Any) -> Any:
    return value


def _header_functions() -> dict[str, Callable[..., Any]]:
    kept = ("json", "split", "join", "title", "lower", "upper", "truncate")
    return {**FUNCTIONS, **dict.fromkeys(kept, _first)}


#: a title goes through the same template as its column, but must stay as it is
_HEADER_FUNCTIONS = _header_functions()
