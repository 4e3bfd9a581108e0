"""What becomes of the keys that a project uses, and the table of all there are.

done       it is a part of what the project becomes
warned     it is left out, with a word to the person
refused    the project cannot run with it
"""

from __future__ import annotations

import os

from sandbox.named_tuple import NamedTuple
from sandbox.stack.errors import problem
from sandbox.stack.file_keys import FILE
from sandbox.stack.measures import Pairs
from sandbox.stack.shapes import Forms, ListOf, MapOf, Object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.stack.project import Project
    from sandbox.stack.reading import Reader
    from sandbox.stack.shapes import Shape


#: left out of Compose's own projects, and a part of stacks
_OF_STACKS = (".deploy.placement", ".template_driver")
_SELINUX = "/sys/fs/selinux"


class KeyFate(NamedTuple):
    """One key, by its path: in the table with NAME and [] for what may be anything."""

    path: str
    fate: str
    why: str


def all_keys() -> Iterator[KeyFate]:
    """Every key of the specification, in the order of a file."""
    yield KeyFate("include", "done", "")
    yield from _keys_of(FILE, "")


def _keys_of(shape: Shape, above: str) -> Iterator[KeyFate]:
    for name, key in shape.keys.items():
        path = f"{above}.{name}" if above else name
        yield KeyFate(path, key.fate, key.why)
        inner, below = _inner(key.read, path)
        if inner is not None:
            yield from _keys_of(inner, below)
    if shape.owner == "a service":
        yield from (KeyFate(f"{above}.extends{key}", "done", "") for key in ("", ".file", ".service"))


def _inner(read: Reader, path: str) -> tuple[Shape | None, str]:
    """The shape that a reader ends in, and the path down to it."""
    if isinstance(read, Object):
        return read.shape, path
    if isinstance(read, ListOf):
        return _inner(read.item, f"{path}[]")
    if isinstance(read, MapOf):
        return _inner(read.item, f"{path}.NAME")
    if isinstance(read, Forms):
        found = _inner(read.long, path)
        return found if found[0] is not None else _inner(read.short, path)
    return None, path


def fates_of(project: Project) -> Iterator[KeyFate]:
    """The keys of a project that are not simply done, with the paths of their values."""
    yield from _fates(FILE, project, "")


def check_supported(project: Project) -> None:
    """Raise ComposeFileError for the first key that the project cannot run with."""
    for fate in fates_of(project):
        if fate.fate == "refused":
            from sandbox.stack.consistency import place_of

            raise problem(place_of(project.places, fate.path), fate.path, f"this is not supported: {fate.why}")


def left_out(project: Project) -> Iterator[str]:
    """The keys that are left out, a sentence each."""
    for fate in fates_of(project):
        # where nothing is labelled, nothing is left out
        if fate.fate == "warned" and (not fate.path.endswith(".selinux") or os.path.isdir(_SELINUX)):
            yield f"{fate.path} is left out: {fate.why}"


def left_out_of_stack(project: Project) -> Iterator[str]:
    """As `left_out`, but for what stacks have and projects have not."""
    return (line for line in left_out(project) if not line.partition(" ")[0].endswith(_OF_STACKS))


def _fates(shape: Shape, value: object, path: str) -> Iterator[KeyFate]:
    if not hasattr(value, "_field_defaults"):
        return
    defaults = value._field_defaults
    for name, key in shape.keys.items():
        each = getattr(value, name, None)
        if each is None or each == defaults.get(name):
            continue
        below = f"{path}.{name}" if path else name
        if key.fate != "done":
            yield KeyFate(below, key.fate, key.why)
        inner, _ = _inner(key.read, "")
        if inner is not None:
            yield from _inside(inner, each, below)


def _inside(shape: Shape, value: object, path: str) -> Iterator[KeyFate]:
    if isinstance(value, Pairs):
        for name, each in value:
            yield from _inside(shape, each, f"{path}.{name}")
    elif isinstance(value, tuple) and not hasattr(value, "_fields"):
        for number, each in enumerate(value):
            yield from _inside(shape, each, f"{path}[{number}]")
    else:
        yield from _fates(shape, value, path)
