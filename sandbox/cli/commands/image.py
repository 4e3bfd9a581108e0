"""`images`, `rmi`, `tag`, `image inspect`, `history`."""

from __future__ import annotations

import os
import time

from sandbox.cli.command import Command, each, render_error, with_meant_name
from sandbox.cli.flags import option
from sandbox.errors import SandboxError
from sandbox.humane import ago, created_at, ellipsis, human_size, local_time, short_id
from sandbox.image import operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.cli.output.table import Row
    from sandbox.image.listing import ImageLine, ListRequest

_SIZE_DIGITS = 3
_CREATED_BY_WIDTH = 45
_HEADERS = {
    "Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST", "ID": "IMAGE ID", "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT", "Size": "SIZE", "SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE",
    "VirtualSize": "VIRTUAL SIZE", "Containers": "CONTAINERS",
}  # fmt: skip
_RAW = (
    "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\n"
    "virtual_size: {{.Size}}\n"
)
_HISTORY_HEADERS = {
    "ID": "IMAGE", "CreatedSince": "CREATED", "CreatedAt": "CREATED AT", "CreatedBy": "CREATED BY", "Size": "SIZE",
    "Comment": "COMMENT",
}  # fmt: skip


def ls(invocation: Invocation) -> int:
    """Print the table of `docker images` as of version 28, which scripts read."""
    from sandbox.cli.output.listings import print_listing
    from sandbox.cli.output.own_formats import format_of
    from sandbox.image.listing import ListRequest

    context = invocation.context
    request = ListRequest(
        (*invocation.arguments, "")[0], invocation.texts("filter"), invocation.flag("digests"), invocation.flag("all")
    )
    if invocation.flag("tree"):
        return _print_tree(invocation, request)
    lines = operations.list_images(context.for_operations(), request)
    if invocation.flag("quiet") and not invocation.given("format"):
        for line in lines:
            context.print(line.image.id if invocation.flag("no-trunc") else short_id(line.image.id))
        return 0
    columns = ["Repository", "Tag", "Digest", "ID", "CreatedSince", "Size"]
    if not invocation.flag("digests"):
        columns.remove("Digest")
    now = time.time_ns()
    rows = [_row(line, now, full=invocation.flag("no-trunc")) for line in lines]
    form = format_of(invocation, "imagesFormat")
    if invocation.flag("digests") and form and form.startswith("table ") and "{{.Digest}}" not in form:
        form += "\t{{.Digest}}"
    print_listing(context, _HEADERS, columns, rows, form, raw=_RAW)
    return 0


def _row(line: ImageLine, now_ns: int, *, full: bool) -> Row:
    size = human_size(line.image.size_bytes, _SIZE_DIGITS)
    return {
        "Repository": line.repository,
        "Tag": line.tag,
        "Digest": line.digest,
        "ID": line.image.id if full else short_id(line.image.id),
        "CreatedSince": ago(line.image.created_ns, now_ns),
        "CreatedAt": created_at(line.image.created_ns),
        "Size": size,
        "SharedSize": "N/A",
        "UniqueSize": "N/A",
        "VirtualSize": size,
        "Containers": "N/A",
    }


def _print_tree(invocation: Invocation, request: ListRequest) -> int:
    from sandbox.cli.image_tree import tree_lines

    context = invocation.context
    images, width = operations.image_tree(context.for_operations(), request), 0
    if context.stdout.isatty():
        width = os.get_terminal_size(context.stdout.fileno()).columns
    for line in tree_lines(images, width):
        context.print(line)
    return 0


def rm(invocation: Invocation) -> int:
    """Print `Untagged:` and `Deleted:` lines. By force what is not there is told, and no failure."""
    from sandbox.errors import NotFoundError
    from sandbox.image.deletion import RemoveRequest

    context = invocation.context.for_operations()
    force = invocation.flag("force")
    request = RemoveRequest(force, not invocation.flag("no-prune"), invocation.text("platform") or "")

    def remove(text: str) -> str | None:
        try:
            removed = operations.remove(context, text, request)
        except NotFoundError as error:
            if not force:
                raise
            invocation.context.note(render_error(with_meant_name(invocation, error, (text,))))
            return None
        lines = [f"Untagged: {name}" for name in removed.untagged]
        lines += [f"Deleted: {digest}" for digest in removed.deleted]
        return "\n".join(lines) or None

    return each(invocation, remove)


def tag(invocation: Invocation) -> int:
    """Print nothing, as Docker does."""
    source, target = invocation.arguments
    operations.tag(invocation.context.for_operations(), source, target)
    return 0


