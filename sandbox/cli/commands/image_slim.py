"""`image slim-report`."""

from __future__ import annotations

import json

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.errors import UsageError
from sandbox.humane import human_size, short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.cli.command import Invocation
    from sandbox.image.slim_report import Part, SlimReport

_MOST_DIRECTORIES = 20


def slim_report(invocation: Invocation) -> int:
    """Print what an image could leave out, by layer and by directory."""
    from sandbox.cli.output.table import render_table
    from sandbox.image import operations

    context = invocation.context
    texts = invocation.texts("trace")
    if not texts:
        raise UsageError("--trace FILE is missing", mend="sandbox run --trace-files FILE IMAGE makes one")
    form = invocation.text("format") or "table"
    if form not in ("table", "json"):
        raise UsageError(f"unknown format {form!r}", mend="use --format table or json")
    traces = [context.cwd.absolute(text) for text in texts]
    report = operations.slim_report(context.for_operations(), invocation.arguments[0], traces)
    if form == "json":
        context.print(json.dumps(_document(report)))
        return 0
    rows = [("LAYER", "FILES", "SIZE", "UNUSED FILES", "UNUSED")]
    rows += [_row(short_id(part.name), part) for part in report.layers]
    context.print(render_table(rows).rstrip("\n"))
    rows = [("DIRECTORY", "FILES", "SIZE", "UNUSED FILES", "UNUSED")]
    rows += [_row(part.name, part) for part in report.directories[:_MOST_DIRECTORIES] if part.unused_files]
    context.print("\n" + render_table(rows).rstrip("\n"))
    return 0


def _row(name: str, part: Part) -> tuple[str, str, str, str, str]:
    return name, str(part.files), human_size(part.bytes, 3), str(part.unused_files), human_size(part.unused_bytes, 3)


def _document(report: SlimReport) -> dict[str, Any]:  # Any: JSON
    return {
        "Layers": [_fields("ChainID", part) for part in report.layers],
        "Directories": [_fields("Directory", part) for part in report.directories],
    }


def _fields(key: str, part: Part) -> dict[str, Any]:  # Any: JSON
    return {
        key: part.name,
        "Files": part.files,
        "Bytes": part.bytes,
        "UnusedFiles": part.unused_files,
        "UsedBytes": part.bytes - part.unused_bytes,
        "UnusedBytes": part.unused_bytes,
    }


COMMANDS = (
    Command(
        "image slim-report",
        "Show what a smaller image could leave out",
        "[OPTIONS] IMAGE",
        (
            option("--trace", "list", "What was read, of `run --trace-files` (several: of several runs)", "file"),
            option("--format", "text", "Format of the output (table, json)", "string"),
        ),
        slim_report,
        least=1,
        most=1,
        examples=("sandbox run --rm --trace-files trace app; sandbox image slim-report app --trace trace",),
    ),
)
