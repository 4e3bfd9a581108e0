"""Secrets and configs of a service, as its containers ask for them: those that are no plain mount of a file.

A file without an owner and a mode of its own is mounted, so that a change of it is seen at once; everything else is
written into the container before its program starts.
"""

from __future__ import annotations

import os

from sandbox.stack.consistency import place_of
from sandbox.stack.errors import problem
from sandbox.values import FileGrant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.stack.errors import ComposeFileError
    from sandbox.stack.model import Service
    from sandbox.stack.parts_model import FileGrant as Granted
    from sandbox.stack.project import FileObject, Project

    #: of the project and of the service: the key is the same
    Section = str


def is_mounted(grant: Granted, found: FileObject) -> bool:
    """Whether the file itself is mounted."""
    return bool(found.file) and not (grant.uid or grant.gid or grant.mode is not None)


def granted(project: Project, name: str, service: Service, section: Section) -> Iterator[FileGrant]:
    """The grants of `section`, "secrets" or "configs". Raises ComposeFileError for a variable that is not set, and for
    an owner that is no number.
    """
    objects = dict(getattr(project, section))
    for number, grant in enumerate(getattr(service, section)):
        found = objects.get(grant.source)
        if found is None or is_mounted(grant, found):
            continue
        path = f"services.{name}.{section}[{number}]"
        made = FileGrant(
            grant.source,
            grant.target or grant.source,
            _number(project, f"{path}.uid", grant.uid),
            _number(project, f"{path}.gid", grant.gid),
            0o444 if grant.mode is None else int(grant.mode),
        )
        yield _with_content(project, section, made, found)


def _with_content(project: Project, section: Section, grant: FileGrant, found: FileObject) -> FileGrant:
    if found.external:
        return grant._replace(source=found.name)
    if found.file:
        return grant._replace(path=found.file)
    if not found.environment:
        return grant._replace(content=found.content)
    path = f"{section}.{grant.source}.environment"
    place = project.places.get(path)
    # of an included file, which has variables of its own
    value = (place.source.environment if place is not None else project.environment).get(found.environment)
    if value is None:
        raise _error(
            project,
            path,
            f"environment variable {found.environment!r} required by {section[:-1]} {grant.source!r} is not set",
            mend=f"export {found.environment}=…",
        )
    return grant._replace(content=value)


def require_files(project: Project) -> None:
    """Raise ComposeFileError where the file of a secret or a config that a service has is not there."""
    for _name, service in project.services:
        for section in ("secrets", "configs"):
            objects = dict(getattr(project, section))
            for grant in getattr(service, section):
                found = objects.get(grant.source)
                if service.replicas and found is not None and found.file:
                    _require_file(project, f"{section}.{grant.source}.file", found.file)


def _require_file(project: Project, path: str, file: str) -> None:
    try:
        os.stat(file)
    except FileNotFoundError as error:
        raise _error(project, path, f"there is no file {file}", mend="make it") from error
    except OSError as error:
        raise _error(project, path, f"cannot read {file}: {error.strerror}", mend=f"ls -l {file}") from error


def _number(project: Project, path: str, text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise _error(project, path, f"{text!r} is no number: names are the container's own")
    return int(text)


def _error(project: Project, path: str, what: str, mend: str = "") -> ComposeFileError:
    return problem(place_of(project.places, path), path, what, mend=mend)
