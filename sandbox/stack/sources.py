"""Which files a project is made of, where its paths start, and what it is called."""

from __future__ import annotations

import os

from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple
from sandbox.stack.errors import ComposeFileError
from sandbox.stack.loading import STANDARD_INPUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: in this order
FILE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_OVERRIDE_NAMES = (
    "compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml",
)  # fmt: skip
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")


class Found(NamedTuple):
    """Absolute paths, and what was noticed while they were looked for."""

    files: tuple[str, ...]
    notes: tuple[str, ...] = ()


def find_files(named: Sequence[str], environment: Mapping[str, str], caller: str, directory: str) -> Found:
    """The files that are named, or that COMPOSE_FILE names; else those of `directory` or of the nearest above it.

    Relative paths start from `caller`. Raises ComposeFileError where there is none.
    """
    if not named:
        separator = environment.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
        named = [path for path in environment.get("COMPOSE_FILE", "").split(separator) if path]
    if not named:
        return _default_files(directory)
    files = [path if path == STANDARD_INPUT else os.path.normpath(os.path.join(caller, path)) for path in named]
    for path, written in zip(files, named, strict=True):
        if path != STANDARD_INPUT and not os.path.isfile(path):
            what = "is a directory" if os.path.isdir(path) else "no such file"
            beside = _first_of(FILE_NAMES, path) if os.path.isdir(path) else ""
            raise ComposeFileError(
                f"cannot read {written}: {what}", mend=f"-f {os.path.join(written, beside)}" if beside else ""
            )
    return Found(tuple(files))


def _default_files(directory: str) -> Found:
    place = directory
    while True:
        found = [name for name in FILE_NAMES if os.path.isfile(os.path.join(place, name))]
        if found:
            break
        above = os.path.dirname(place)
        if above == place:
            raise ComposeFileError(
                "no configuration file provided: not found",
                cause=f"neither {directory} nor a directory above it has a {FILE_NAMES[0]}",
                mend="name the file: -f FILE",
            )
        place = above
    notes = _several("config", found) if len(found) > 1 else ()
    files = [found[0]]
    overrides = [name for name in _OVERRIDE_NAMES if os.path.isfile(os.path.join(place, name))]
    if overrides:
        files.append(overrides[0])
        notes += _several("override", overrides) if len(overrides) > 1 else ()
    return Found(tuple(os.path.join(place, name) for name in files), notes)


def _several(what: str, names: Sequence[str]) -> tuple[str, ...]:
    return (f"Found multiple {what} files with supported names: {', '.join(names)}", f"Using {names[0]}")


def _first_of(names: Sequence[str], directory: str) -> str:
    return next((name for name in names if os.path.isfile(os.path.join(directory, name))), "")


def normal_name(text: str) -> str:
    """What a project may be called, of `text`: lower case, letters and digits, - and _ behind the first."""
    kept = "".join(char for char in text.lower() if char in _NAME_CHARACTERS)
    return kept.lstrip("_-")


def check_name(name: str) -> str:
    """`name` again. Raises UsageError for one that no project can have."""
    if not name or normal_name(name) != name:
        raise UsageError(
            f"invalid project name {name!r}: must consist only of lowercase alphanumeric characters, hyphens, and "
            "underscores as well as start with a letter or number",
            mend=f"-p {normal_name(name)}" if normal_name(name) else "-p NAME",
        )
    return name