def inspect(invocation: Invocation) -> int:
    """Print the documents of those found; 1 if any was not."""
    from sandbox.cli.output.inspect_output import print_documents

    if invocation.flag("raw"):
        return _inspect_raw(invocation)
    context = invocation.context
    where = context.for_operations()
    platform = invocation.text("platform")
    documents, errors = [], []
    for text in invocation.arguments:
        try:
            documents.append(operations.inspect(where, text, platform))
        except SandboxError as error:
            errors.append(with_meant_name(invocation, error, (text,)))
    print_documents(context, documents, invocation.text("format"))
    for failure in errors:
        context.note(render_error(failure))
    return 1 if errors else 0


def _inspect_raw(invocation: Invocation) -> int:
    from sandbox.image.manifests import operations as manifests

    where = invocation.context.for_operations()
    return each(invocation, lambda name: manifests.raw(where, name).decode())


def history(invocation: Invocation) -> int:
    """Print the table of `docker history`."""
    from sandbox.cli.output.listings import print_listing

    context = invocation.context
    entries = operations.history(context.for_operations(), invocation.arguments[0], invocation.text("platform"))
    full, human, now = invocation.flag("no-trunc"), invocation.flag("human"), time.time_ns()
    if invocation.flag("quiet") and not invocation.given("format"):
        for entry in entries:
            context.print(entry.image if full or entry.image.startswith("<") else short_id(entry.image))
        return 0
    rows: list[Row] = []
    for entry in entries:
        created_by = entry.created_by.replace("\t", " ")
        rows.append(
            {
                "ID": entry.image if full or entry.image.startswith("<") else short_id(entry.image),
                "CreatedSince": ago(entry.created_ns, now) if human else local_time(entry.created_ns),
                "CreatedAt": local_time(entry.created_ns),
                "CreatedBy": created_by if full else ellipsis(created_by, _CREATED_BY_WIDTH),
                "Size": human_size(entry.size_bytes, _SIZE_DIGITS) if human else str(entry.size_bytes),
                "Comment": entry.comment,
            }
        )
    columns = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")
    # Docker's title for times that are not told as ages
    headers = _HISTORY_HEADERS if human else {**_HISTORY_HEADERS, "CreatedSince": "CREATED AT"}
    print_listing(context, headers, columns, rows, invocation.text("format"))
    return 0


#: an image here is for one platform: with another one asked for it is not found, as with Docker's older store
PLATFORM = option("--platform", "text", "Only of an image for this platform", "os/arch")
_FORMAT_HELP = "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or TEMPLATE"

COMMANDS = (
    Command(
        "image ls",
        "List images",
        "[OPTIONS] [REPOSITORY[:TAG]]",
        (
            option("-a --all", "flag", "Show all images (default hides intermediate images)"),
            option("--digests", "flag", "Show digests"),
            option("-f --filter", "list", "Filter output based on conditions provided", "filter"),
            option("--format", "text", _FORMAT_HELP, "string"),
            option("--no-trunc", "flag", "Don't truncate output"),
            option("-q --quiet", "flag", "Only show image IDs"),
            option("--tree", "flag", "List multi-platform images as a tree"),
        ),
        ls,
        most=1,
        examples=("sandbox images", "sandbox images --filter dangling=true -q"),
    ),
    Command(
        "image rm",
        "Remove one or more images",
        "[OPTIONS] IMAGE [IMAGE...]",
        (
            option("-f --force", "flag", "Force removal of the image"),
            option("--no-prune", "flag", "Do not delete untagged parents"),
            PLATFORM,
        ),
        rm,
        least=1,
        examples=("sandbox rmi alpine",),
    ),
    Command(
        "image tag",
        "Create a tag that refers to an image",
        "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
        (),
        tag,
        least=2,
        most=2,
        examples=("sandbox tag alpine 127.0.0.1:5000/alpine:mine",),
    ),
    Command(
        "image inspect",
        "Display detailed information on images",
        "[OPTIONS] IMAGE [IMAGE...]",
        (
            option("-f --format", "text", "Format output using a custom template: 'json' or TEMPLATE", "string"),
            PLATFORM,
            option("--raw", "flag", "Show the manifest, or the index of several platforms, as the registry has it"),
        ),
        inspect,
        least=1,
        examples=("sandbox image inspect -f '{{.Config.Env}}' alpine",),
    ),
    Command(
        "image history",
        "Show the history of an image",
        "[OPTIONS] IMAGE",
        (
            option("--format", "text", _FORMAT_HELP, "string"),
            option("-H --human", "flag", "Print sizes and dates in human readable format", default=True),
            option("--no-trunc", "flag", "Don't truncate output"),
            PLATFORM,
            option("-q --quiet", "flag", "Only show image IDs"),
        ),
        history,
        least=1,
        most=1,
        examples=("sandbox history --no-trunc alpine",),
    ),
)
