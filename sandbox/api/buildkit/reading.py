"""What a client's Dockerfile says of what its build will take, before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.api.buildkit.frontend_request import prefixed
from sandbox.builder.sources.git_urls import parse_git_url
from sandbox.dockerfile.arguments import Globals, platform_arguments, read_globals
from sandbox.dockerfile.errors import LanguageError
from sandbox.dockerfile.instructions import Add
from sandbox.dockerfile.outline import find_target, outline, reachable_stages
from sandbox.dockerfile.stages import Program, Stage, read_dockerfile
from sandbox.errors import ImageError, NotFoundError, SandboxError
from sandbox.image.platforms import host_platform, parse_platform
from sandbox.image.references import parse_reference
from sandbox.image.store import find_named_image
from sandbox.image.web.web_file import is_url
from sandbox.state import open_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandbox.builder.build_image import BuildOptions
    from sandbox.paths import Paths

#: what fetches of Git repositories may need
_OF_REPOSITORIES = ("GIT_AUTH_TOKEN", "GIT_AUTH_HEADER")


class Reading(NamedTuple):
    """A file, and of the stages that are built what they start from."""

    program: Program
    target: int
    globals: Globals
    stages: tuple[Stage, ...]
    images: tuple[str, ...]


class Takes(NamedTuple):
    """What only the client has: secrets and agents by their ids, and images that may want its credentials."""

    secrets: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


def read(data: bytes, name: str, attributes: Mapping[str, str]) -> Reading | None:
    """None where the build will say what is wrong. Raises DockerfileError for what cannot be parsed."""
    program = read_dockerfile(data, name)
    arguments = prefixed(attributes, "build-arg:")
    try:
        target = find_target(program, attributes.get("target", ""))
        native = host_platform()
        asked = attributes.get("platform")
        platform = parse_platform(asked) if asked else native
        predefined = platform_arguments(native, platform, program.stages[target].name, arguments)
        globals_ = read_globals(program, arguments, predefined)
        stages = tuple(program.stages[number] for number in reachable_stages(program, target, globals_))
        images = tuple(globals_.expand(stage.base, stage.start.node).text for stage in stages)
    except (LanguageError, NotFoundError):
        return None
    return Reading(program, target, globals_, stages, images)


def takes_of(reading: Reading | None, options: BuildOptions) -> Takes:
    """What the build takes, as far as the file tells it."""
    if reading is None:
        return Takes(secrets=_OF_REPOSITORIES if parse_git_url(options.context) is not None else ())
    try:
        found = outline(reading.program, reading.target, reading.globals)
    except LanguageError:
        # the build says it, with its place
        return Takes()
    adds = any(isinstance(each, Add) for stage in reading.stages for each in stage.instructions)
    contexts = [value.removeprefix("docker-image://") for value in options.contexts.values()]
    secrets = tuple(each.name for each in found.secrets)
    return Takes(
        (*secrets, *_OF_REPOSITORIES) if adds else secrets,
        tuple(each.name for each in found.ssh),
        (*reading.images, *contexts),
    )


def may_trigger(paths: Paths, reading: Reading) -> bool:
    """Whether a base may have instructions of its own (ONBUILD), which could take any file."""
    names = {stage.name for stage in reading.program.stages if stage.name}
    with open_state(paths, durable=False) as connection:
        for image in reading.images:
            if image.lower() in names or image == "scratch":
                continue
            try:
                record = find_named_image(connection, image)
            except SandboxError:
                return True
            if record is None or (record.config.get("config") or {}).get("OnBuild"):
                return True
    return False


def domains_of(images: Iterable[str]) -> list[str]:
    """The registries that the images are of."""
    found = []
    for image in images:
        try:
            if not is_url(image):
                found.append(parse_reference(image).domain)
        except ImageError:
            continue
    return found
