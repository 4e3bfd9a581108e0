"""What of a project is built, each service as plain values, which cross to the process that builds it."""

from __future__ import annotations

import os

from sandbox.errors import SandboxError, UsageError
from sandbox.named_tuple import NamedTuple
from sandbox.stack.canonical import image_of
from sandbox.stack.consistency import place_of
from sandbox.stack.errors import problem
from sandbox.stack.request import COMPOSE_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandbox.stack.build_model import Build
    from sandbox.stack.model import Service
    from sandbox.stack.project import Project

_SERVICE = "service:"
_NETWORKS = ("default", "none", "host")


class BuildSecret(NamedTuple):
    """A secret of a build: the content of a file, or a value that is known."""

    id: str
    path: str = ""
    value: str = ""


class BuildChoice(NamedTuple):
    """What the command line says of all builds."""

    #: KEY=VALUE, or KEY with the project's own value
    arguments: tuple[str, ...] = ()
    no_cache: bool = False
    pull: bool = False
    push: bool = False
    #: as of the service: `default`, or ID=PATH
    ssh: tuple[str, ...] = ()
    #: all that the build names, and not what this machine runs alone
    every_platform: bool = False
    #: as by Docker's builder before BuildKit: what a service depends on is built before it
    is_classic: bool = False


class ServiceBuild(NamedTuple):
    """The build of one service's image. Paths are absolute; a context may be a URL."""

    service: str
    #: the first is the service's own, the others are tags of its build
    names: tuple[str, ...]
    context: str
    directory: str
    file: str = ""
    #: the Dockerfile itself, where the Compose file has it
    dockerfile: str = ""
    arguments: tuple[tuple[str, str], ...] = ()
    target: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    pull: bool = False
    push: bool = False
    network: str = "default"
    entitlements: tuple[str, ...] = ()
    platform: str = ""
    extra_hosts: tuple[str, ...] = ()
    shm_size_bytes: int = 0
    #: name, soft and hard
    limits: tuple[tuple[str, int, int], ...] = ()
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    secrets: tuple[BuildSecret, ...] = ()
    contexts: tuple[tuple[str, str], ...] = ()
    ssh: tuple[str, ...] = ()
    #: services whose images it takes from: they are built before
    after: tuple[str, ...] = ()


def service_builds(
    project: Project,
    services: Iterable[str] = (),
    choice: BuildChoice = BuildChoice(),  # noqa: B008  a value
) -> tuple[ServiceBuild, ...]:
    """The builds of those services that have one, or of all, in the project's order; and of what their contexts are
    taken from. Raises ComposeFileError, UsageError.
    """
    wanted = dict.fromkeys(services or project.services.names)
    waiting = list(wanted)
    found: dict[str, ServiceBuild] = {}
    while waiting:
        name = waiting.pop()
        service = project.all_services.value(name)
        if service is None or service.build is None or name in found:
            continue
        found[name] = _service_build(project, name, service, service.build, choice)
        waiting += found[name].after
    if choice.is_classic:
        found = _in_order_of_needs(project, found)
    return tuple(found[name] for name in sorted(found))


def _service_build(project: Project, name: str, service: Service, build: Build, choice: BuildChoice) -> ServiceBuild:
    def fail(key: str, message: str, mend: str = "") -> SandboxError:
        path = f"services.{name}.build.{key}"
        return problem(place_of(project.places, path), path, message, mend=mend)

    if build.network and build.network not in _NETWORKS:
        raise fail("network", f"a build has no network {build.network!r}", f"one of {', '.join(_NETWORKS)}")
    contexts = dict(build.additional_contexts)
    after = [value.removeprefix(_SERVICE) for value in contexts.values() if value.startswith(_SERVICE)]
    for other in after:
        if project.all_services.value(other) is None:
            raise fail("additional_contexts", f"there is no service {other!r}")
    return ServiceBuild(
        name,
        tuple(dict.fromkeys((image_of(project, name, service), *build.tags))),
        build.context or project.working_directory,
        project.working_directory,
        _dockerfile(build),
        build.dockerfile_inline,
        tuple(_arguments(project, build, choice.arguments).items()),
        build.target,
        _labels(project, name, build),
        build.no_cache or choice.no_cache,
        build.no_cache_filter,
        build.pull or choice.pull,
        # an image without a name of its own is of this machine alone
        choice.push and bool(service.image),
        build.network or "default",
        build.entitlements,
        _platform(project, name, service, build, choice),
        tuple(each.replace("=", ":", 1) for each in build.extra_hosts),
        int(build.shm_size),
        tuple((key, each.single or each.soft, each.single or each.hard) for key, each in build.ulimits),
        build.cache_from,
        build.cache_to,
        tuple(_secrets(project, build)),
        tuple((key, _context_value(project, value)) for key, value in contexts.items()),
        (*build.ssh, *choice.ssh),
        tuple(after),
    )


