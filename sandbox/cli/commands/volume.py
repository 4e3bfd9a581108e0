"""`sandbox volume`: volumes made, listed, looked at and removed."""

from __future__ import annotations

from sandbox.cli.command import Command, Invocation, each
from sandbox.cli.flags import option
from sandbox.grammar.local_driver import DRIVER
from sandbox.volume import operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.cli.command import Context
    from sandbox.volume.store import Volume

_HEADERS = {
    "Driver": "DRIVER", "Name": "VOLUME NAME", "Scope": "SCOPE", "Mountpoint": "MOUNTPOINT", "Labels": "LABELS",
    "Label": "", "Links": "LINKS", "Size": "SIZE", "Availability": "AVAILABILITY", "Group": "GROUP",
    "Status": "STATUS",
}  # fmt: skip


def create(invocation: Invocation) -> int:
    """Print the name."""
    from sandbox.grammar.labels import read_labels

    name = (*invocation.arguments, "")[0]
    labels = tuple(read_labels((), invocation.texts("label")).items())
    options = tuple((key, value) for key, _, value in (text.partition("=") for text in invocation.texts("opt")))
    request = operations.VolumeRequest(name, labels, invocation.text("driver") or DRIVER, options)
    created = operations.create(invocation.context.for_operations(), request)
    for note in created.notes:
        invocation.context.note(f"WARNING: {note}")
    invocation.context.print(created.name)
    return 0


def list_all(invocation: Invocation) -> int:
    """Print Docker's table of volumes."""
    context = invocation.context
    volumes = operations.list_all(context.for_operations(), invocation.texts("filter"))
    if invocation.flag("quiet") and not invocation.given("format"):
        for volume in volumes:
            context.print(volume.name)
        return 0
    from sandbox.cli.output.own_formats import format_of

    print_volumes(context, volumes, format_of(invocation, "volumesFormat"))
    return 0


def print_volumes(context: Context, volumes: Sequence[Volume], form: str | None) -> None:
    """Print `volumes` as `--format` asks. Raises TemplateError."""
    from sandbox.cli.output.listings import print_listing
    from sandbox.cli.volume_rows import volume_row

    rows = [volume_row(context.find_paths(), volume) for volume in volumes]
    raw = "name: {{.Name}}\ndriver: {{.Driver}}\n"
    print_listing(context, _HEADERS, ("Driver", "Name"), rows, form, raw=raw)


def inspect(invocation: Invocation) -> int:
    """Print the documents of those found; 1 if any was not."""
    from sandbox.cli.output.inspect_output import print_inspected

    where = invocation.context.for_operations()
    return print_inspected(invocation, lambda name: operations.inspect(where, name))


def remove(invocation: Invocation) -> int:
    """Print the name of each that went."""
    context, force = invocation.context.for_operations(), invocation.flag("force")

    def remove_one(name: str) -> str:
        operations.remove(context, name, force=force)
        return name

    return each(invocation, remove_one)


COMMANDS: tuple[Command, ...] = (
    Command(
        "volume create",
        "Create a volume",
        "[OPTIONS] [VOLUME]",
        (
            option("-d --driver", "text", "Specify volume driver name", "string", DRIVER),
            option("--label", "list", "Set metadata for a volume", "list"),
            option("-o --opt", "list", "Set driver specific options", "map"),
        ),
        create,
        most=1,
        examples=(
            "sandbox volume create data",
            "sandbox volume create -o type=none -o o=bind -o device=/srv/data data",
            "sandbox volume create -o type=tmpfs -o device=tmpfs -o o=size=100m,uid=1000 scratch",
        ),
        further=(
            "a tmpfs is each container's own; what only root can mount (nfs, cifs, ext4) is refused: mount it, and "
            "make a volume of the directory",
        ),
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
