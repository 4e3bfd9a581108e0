"""How every `inspect` prints what it found: an array of JSON, compact JSON, or a template for each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.cli.command import Context


def print_documents(context: Context, documents: Sequence[dict[str, Any]], format_text: str | None) -> int:
    """Print the documents; returns 0. Raises TemplateParseError for a template that cannot be read.

    Without a format it is an array, indented by four; `json` is the array on one line; anything else a Go template.
    """
    if format_text is None or not format_text.strip():
        context.print_quoted(json.dumps(documents, indent=4, ensure_ascii=False))
    elif format_text.strip() == "json":
        context.print_quoted(json.dumps(documents, separators=(",", ":"), ensure_ascii=False))
    else:
        from sandbox.cli.go_template import TemplateError, parse_template, template_mend

        try:
            template = parse_template(format_text)
            for document in documents:
                context.print_quoted(template.render(document))
        except TemplateError as error:
            error.mend = template_mend(error, format_text, documents[0] if documents else ())
            raise
    return 0
