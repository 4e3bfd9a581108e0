"""`sandbox system df`: what the store takes, by kind and, with `-v`, by object."""

from __future__ import annotations

import time

from sandbox.cli.command import Command, Invocation
from sandbox.cli.flags import option
from sandbox.cli.output.listings import print_listing
from sandbox.cli.output.table import render_table
from sandbox.errors import UsageError
from sandbox.humane import ago, human_size, short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandbox.builder.cache.cache_usage import CacheRecord
    from sandbox.paths import Paths
    from sandbox.upkeep.usage import Details, ImageUse, Share

_HEADERS = {
    "Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE",
}  # fmt: skip
_IMAGES = ("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS")
_CONTAINERS = ("CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES")
_VOLUMES = ("VOLUME NAME", "LINKS", "SIZE")
_CACHE = ("CACHE ID", "CACHE TYPE", "SIZE", "CREATED", "LAST USED", "USAGE", "SHARED")
_DIGITS = 3


def df(invocation: Invocation) -> int:
    """Print Docker's table of disk usage; with `-v` one for each kind."""
    from sandbox.upkeep.usage import measure

    paths = invocation.context.find_paths()
    format_text = invocation.text("format")
    if invocation.flag("verbose"):
        if format_text is not None:
            raise UsageError("--format cannot be combined with --verbose", mend="leave one of the two out")
        return _print_details(invocation, paths)
    rows = [
        {
            "Type": share.kind,
            "TotalCount": str(share.total),
            "Active": str(share.active),
            "Size": human_size(share.size_bytes),
            "Reclaimable": _reclaimable(share),
        }
        for share in measure(paths)
    ]
    print_listing(invocation.context, _HEADERS, list(_HEADERS), rows, format_text)
    return 0


def _reclaimable(share: Share) -> str:
    text = human_size(share.reclaimable_bytes)
    if share.kind == "Build Cache" or not share.size_bytes:
        return text
    return f"{text} ({share.reclaimable_bytes * 100 // share.size_bytes}%)"


def _print_details(invocation: Invocation, paths: Paths) -> int:
    from sandbox.builder.cache.cache_usage import freed_bytes, list_cache
    from sandbox.upkeep.usage import measure_each

    details, cache = measure_each(paths), list_cache(paths)
    now_ns = time.time_ns()
    volumes = [(volume.name, str(volume.links), human_size(volume.size_bytes, _DIGITS)) for volume in details.volumes]
    usage = human_size(freed_bytes(cache, cache), _DIGITS)
    for title, header, rows in (
        ("Images space usage:", _IMAGES, [row for use in details.images for row in _image_rows(use, now_ns)]),
        ("Containers space usage:", _CONTAINERS, list(_container_rows(paths, details))),
        ("Local Volumes space usage:", _VOLUMES, volumes),
        (f"Build cache usage: {usage}", _CACHE, [_cache_row(record, now_ns) for record in cache]),
    ):
        text = render_table([header, *rows]).rstrip("\n")
        end = "" if header is _CACHE else "\n"
        invocation.context.print_quoted(f"{title}\n\n{text}{end}")
    return 0


def _image_rows(use: ImageUse, now_ns: int) -> Iterator[Sequence[str]]:
    for name in use.names or (None,):
        yield (
            name.familiar_repository if name else "<none>",
            name.tag if name else "<none>",
            short_id(use.record.id),
            ago(use.record.created_ns, now_ns),
            human_size(use.shared_bytes + use.own_bytes, _DIGITS),
            human_size(use.shared_bytes, _DIGITS),
            human_size(use.own_bytes, _DIGITS),
            str(use.containers),
        )


def _container_rows(paths: Paths, details: Details) -> Iterator[Sequence[str]]:
    from sandbox.cli.container_rows import RowOptions, container_row
    from sandbox.container.view.sizes import container_sizes

    for container in details.containers:
        row = container_row(paths, container, RowOptions())
        size = human_size(container_sizes(paths, container).written_bytes, _DIGITS)
        shown = {**row, "Size": size}
        names = ("ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names")
        yield tuple(str(shown[name]) for name in names)


def _cache_row(record: CacheRecord, now_ns: int) -> Sequence[str]:
    return (
        record.id[:12],
        record.kind,
        human_size(record.size_bytes, _DIGITS),
        ago(record.created_ns, now_ns),
        ago(record.used_ns, now_ns),
        str(record.uses),
        str(record.shared).lower(),
    )


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
        examples=("sandbox system df", "sandbox system df -v"),
    ),
)
