"""How every `inspect` prints what it found: an array of JSON, compact JSON, or a template for each."""

from __future__ import annotations

import json

from sandbox.cli.output.inspect_maps import MAPS
from sandbox.errors import SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from sandbox.cli.command import Context, Invocation


def print_documents(context: Context, documents: Sequence[dict[str, Any]], format_text: str | None) -> int:
    """Print the documents; returns 0. Raises TemplateParseError for a template that cannot be read.

    Without a format it is an array, indented by four; `json` is the array on one line; anything else a Go template.
    Where a template fails on a document the others are printed all the same, and then TemplateError is raised.
    """
    for document in documents:
        for place in MAPS:
            _sort(document, place.split("."))
    if format_text is None or not format_text.strip():
        context.print_quoted(json.dumps(documents, indent=4, ensure_ascii=False))
    elif format_text.strip() == "json":
        context.print_quoted(json.dumps(documents, separators=(",", ":"), ensure_ascii=False))
    else:
        _print_each(context, documents, format_text)
    return 0


def _print_each(context: Context, documents: Sequence[dict[str, Any]], format_text: str) -> None:
    from sandbox.cli.command import render_error
    from sandbox.cli.output.inspect_shape import SHAPE, typed
    from sandbox.go_template import TemplateError, parse_template, template_mend

    failures: list[TemplateError] = []
    try:
        template = parse_template(format_text)
    except TemplateError as error:
        error.mend = template_mend(error, format_text, documents[0] if documents else ())
        raise
    for document in documents:
        try:
            context.print_quoted(template.render(typed(document), shape=SHAPE))
        except TemplateError as error:
            error.mend = template_mend(error, format_text, document)
            failures.append(error)
    if not documents:
        # Docker's buffer ends in a line break even where nothing is in it
        context.print("")
    if failures:
        for failure in failures[:-1]:
            context.note(render_error(failure))
        raise failures[-1]


def print_inspected(invocation: Invocation, inspect: Callable[[str], dict[str, Any]]) -> int:
    """Print what `inspect` returns for each argument, and then the errors; 1 if any was not found."""
    from sandbox.cli.command import render_error, with_meant_name

    documents, errors = [], []
    for name in invocation.arguments:
        try:
            documents.append(inspect(name))
        except SandboxError as error:
            errors.append(with_meant_name(invocation, error, (name,)))
    try:
        print_documents(invocation.context, documents, invocation.text("format"))
    finally:
        for failure in errors:
            invocation.context.note(render_error(failure))
    return 1 if errors else 0


def _sort(document: dict[str, Any], names: list[str]) -> None:
    """Put the keys of the map at `names` into the order in which Go writes maps."""
    value: object = document
    for name in names[:-1]:
        value = value.get(name) if isinstance(value, dict) else None
    found = value.get(names[-1]) if isinstance(value, dict) else None
    if isinstance(value, dict) and isinstance(found, dict):
        value[names[-1]] = dict(sorted(found.items()))
