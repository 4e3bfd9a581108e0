"""What the verbs of compose have in common: the project that a call is about, and its containers by their services."""

from __future__ import annotations

from sandbox.cli.compose_options import caller_of, project_request
from sandbox.errors import SandboxError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sandbox.cli.command import Invocation
    from sandbox.cli.flags import Value
    from sandbox.stack.project import Project
    from sandbox.stack.project_request import Steps

#: Compose's own variable for the name of a project
PROJECT_NAME = "COMPOSE_PROJECT_NAME"
_OF_BUILDS = ".build."


def loaded(invocation: Invocation, services: tuple[str, ...] = (), steps: Steps | None = None) -> Project:
    """The project of this call, with `services` and what they depend on; what is to be known of its files is noted.
    Raises ComposeFileError, UsageError, NotFoundError.
    """
    from sandbox.stack.operations import load_project
    from sandbox.stack.project_request import Steps

    request = project_request(invocation, services)
    project = load_project(request, caller_of(invocation, request.files), steps or Steps())
    for note in project.notes:
        invocation.context.note(f"WARNING: {note}")
    return project._replace(best_effort=bool(invocation.of_noun.get("best-effort")))


def require_supported(invocation: Invocation, project: Project) -> None:
    """Refuse a project with keys that it cannot run with, and tell of those that are left out, but for what builds are
    told. Raises ComposeFileError.
    """
    from sandbox.stack.fates import check_supported, left_out
    from sandbox.stack.machine_size import beyond, this_machine

    check_supported(project)
    for sentence in (*left_out(project), *beyond(project, this_machine())):
        if _OF_BUILDS not in sentence:
            invocation.context.note(f"WARNING: {sentence}")


def tell_left_out_of_builds(invocation: Invocation, project: Project, services: Collection[str]) -> None:
    """Tell of the keys that are left out where the images of these services are built."""
    from sandbox.stack.fates import left_out

    for sentence in left_out(project):
        if any(sentence.startswith(f"services.{name}{_OF_BUILDS}") for name in services):
            invocation.context.note(f"WARNING: {sentence}")


def project_if_any(invocation: Invocation, services: tuple[str, ...] = ()) -> tuple[Project | None, str]:
    """The project and its name, for a verb that needs the name alone: None where `-p` says it and no file is named, or
    where COMPOSE_PROJECT_NAME does and there is no file. Files of variables of services are not read.

    Raises as `loaded`.
    """
    from sandbox.stack.project_request import Steps

    request = project_request(invocation)
    if request.name and not request.files:
        return None, _checked(request.name)
    try:
        project = loaded(invocation, services, Steps(resolves_environment=False))
    except SandboxError:
        name = invocation.context.env.get(PROJECT_NAME, "")
        if not name:
            raise
        return None, _checked(name)
    return project, project.name


def project_name(invocation: Invocation) -> str:
    """The name alone, which needs no file where an option or a variable says it. Raises as `loaded`."""
    given = project_request(invocation).name or invocation.context.env.get(PROJECT_NAME, "")
    return _checked(given) if given else project_if_any(invocation)[1]


def _checked(name: str) -> str:
    from sandbox.stack.sources import check_name

    return check_name(name)


def as_command(
    invocation: Invocation, path: str, arguments: tuple[str, ...], values: Mapping[str, Value] | None = None
) -> Invocation:
    """The same call as one of another command: with `arguments`, and those of the options given that it has too, or
    with `values` in their place.
    """
    from sandbox.cli.lookup import find_command

    command = find_command(path)
    known = {option.key for option in command.options}
    given = invocation.values if values is None else values
    kept = {key: value for key, value in given.items() if key in known}
    return invocation._replace(command=command, arguments=arguments, values=kept, typed="", of_noun={})


def parallel_of(invocation: Invocation) -> int:
    """How much may be done at once: `--parallel`, COMPOSE_PARALLEL_LIMIT; 0 or less is no limit. Raises UsageError."""
    given = invocation.of_noun.get("parallel")
    if isinstance(given, int):
        return given
    text = invocation.context.env.get("COMPOSE_PARALLEL_LIMIT", "")
    if not text:
        return 0
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"COMPOSE_PARALLEL_LIMIT must be an integer (found: {text!r})") from None


def wants_colour(invocation: Invocation) -> bool:
    """Whether standard output gets colours: `--ansi`, COMPOSE_ANSI, NO_COLOR, and whether it is a terminal. Raises
    UsageError.
    """
    env = invocation.context.env
    said = str(invocation.of_noun.get("ansi") or env.get("COMPOSE_ANSI") or "auto")
    if said not in ("auto", "always", "never"):
        raise UsageError(f"unknown --ansi {said!r}", mend="--ansi auto|always|never")
    return said == "always" or (said == "auto" and not env.get("NO_COLOR") and invocation.context.stdout.isatty())