def _in_order_of_needs(project: Project, builds: dict[str, ServiceBuild]) -> dict[str, ServiceBuild]:
    """Each behind what its service depends on; as they are where contexts are taken from services, which say more."""
    if any(build.after for build in builds.values()):
        return builds
    found = {}
    for name, build in builds.items():
        service = project.all_services.value(name)
        needed = tuple(other for other, _ in service.depends_on) if service is not None else ()
        found[name] = build._replace(after=needed)
    return found


def _dockerfile(build: Build) -> str:
    """Its path: that in a directory is absolute, that in a repository is as it stands."""
    if build.dockerfile_inline or not build.dockerfile:
        return ""
    return os.path.join(build.context, build.dockerfile) if build.context.startswith("/") else build.dockerfile


def _arguments(project: Project, build: Build, given: Iterable[str]) -> Mapping[str, str]:
    """The file's arguments and those of the command line over them; one without a value has the environment's."""
    wanted: dict[str, str | None] = dict(build.args)
    for text in given:
        key, equals, value = text.partition("=")
        if not key:
            raise UsageError(f"invalid --build-arg {text!r}", mend="--build-arg NAME=VALUE")
        wanted[key] = value if equals else None
    resolved = {key: project.environment.get(key) if value is None else value for key, value in wanted.items()}
    return {key: value for key, value in resolved.items() if value is not None}


def _labels(project: Project, name: str, build: Build) -> tuple[tuple[str, str], ...]:
    prefix = "com.docker.compose."
    own = {f"{prefix}project": project.name, f"{prefix}service": name, f"{prefix}version": COMPOSE_VERSION}
    return tuple(sorted({**dict(build.labels), **own}.items()))


def _platform(project: Project, name: str, service: Service, build: Build, choice: BuildChoice) -> str:
    """What is built for: what the service runs on, or the person wants, or this machine is where the build names that,
    else the first that the build names. Raises UsageError for several at once, which one image cannot be.
    """
    default = project.environment.get("DOCKER_DEFAULT_PLATFORM", "")
    if default and build.platforms and default not in build.platforms:
        raise UsageError(
            f'service "{name}" build.platforms does not support value set by DOCKER_DEFAULT_PLATFORM: {default}',
            mend=f"DOCKER_DEFAULT_PLATFORM={build.platforms[0]}, or unset it",
        )
    if service.platform or default or len(build.platforms) <= 1:
        return service.platform or default or next(iter(build.platforms), "")
    if choice.every_platform:
        message = "Multi-platform build is not supported for the docker driver."
        if choice.is_classic:
            message = "the classic builder doesn't support multi-arch build, set DOCKER_BUILDKIT=1 to use BuildKit"
        raise UsageError(
            message,
            cause=f"services.{name}.build.platforms names {len(build.platforms)}, and an image here has one",
            mend=f"DOCKER_DEFAULT_PLATFORM={build.platforms[0]} sandbox compose build {name}, for each of them",
        )
    from sandbox.image.platforms import host_platform

    own = str(host_platform())
    return own if own in build.platforms else build.platforms[0]


def _secrets(project: Project, build: Build) -> Iterable[BuildSecret]:
    for grant in build.secrets:
        secret = project.secrets.value(grant.source)
        id_ = grant.target or grant.source
        if secret is not None and secret.file:
            yield BuildSecret(id_, path=secret.file)
        elif secret is not None and secret.environment:
            yield BuildSecret(id_, value=project.environment.get(secret.environment, ""))


def _context_value(project: Project, value: str) -> str:
    if not value.startswith(_SERVICE):
        return value
    other = value.removeprefix(_SERVICE)
    service = project.all_services.value(other)
    assert service is not None
    return f"docker-image://{image_of(project, other, service)}"
