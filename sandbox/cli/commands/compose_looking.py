"""What a project's containers do, take and are made of: compose top, stats, port, images, volumes."""

from __future__ import annotations

import time

from sandbox.cli.command import Command
from sandbox.cli.compose_call import as_command, project_if_any, project_name
from sandbox.cli.flags import option
from sandbox.compose.chosen import Choice, chosen, the_one
from sandbox.compose.names import NUMBER
from sandbox.compose.observe import observe
from sandbox.errors import NotFoundError, SandboxError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.compose.observe import ObservedContainer
    from sandbox.operation_context import OperationContext

_INDEX = option("--index", "number", "Index of the container if service has multiple replicas", "int", 0)
_FORMAT = option("--format", "text", "Format output: table, table TEMPLATE, json, or a Go template", "string")
#: of Go's tabwriter, as Compose sets it for processes
_TOP_LEAST_WIDTH, _TOP_PADDING = 4, 2


def top(invocation: Invocation) -> int:
    """Print the processes of all containers that run, in one table."""
    from sandbox.cli.output.table import render_table
    from sandbox.container import looking

    context = invocation.context.for_operations()
    titles = ["SERVICE", "#"]
    entries: list[dict[str, str]] = []
    observed = observe(context, project_name(invocation))
    for each in chosen(observed, Choice(invocation.arguments, one_off=True)):
        table = looking.top(context, each.id)
        titles += [title for title in table.titles if title not in titles]
        own = {"SERVICE": each.service, "#": each.labels.get(NUMBER, "")}
        entries += [{**own, **dict(zip(table.titles, row, strict=False))} for row in table.rows]
    # where containers have different columns that of the command is the last all the same
    titles.sort(key=lambda title: title == "CMD")
    if entries:
        rows = [[entry.get(title, "-") for title in titles] for entry in entries]
        invocation.context.stdout.write(
            render_table([titles, *rows], least_width=_TOP_LEAST_WIDTH, padding=_TOP_PADDING)
        )
    return 0


def stats(invocation: Invocation) -> int:
    """Print what containers take, each second anew, or once."""
    from sandbox.cli.commands import container_usage

    choice = Choice(invocation.arguments, invocation.flag("all"), one_off=True)
    found = chosen(observe(invocation.context.for_operations(), project_name(invocation)), choice)
    if not found:
        return container_usage.print_nothing(invocation)
    return container_usage.stats(as_command(invocation, "container stats", tuple(each.id for each in found)))


def port(invocation: Invocation) -> int:
    """Print where a port of a service's container is published."""
    service, text = invocation.arguments
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) < 2**16:
        raise UsageError(f"invalid port {text!r}: a number is wanted", mend=f"sandbox compose port {service} 80")
    protocol = (invocation.text("protocol") or "tcp").lower()
    observed = observe(invocation.context.for_operations(), project_name(invocation))
    wanted = the_one(observed, service, invocation.number("index") or 0, one_off=True)
    container = next(each.container for each in observed.containers if each.id == wanted)
    ports = sorted(container.state.published_ports, key=lambda each: (":" in each.host_ip, each.host_ip))
    for each in ports:
        if (each.container_port, each.protocol) == (int(text), protocol):
            invocation.context.print(f"{each.host_ip or '0.0.0.0'}:{each.host_port}")
            return 0
    there = ", ".join(dict.fromkeys(f"{each.container_port}/{each.protocol}" for each in ports))
    raise NotFoundError(f"no port {text}/{protocol} for container {container.name}: {there}")


def volumes(invocation: Invocation) -> int:
    """Print the project's volumes, or those of the services that are named."""
    from sandbox.cli.commands.volume import print_volumes

    _, name = project_if_any(invocation, invocation.arguments)
    observed = observe(invocation.context.for_operations(), name)
    found = sorted(observed.own_volumes, key=lambda volume: volume.name)
    if invocation.arguments:
        those = chosen(observed, Choice(invocation.arguments, all=True, one_off=True))
        mounted = {mount.source for each in those for mount in each.container.config.mounts if mount.kind == "volume"}
        found = [volume for volume in found if volume.name in mounted]
    if invocation.flag("quiet"):
        for volume in found:
            invocation.context.print(volume.name)
        return 0
    print_volumes(invocation.context, found, invocation.text("format"))
    return 0


