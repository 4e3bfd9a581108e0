"""`load_project`: from files, an environment and options to a project that is whole."""

from __future__ import annotations

import os

from sandbox.stack.consistency import check
from sandbox.stack.environment import with_env_files
from sandbox.stack.errors import ComposeFileError
from sandbox.stack.file_keys import read_file
from sandbox.stack.loading import STANDARD_INPUT, Loader
from sandbox.stack.measures import Pairs
from sandbox.stack.nodes import Mapping as Tree
from sandbox.stack.nodes import without_resets
from sandbox.stack.normalising import normalised, settled
from sandbox.stack.project import Project
from sandbox.stack.project_request import Steps
from sandbox.stack.reading import Reading
from sandbox.stack.remote_files import is_remote
from sandbox.stack.selecting import with_profiles, with_services, without_unused
from sandbox.stack.service_files import with_environment, with_labels
from sandbox.stack.sources import check_name, find_files, normal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.stack.project import File
    from sandbox.stack.project_request import Caller, ProjectRequest


def load_project(request: ProjectRequest, caller: Caller, steps: Steps = Steps()) -> Project:  # noqa: B008
    """The project that `request` names. Raises ComposeFileError, UsageError, NotFoundError; where files lie elsewhere
    what `caller.fetch` raises.
    """
    request = request._replace(files=tuple(caller.fetch(path) if is_remote(path) else path for path in request.files))
    base = os.path.join(caller.directory, request.directory) if request.directory else ""
    base = os.path.normpath(base) if base else ""
    env_files = [os.path.join(caller.directory, path) for path in _env_files(request, caller.environment)]
    first = next((path for path in request.files if path != STANDARD_INPUT), "")
    beside = base or (os.path.dirname(os.path.join(caller.directory, first)) if first else caller.directory)
    environment: Mapping[str, str] = {"PWD": caller.directory, **caller.environment}
    environment = with_env_files(environment, env_files, beside)
    found = find_files(request.files, environment, caller.directory, base or caller.directory)
    directory = base or _directory_of(found.files, caller.directory)
    variables = with_env_files(environment, env_files, directory)
    loader = Loader(caller.stdin, caller.directory, caller.fetch, interpolates=steps.interpolates)
    name = _name(request, variables, loader, found.files, directory)
    variables["COMPOSE_PROJECT_NAME"] = name
    tree = without_resets(loader.load(found.files, directory, variables))
    assert isinstance(tree, Tree)
    reading = Reading(is_lenient=not steps.interpolates, resolves_paths=steps.resolves_paths)
    file = settled(read_file(reading, tree), reading.places, resolves_paths=steps.resolves_paths)
    if steps.normalises:
        file = normalised(file, name)
    project = _project(file, name, variables)._replace(
        places=reading.places,
        files=found.files,
        working_directory=directory,
        env_files=request.env_files,
        separator="_" if request.is_compatible else "-",
        notes=(*found.notes, *_notes(loader, is_stack=request.is_stack), *reading.notes),
    )
    return _completed(project, request, steps)


def load_stack_project(request: ProjectRequest, caller: Caller, steps: Steps = Steps()) -> Project:  # noqa: B008
    """The project of a stack, which is made of its files and of the caller's variables: what Compose reads beside them
    is not its own. Raises as `load_project`.
    """
    own = {name: value for name, value in caller.environment.items() if not name.startswith("COMPOSE_")}
    caller = caller._replace(environment={**own, "COMPOSE_DISABLE_ENV_FILE": "1"})
    return load_project(request._replace(is_stack=True), caller, steps)


def _completed(project: Project, request: ProjectRequest, steps: Steps) -> Project:
    profiles = request.profiles or project.environment.get("COMPOSE_PROFILES", "").split(",")
    project = with_profiles(project, tuple(each.strip() for each in profiles if each.strip()))
    if steps.checks and steps.interpolates:
        check(project)
    project = with_services(project, request.services)
    if not request.keeps_unused and steps.normalises:
        project = without_unused(project)
    if steps.resolves_environment and steps.interpolates:
        project = project._replace(
            services=Pairs.of(
                (name, with_labels(with_environment(name, each, project.environment, project.places)))
                for name, each in project.services
            )
        )
    return project


def _project(file: File, name: str, environment: Mapping[str, str]) -> Project:
    return Project(
        name, file.services, file.networks, file.volumes, file.secrets, file.configs, file.models, file.extensions,
        environment=environment,
    )  # fmt: skip


def _env_files(request: ProjectRequest, environment: Mapping[str, str]) -> tuple[str, ...]:
    if request.env_files:
        return request.env_files
    return tuple(each for each in environment.get("COMPOSE_ENV_FILES", "").split(",") if each)


def _directory_of(files: tuple[str, ...], caller_directory: str) -> str:
    first = next((path for path in files if path != STANDARD_INPUT), "")
    return os.path.dirname(first) if first else caller_directory


def _name(
    request: ProjectRequest, environment: Mapping[str, str], loader: Loader, files: tuple[str, ...], directory: str
) -> str:
    """`-p`, COMPOSE_PROJECT_NAME, the files' own, the directory's: in this order."""
    given = request.name or environment.get("COMPOSE_PROJECT_NAME", "")
    if given:
        return given if request.is_stack else check_name(given)
    written = loader.name_of(files, directory, environment)
    name = normal_name(written or os.path.basename(directory))
    if not name:
        raise ComposeFileError("project name must not be empty", mend="-p NAME")
    return name


def _notes(loader: Loader, *, is_stack: bool) -> tuple[str, ...]:
    return (
        *(f'The "{name}" variable is not set. Defaulting to a blank string.' for name in loader.unset),
        *(
            f"{name}: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential "
            "confusion"
            for name in (() if is_stack else loader.with_version)
        ),
    )
