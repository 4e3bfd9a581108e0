"""The files that a service takes variables and labels of: `env_file` and `label_file`, below what it says itself."""

from __future__ import annotations

import contextlib
import os
import shlex

from sandbox.stack.consistency import place_of
from sandbox.stack.dotenv import parse_dotenv, parse_raw
from sandbox.stack.errors import problem
from sandbox.stack.loading import read_text
from sandbox.stack.measures import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.stack.model import EnvFile, Service
    from sandbox.stack.places import Place

_EXAMPLES = ("example", "sample", "dist", "template")


def with_environment(
    name: str, service: Service, environment: Mapping[str, str], places: Mapping[str, Place]
) -> Service:
    """`service` with the variables of its files, which are then no longer named. Raises ComposeFileError."""
    if not service.env_file:
        return service
    own = dict(service.environment)
    found = {key: value for key, value in own.items() if value is not None}

    def lookup(key: str) -> str | None:
        # the project's variables first: they are the caller's
        return environment[key] if key in environment else own.get(key)

    for number, file in enumerate(service.env_file):
        found |= _variables(file, lookup, place_of(places, f"services.{name}.env_file[{number}]"), name)
    variables: dict[str, str | None] = {**found, **own}
    return service._replace(environment=Pairs.of(variables.items()), env_file=())


def _variables(file: EnvFile, lookup: object, place: Place | None, service: str) -> dict[str, str]:
    assert callable(lookup)
    if not os.path.exists(file.path):
        if not file.required:
            return {}
        raise problem(
            place,
            f"services.{service}.env_file",
            f"env file {file.path} not found",
            mend=f"{_making(file.path)}, or write 'required: false' below its path",
        )
    written = read_text(file.path, "env file")
    if file.format == "raw":
        return parse_raw(written, file.path)
    if file.format:
        raise problem(
            place, f"services.{service}.env_file", f"unsupported env_file format {file.format!r}", mend="format: raw"
        )
    return parse_dotenv(written, lookup, file.path)


def _making(path: str) -> str:
    """How the file is made: many a project comes with an example of it."""
    directory, name = os.path.split(path)
    with contextlib.suppress(OSError):
        for beside in sorted(os.listdir(directory)):
            if beside.startswith(name) and any(word in beside for word in _EXAMPLES):
                return shlex.join(["cp", os.path.join(directory, beside), path])
    return "make it"


def with_labels(service: Service) -> Service:
    """`service` with the labels of its files. Raises ComposeFileError."""
    if not service.label_file:
        return service
    found: dict[str, str] = {}
    for path in service.label_file:
        found |= parse_dotenv(read_text(path, "label file"), found.get, path)
    return service._replace(labels=Pairs.of({**found, **dict(service.labels)}.items()), label_file=())
