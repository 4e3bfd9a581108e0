"""`sandbox compose config`: the project as it is understood."""

from __future__ import annotations

import io

from sandbox.cli.command import Command
from sandbox.cli.compose_options import caller_of, project_request
from sandbox.cli.flags import option
from sandbox.errors import UsageError
from sandbox.stack.canonical import (
    config_hash,
    document_of,
    image_of,
    in_order_of_keys,
    json_text,
    with_dollars,
)
from sandbox.stack.consistency import require_own_names
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

    context = invocation.context
    if invocation.flag("variables"):
        _write(invocation, _variables(invocation))
        return 0
    wanted = next((key for key in _LISTS if invocation.flag(key)), "hash" if invocation.given("hash") else "")
    skips = invocation.flag("no-interpolate")
    is_whole = wanted in ("services", "volumes", "networks", "models", "hash") or skips
    if skips and invocation.arguments and not wanted:
        context.note(f"WARNING: {_UNFILTERED.format('--no-interpolate')}, the full model will be rendered")
    request = project_request(invocation, () if is_whole else invocation.arguments)
    is_compatible = bool(invocation.of_noun.get("compatibility"))
    steps = Steps(
        interpolates=not skips,
        resolves_paths=not invocation.flag("no-path-resolution"),
        normalises=not (invocation.flag("no-normalize") or is_compatible),
        checks=not invocation.flag("no-consistency"),
        resolves_environment=not (invocation.flag("no-env-resolution") or (is_whole and not skips)),
    )
    project = load_project(request, caller_of(invocation, request.files), steps)
    for note in project.notes:
        context.note(f"WARNING: {note}")
    if steps.checks and not wanted:
        require_own_names(project)
    if invocation.flag("resolve-image-digests") or invocation.flag("lock-image-digests"):
        project = with_digests(invocation, project)
    if invocation.flag("quiet"):
        return 0
    if wanted == "hash":
        _write(invocation, _lines(_hashes(invocation, project)))
    else:
        _write(invocation, _lines(_LISTS[wanted](project)) if wanted else _text(invocation, project))
    return 0


_UNFILTERED = "service filtering is not applied when {} is set"


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _text(invocation: Invocation, project: Project) -> str:
    form = invocation.text("format") or "yaml"
    if form not in ("yaml", "json"):
        raise UsageError(f"unsupported format {form!r}", mend="--format yaml, or --format json")
    document: object = document_of(project, is_json=form == "json")
    if invocation.flag("lock-image-digests"):
        document = {"services": {name: {"image": each.image} for name, each in project.services if each.image}}
    document = in_order_of_keys(document) if invocation.flag("no-interpolate") else with_dollars(document)
    if form == "json":
        return json_text(document)
    from sandbox.stack.yaml_writing import write_yaml

    stream = io.StringIO()
    write_yaml(document, stream)
    return stream.getvalue()


def _write(invocation: Invocation, text: str) -> None:
    from sandbox.errors import SandboxError

    context, name = invocation.context, invocation.text("output")
    if not name:
        context.stdout.write(context.quoted(text if text.endswith("\n") or not text else f"{text}\n"))
        return
    try:
        with open(context.cwd.absolute(name), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SandboxError(f"cannot write {name}", cause=error.strerror or "") from error


def _hashes(invocation: Invocation, project: Project) -> Iterable[str]:
    """Of those asked for alone are the files of variables read: another's may be missing."""
    from sandbox.stack.service_files import with_environment

    asked = invocation.text("hash") or "*"
    for name in project.services.names if asked == "*" else sorted(asked.split(",")):
        service = project.services.value(name)
        if service is None:
            raise UsageError(f"no such service: {name}", mend="sandbox compose config --services")
        if not invocation.flag("no-env-resolution"):
            service = with_environment(name, service, project.environment, project.places)
        yield f"{name} {config_hash(service)}"


def _services(project: Project) -> Iterable[str]:
    return in_order(project, project.services.names)


def _images(project: Project) -> Iterable[str]:
    for name, service in project.services:
        own = image_of(project, name, service)
        mounted = [each.source for each in service.volumes if not isinstance(each, str) and each.type == "image"]
        hooks = [each.image for each in service.pre_start if each.image != own]
        yield from dict.fromkeys((own, *hooks, *(source for source in mounted if source not in project.services.names)))


def _profiles(project: Project) -> Iterable[str]:
    return sorted({profile for _, service in project.all_services for profile in service.profiles})


def _environment(project: Project) -> Iterable[str]:
    return (f"{name}={value}" for name, value in sorted(project.environment.items()))


_LISTS: dict[str, Callable[[Project], Iterable[str]]] = {
    "services": _services,
    "volumes": lambda project: project.volumes.names,
    "networks": lambda project: project.networks.names,
    "models": lambda project: (each.model for _, each in project.models),
    "profiles": _profiles,
    "images": _images,
    "environment": _environment,
}


def _variables(invocation: Invocation) -> str:
    """The variables that the files name, with what stands in for them: a table, JSON or YAML."""
    if invocation.arguments:
        what = f"{_UNFILTERED.format('--variables')}, variables from the full model will be rendered"
        invocation.context.note(f"WARNING: {what}")
    from sandbox.cli.compose_variables import variables

    rows = variables(invocation)
    if invocation.given("format"):
        return _variables_document(rows, invocation.text("format") or "")
    table = [("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE")]
    table += [(name, str(required).lower(), default, other) for name, default, other, required in rows]
    widths = [max(len(row[column]) for row in table) + 3 for column in range(4)]
    return _lines("".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in table)


def _variables_document(rows: Iterable[tuple[str, str, str, bool]], form: str) -> str:
    import json

    from sandbox.stack.yaml_writing import write_yaml

    keys = ("Name", "DefaultValue", "PresenceValue", "Required")
    if form == "json":
        return json.dumps({row[0]: dict(zip(keys, row, strict=True)) for row in rows}, indent=4)
    if form != "yaml":
        raise UsageError(f"unsupported format {form!r}", mend="--format yaml, or --format json")
    stream = io.StringIO()
    lowered = [key.lower() for key in keys]
    write_yaml({row[0]: dict(zip(lowered, row, strict=True)) for row in rows}, stream, depth=4)
    return stream.getvalue()


def with_digests(invocation: Invocation, project: Project) -> Project:
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
