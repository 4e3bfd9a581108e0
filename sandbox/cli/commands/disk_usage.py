"""`sandbox system df`: what the store takes, by kind and, with `-v`, by object."""

from __future__ import annotations

import time

from sandbox.cli.command import Command, Invocation
from sandbox.cli.flags import option
from sandbox.cli.output.listings import print_listing
from sandbox.cli.output.table import go_json, render_table
from sandbox.humane import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.cli.command import Context
    from sandbox.cli.output.table import Row
    from sandbox.upkeep.usage import Share, Usage

_HEADERS = {
    "Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE",
}  # fmt: skip
_IMAGES = {
    "REPOSITORY": "Repository", "TAG": "Tag", "IMAGE ID": "ID", "CREATED": "CreatedSince", "SIZE": "Size",
    "SHARED SIZE": "SharedSize", "UNIQUE SIZE": "UniqueSize", "CONTAINERS": "Containers",
}  # fmt: skip
_CONTAINERS = {
    "CONTAINER ID": "ID", "IMAGE": "Image", "COMMAND": "Command", "LOCAL VOLUMES": "LocalVolumes", "SIZE": "Size",
    "CREATED": "RunningFor", "STATUS": "Status", "NAMES": "Names",
}  # fmt: skip
_VOLUMES = {"VOLUME NAME": "Name", "LINKS": "Links", "SIZE": "Size"}
_CACHE = {
    "CACHE ID": "ID", "CACHE TYPE": "CacheType", "SIZE": "Size", "CREATED": "CreatedSince",
    "LAST USED": "LastUsedSince", "USAGE": "UsageCount", "SHARED": "Shared",
}  # fmt: skip


def df(invocation: Invocation) -> int:
    """Print Docker's table of disk usage; with `-v` one for each kind, or what a template makes of all of them."""
    from sandbox.upkeep import operations

    context, format_text = invocation.context, invocation.text("format")
    usage = operations.usage(context.for_operations())
    if not invocation.flag("verbose"):
        rows = [_share_row(share) for share in usage.shares()]
        print_listing(context, _HEADERS, list(_HEADERS), rows, format_text)
    elif format_text is None or format_text.strip() in ("", "table"):
        _print_details(context, usage)
    else:
        _print_formatted(context, usage, format_text)
    return 0


def _share_row(share: Share) -> Row:
    return {
        "Type": share.kind,
        "TotalCount": str(share.total),
        "Active": str(share.active),
        "Size": human_size(share.size_bytes),
        "Reclaimable": _reclaimable(share),
    }


def _reclaimable(share: Share) -> str:
    text = human_size(share.reclaimable_bytes)
    if share.kind == "Build Cache" or not share.size_bytes:
        return text
    return f"{text} ({share.reclaimable_bytes * 100 // share.size_bytes}%)"


def _rows(context: Context, usage: Usage, *, truncate: bool) -> dict[str, list[Row]]:
    from sandbox.cli.disk_usage_rows import cache_row, container_use_row, image_rows, volume_use_row

    paths, now_ns = context.find_paths(), time.time_ns()
    return {
        "Images": [row for use in usage.images for row in image_rows(use, now_ns, truncate=truncate)],
        "Containers": [container_use_row(paths, use, truncate=truncate) for use in usage.containers],
        "Volumes": [volume_use_row(paths, use) for use in usage.volumes],
        "BuildCache": [cache_row(record, now_ns, truncate=truncate) for record in usage.cache],
    }


def _print_formatted(context: Context, usage: Usage, format_text: str) -> None:
    """One document of all rows: Docker's `json`, or a template over it. Raises TemplateParseError."""
    document: dict[str, Any] = {
        kind: [{name: field for name, field in sorted(row.items()) if isinstance(field, str)} for row in rows]
        for kind, rows in _rows(context, usage, truncate=False).items()
    }
    if format_text.strip() == "json":
        context.print_quoted(go_json(document))
        return
    from sandbox.go_template import STRUCTURES, TemplateError, parse_template, template_mend

    try:
        context.print_quoted(parse_template(format_text).render(document, shape=STRUCTURES))
    except TemplateError as error:
        error.mend = template_mend(error, format_text, document)
        raise


def _print_details(context: Context, usage: Usage) -> None:
    rows = _rows(context, usage, truncate=True)
    cached = f"Build cache usage: {human_size(usage.cache_bytes, 3)}"
    for title, kind, columns in (
        ("Images space usage:", "Images", _IMAGES),
        ("Containers space usage:", "Containers", _CONTAINERS),
        ("Local Volumes space usage:", "Volumes", _VOLUMES),
        (cached, "BuildCache", _CACHE),
    ):
        lines = [tuple(columns), *([str(row[name]) for name in columns.values()] for row in rows[kind])]
        end = "" if columns is _CACHE else "\n"
        context.print_quoted(f"{title}\n\n{render_table(lines).rstrip(chr(10))}{end}")


COMMANDS: tuple[Command, ...] = (
    Command(
        "system df",
        "Show disk usage",
        "[OPTIONS]",
        (
            option("--format", "text", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template", "string"),
            option("-v --verbose", "flag", "Show detailed information on space usage"),
        ),
        df,
        most=0,
        examples=("sandbox system df", "sandbox system df -v", "sandbox system df -v --format json"),
    ),
)