def images(invocation: Invocation) -> int:
    """Print the images that the project's containers were made of."""
    from sandbox.cli.output.sections import print_section

    form = invocation.text("format") or "table"
    if form not in ("table", "json"):
        raise UsageError(f"unsupported format {form}", mend="--format table, or --format json")
    context = invocation.context.for_operations()
    _, name = project_if_any(invocation, invocation.arguments)
    found = chosen(observe(context, name), Choice(invocation.arguments, all=True, one_off=True))
    documents = [_image_document(context, each) for each in found]
    if invocation.flag("quiet"):
        for id_ in dict.fromkeys(str(each["ID"]).removeprefix("sha256:") for each in documents):
            invocation.context.print(id_)
        return 0
    rows = map(_image_row, documents)
    titles = ("CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED")
    print_section(invocation.context, titles, rows, list(documents), form)
    return 0


def _image_document(context: OperationContext, each: ObservedContainer) -> dict[str, object]:
    """As `--format json` has it; of an image that is gone what the container itself knows."""
    from sandbox.image import operations

    config = each.container.config
    repository, tag = _name_parts(config.image)
    own: dict[str, object] = {
        "ID": config.image_id, "ContainerName": each.name, "Repository": repository, "Tag": tag,
        "Platform": config.platform, "Size": 0,
    }  # fmt: skip
    try:
        found = operations.inspect(context, config.image_id)
    except NotFoundError:
        return own
    return own | {"Size": int(found.get("Size") or 0), "Created": str(found.get("Created") or "")}


def _name_parts(name: str) -> tuple[str, str]:
    """Repository and tag of the name that a container was made by; an id has neither."""
    from sandbox.image.references import parse_reference

    if name.startswith("sha256:"):
        return "", ""
    try:
        reference = parse_reference(name)
    except SandboxError:
        return "", ""
    tag = reference.tag or ("" if reference.digest else "latest")
    return reference._replace(tag="", digest="").familiar, tag


def _image_row(document: dict[str, object]) -> tuple[str, ...]:
    from sandbox.grammar.filters import parse_time
    from sandbox.humane import ago, human_size, short_id

    created = str(document.get("Created") or "")
    now_ns = time.time_ns()
    return (
        str(document["ContainerName"]),
        str(document["Repository"]) or "<none>",
        str(document["Tag"]) or "<none>",
        str(document["Platform"]),
        short_id(str(document["ID"])),
        human_size(int(str(document["Size"])), 3),
        ago(parse_time(created, now_ns), now_ns) if created else "N/A",
    )


COMMANDS: tuple[Command, ...] = (
    Command(
        "compose top",
        "Display the running processes",
        "[SERVICES...]",
        (),
        top,
        examples=("sandbox compose top", "sandbox compose top web"),
    ),
    Command(
        "compose stats",
        "Display a live stream of container(s) resource usage statistics",
        "[OPTIONS] [SERVICE]",
        (
            option("-a --all", "flag", "Show all containers (default shows just running)"),
            _FORMAT,
            option("--no-stream", "flag", "Disable streaming stats and only pull the first result"),
            option("--no-trunc", "flag", "Do not truncate output"),
        ),
        stats,
        most=1,
        examples=("sandbox compose stats", "sandbox compose stats --no-stream web"),
        further=("where the numbers come from: docs/stats.md",),
    ),
    Command(
        "compose port",
        "Print the public port for a port binding",
        "[OPTIONS] SERVICE PRIVATE_PORT",
        (_INDEX, option("--protocol", "text", "tcp or udp", "string", "tcp")),
        port,
        least=2,
        most=2,
        examples=("sandbox compose port web 80", "sandbox compose port --protocol udp --index 2 dns 53"),
    ),
    Command(
        "compose images",
        "List images used by the created containers",
        "[OPTIONS] [SERVICE...]",
        (
            option("--format", "text", "Format the output. Values: [table | json]", "string", "table"),
            option("-q --quiet", "flag", "Only display IDs"),
        ),
        images,
        examples=("sandbox compose images", "sandbox compose images -q web"),
    ),
    Command(
        "compose volumes",
        "List volumes",
        "[OPTIONS] [SERVICE...]",
        (_FORMAT, option("-q --quiet", "flag", "Only display volume names")),
        volumes,
        examples=("sandbox compose volumes", "sandbox compose volumes -q db"),
    ),
)
