"""`sandbox volume`: volumes made, listed, looked at and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.cli.command import Command, Invocation, each
from sandbox.cli.flags import option
from sandbox.errors import NotFoundError, SandboxError, UsageError

if TYPE_CHECKING:
    from sandbox.cli.output.table import Row
    from sandbox.grammar.filters import Filters
    from sandbox.paths import Paths
    from sandbox.volume.store import Volume

_HEADERS = {
    "Driver": "DRIVER", "Name": "VOLUME NAME", "Scope": "SCOPE", "Mountpoint": "MOUNTPOINT", "Labels": "LABELS",
    "Label": "", "Links": "LINKS", "Size": "SIZE", "Availability": "AVAILABILITY", "Group": "GROUP",
    "Status": "STATUS",
}  # fmt: skip
_DRIVER = "local"


def create(invocation: Invocation) -> int:
    """Print the name."""
    from sandbox.grammar.labels import read_labels
    from sandbox.state import open_state
    from sandbox.volume.store import create_volume

    driver = invocation.text("driver") or _DRIVER
    if driver != _DRIVER:
        raise UsageError(f"the volume driver {driver} is not there", mend="leave --driver out: volumes are directories")
    if invocation.texts("opt"):
        raise UsageError("--opt is not supported", mend="sandbox run --mount type=bind or type=tmpfs has such options")
    labels = read_labels((), invocation.texts("label"))
    paths = invocation.context.find_paths()
    with open_state(paths) as connection:
        name = create_volume(connection, paths, (*invocation.arguments, "")[0], labels)
    invocation.context.print(name)
    return 0


def list_all(invocation: Invocation) -> int:
    """Print Docker's table of volumes."""
    from sandbox.cli.output.table import print_listing
    from sandbox.grammar.filters import parse_filters
    from sandbox.state import open_state
    from sandbox.volume.store import list_volumes, users_of_volumes

    context = invocation.context
    paths = context.find_paths()
    filters = parse_filters(invocation.texts("filter"), ("dangling", "driver", "label", "name"))
    with open_state(paths, durable=False) as connection:
        users = users_of_volumes(connection) if filters.given("dangling") else {}
        volumes = [volume for volume in list_volumes(connection) if _fits(filters, volume, volume.name in users)]
    if invocation.flag("quiet") and not invocation.given("format"):
        for volume in volumes:
            context.print(volume.name)
        return 0
    rows = [_row(paths, volume) for volume in volumes]
    print_listing(context, _HEADERS, ("Driver", "Name"), rows, invocation.text("format"))
    return 0


def inspect(invocation: Invocation) -> int:
    """Print the documents of those found; 1 if any was not."""
    from sandbox.cli.command import render_error, with_meant_name
    from sandbox.cli.output.inspect_output import print_documents
    from sandbox.state import open_state
    from sandbox.volume.store import get_volume

    context = invocation.context
    paths = context.find_paths()
    documents, errors = [], []
    with open_state(paths, durable=False) as connection:
        for name in invocation.arguments:
            try:
                documents.append(volume_document(paths, get_volume(connection, name)))
            except SandboxError as error:
                errors.append(with_meant_name(invocation, error, (name,)))
    print_documents(context, documents, invocation.text("format"))
    for failure in errors:
        context.note(render_error(failure))
    return 1 if errors else 0


def remove(invocation: Invocation) -> int:
    """Print the name of each that went."""
    from sandbox.volume.store import remove_volume

    paths = invocation.context.find_paths()

    def remove_one(name: str) -> str | None:
        try:
            remove_volume(paths, name)
        except NotFoundError:
            if not invocation.flag("force"):
                raise
        return name

    return each(invocation, remove_one)


def volume_document(paths: Paths, volume: Volume) -> dict[str, Any]:
    """What `docker volume inspect` shows."""
    from sandbox.humane import rfc3339
    from sandbox.volume.volumes import volume_data

    return {
        "CreatedAt": rfc3339(volume.created_ns),
        "Driver": _DRIVER,
        "Labels": volume.labels or None,
        "Mountpoint": volume_data(paths, volume.name),
        "Name": volume.name,
        "Options": None,
        "Scope": "local",
    }


def _fits(filters: Filters, volume: Volume, used: bool) -> bool:
    dangling = filters.flag("dangling")
    return (
        dangling in (None, not used)
        and filters.match("driver", lambda text: text == _DRIVER)
        and filters.match("name", lambda text: text in volume.name)
        and (not filters.given("label") or filters.match_labels(volume.labels))
    )


def _row(paths: Paths, volume: Volume) -> Row:
    return {
        "Driver": _DRIVER,
        "Name": volume.name,
        "Scope": "local",
        "Mountpoint": f"{paths.volumes}/{volume.name}/_data",
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(volume.labels.items())),
        "Label": lambda key: volume.labels.get(key, ""),
        "Links": "N/A",
        "Size": "N/A",
        "Availability": "N/A",
        "Group": "N/A",
        "Status": "N/A",
    }


COMMANDS: tuple[Command, ...] = (
    Command(
        "volume create",
        "Create a volume",
        "[OPTIONS] [VOLUME]",
        (
            option("-d --driver", "text", "Specify volume driver name", "string", _DRIVER),
            option("--label", "list", "Set metadata for a volume", "list"),
            option("-o --opt", "list", "Set driver specific options", "map", hidden=True),
        ),
        create,
        most=1,
        examples=("sandbox volume create data",),
    ),
    Command(
        "volume ls",
        "List volumes",
        "[OPTIONS]",
        (
            option("-f --filter", "list", 'Provide filter values (e.g. "dangling=true")', "filter"),
            option("--format", "text", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template", "string"),
            option("-q --quiet", "flag", "Only display volume names"),
        ),
        list_all,
        most=0,
        examples=("sandbox volume ls -f dangling=true",),
    ),
    Command(
        "volume inspect",
        "Display detailed information on one or more volumes",
        "[OPTIONS] VOLUME [VOLUME...]",
        (option("-f --format", "text", "Format output: 'json' or a Go template", "string"),),
        inspect,
        least=1,
        examples=("sandbox volume inspect -f '{{.Mountpoint}}' data",),
    ),
    Command(
        "volume rm",
        "Remove one or more volumes",
        "[OPTIONS] VOLUME [VOLUME...]",
        (option("-f --force", "flag", "Do not fail where there is no such volume"),),
        remove,
        least=1,
        examples=("sandbox volume rm data",),
    ),
)
