"""`sandbox compose config`: the project as it is understood."""

from __future__ import annotations

import io

from sandbox.cli.command import Command
from sandbox.cli.compose_options import caller_of, project_request
from sandbox.cli.flags import option
from sandbox.errors import UsageError
from sandbox.stack.canonical import config_hash, document_of, image_of, json_text, with_dollars
from sandbox.stack.project_request import Steps
from sandbox.stack.selecting import in_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sandbox.cli.command import Invocation
    from sandbox.stack.project import Project


def config(invocation: Invocation) -> int:
    """Print the project, or what of it is asked for."""
    from sandbox.stack.operations import load_project  # not for its help

    services = () if invocation.given("hash") else invocation.arguments
    request = project_request(invocation, services)
    steps = Steps(
        interpolates=not invocation.flag("no-interpolate"),
        resolves_paths=not invocation.flag("no-path-resolution"),
        normalises=not invocation.flag("no-normalize"),
        checks=not invocation.flag("no-consistency"),
        resolves_environment=not invocation.flag("no-env-resolution"),
    )
    wanted = next((key for key in _LISTS if invocation.flag(key)), "")
    if wanted in ("profiles", "volumes", "networks"):
        request = request._replace(keeps_unused=True)
    project = load_project(request, caller_of(invocation, request.files), steps)
    for note in project.notes:
        invocation.context.note(f"WARNING: {note}")
    if invocation.flag("resolve-image-digests") or invocation.flag("lock-image-digests"):
        project = _with_digests(invocation, project)
    if invocation.flag("quiet"):
        return 0
    if invocation.given("hash"):
        lines: Iterable[str] = _hashes(project, invocation.text("hash") or "*")
    elif wanted:
        lines = _LISTS[wanted](project)
    elif invocation.flag("variables"):
        lines = _variables(invocation)
    else:
        lines = _text(invocation, project).splitlines()
    text = "".join(f"{line}\n" for line in lines)
    path = invocation.text("output")
    if path:
        _write(invocation.context.cwd.absolute(path), text)
    else:
        invocation.context.stdout.write(invocation.context.quoted(text))
    return 0


def _text(invocation: Invocation, project: Project) -> str:
    form = invocation.text("format") or "yaml"
    if form not in ("yaml", "json"):
        raise UsageError(f"unsupported format {form!r}", mend="--format yaml, or --format json")
    document: object = document_of(project, is_json=form == "json")
    if invocation.flag("lock-image-digests"):
        document = {"services": {name: {"image": each.image} for name, each in project.services if each.image}}
    if not invocation.flag("no-interpolate"):
        document = with_dollars(document)
    if form == "json":
        return json_text(document)
    from sandbox.stack.yaml_writing import write_yaml

    stream = io.StringIO()
    write_yaml(document, stream)
    return stream.getvalue()


def _write(path: str, text: str) -> None:
    from sandbox.errors import SandboxError

    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SandboxError(f"cannot write {path}", cause=error.strerror or "") from error


def _hashes(project: Project, asked: str) -> Iterable[str]:
    names = project.services.names if asked == "*" else tuple(asked.split(","))
    for name in names:
        service = project.services.value(name)
        if service is None:
            raise UsageError(f"no such service: {name}", mend="sandbox compose config --services")
        yield f"{name} {config_hash(service)}"


def _services(project: Project) -> Iterable[str]:
    return in_order(project, project.services.names)


def _images(project: Project) -> Iterable[str]:
    return (image_of(project, name, service) for name, service in project.services if service.provider is None)


def _profiles(project: Project) -> Iterable[str]:
    return sorted({profile for _, service in project.all_services for profile in service.profiles})


def _environment(project: Project) -> Iterable[str]:
    return (f"{name}={value}" for name, value in sorted(project.environment.items()))


_LISTS: dict[str, Callable[[Project], Iterable[str]]] = {
    "services": _services,
    "volumes": lambda project: project.volumes.names,
    "networks": lambda project: project.networks.names,
    "models": lambda project: project.models.names,
    "profiles": _profiles,
    "images": _images,
    "environment": _environment,
}


def _variables(invocation: Invocation) -> Iterable[str]:
    """A table of the variables that the files name, with what stands in for them."""
    from sandbox.stack.interpolation import variables_of
    from sandbox.stack.measures import texts_in
    from sandbox.stack.operations import load_project

    request = project_request(invocation)._replace(keeps_unused=True)
    raw = load_project(request, caller_of(invocation, request.files), Steps(False, False, False, False, False))
    found: dict[str, dict[str, str]] = {}
    for text in texts_in(document_of(raw)):
        for variable in variables_of(text):
            row = found.setdefault(variable.name, {})
            if variable.operator:
                row.setdefault(variable.operator[-1], variable.word)
    rows = [("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE")]
    rows += [
        (name, "true" if "?" in row else "false", row.get("-", ""), row.get("+", ""))
        for name, row in sorted(found.items())
    ]
    widths = [max(len(row[column]) for row in rows) + 3 for column in range(4)]
    return ("".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)


def _with_digests(invocation: Invocation, project: Project) -> Project:
    """`project` with each image pinned to what its registry has by that name now."""
    from sandbox.image.manifests import operations

    where = invocation.context.for_operations()
    digests: dict[str, str] = {}
    services = []
    for name, service in project.services:
        image = service.image
        if image and "@" not in image and image not in digests:
            digests[image] = f"{image}@{operations.inspect(where, image).digest}"
        services.append((name, service._replace(image=digests.get(image, image))))
    return project._replace(services=type(project.services).of(services))


COMMANDS: tuple[Command, ...] = (
    Command(
        "compose config",
        "Parse, resolve and render compose file in canonical format",
        "[OPTIONS] [SERVICE...]",
        (
            option("--environment", "flag", "Print environment used for interpolation"),
            option("--format", "text", "Format the output. Values: [yaml | json]", "string", "yaml"),
            option("--hash", "text", 'Print the service config hash, one per line; "*" for all services', "string"),
            option("--images", "flag", "Print the image names, one per line"),
            option("--lock-image-digests", "flag", "Produces an override file with image digests"),
            option("--models", "flag", "Print the model names, one per line"),
            option("--networks", "flag", "Print the network names, one per line"),
            option("--no-consistency", "flag", "Don't check model consistency, so that the output may be invalid"),
            option("--no-env-resolution", "flag", "Don't resolve service env files"),
            option("--no-interpolate", "flag", "Don't interpolate environment variables"),
            option("--no-normalize", "flag", "Don't normalize compose model"),
            option("--no-path-resolution", "flag", "Don't resolve file paths"),
            option("-o --output", "text", "Save to file", "string"),
            option("--profiles", "flag", "Print the profile names, one per line"),
            option("-q --quiet", "flag", "Only validate the configuration, don't print anything"),
            option("--resolve-image-digests", "flag", "Pin image tags to digests"),
            option("--services", "flag", "Print the service names, one per line"),
            option("--variables", "flag", "Print model variables and default values"),
            option("--volumes", "flag", "Print the volume names, one per line"),
        ),
        config,
        examples=(
            "sandbox compose config",
            "sandbox compose -f compose.yaml -f production.yaml config --format json",
            "sandbox compose --profile debug config --services",
            "sandbox compose config --hash '*'",
        ),
        further=("docs/compose.md has every key of a Compose file, and what becomes of it",),
    ),
)
