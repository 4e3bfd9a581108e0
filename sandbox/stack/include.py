"""`include`: other files as projects of their own, with their directory and their variables, joined to this one."""

from __future__ import annotations

import os

from sandbox.named_tuple import NamedTuple
from sandbox.stack.errors import problem, unexpected, unknown_key
from sandbox.stack.merging import merged
from sandbox.stack.nodes import Entry, Mapping, Scalar, Sequence, kind_of
from sandbox.stack.remote_files import is_remote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.stack.nodes import Node
    from sandbox.stack.remote_files import Fetch

_KEYS = ("env_file", "path", "project_directory")
#: what the file that includes gets of the included one
_JOINED = ("services", "volumes", "networks", "secrets", "configs", "models")


class Included(NamedTuple):
    """One entry of `include`: absolute paths. `env_files` None takes the `.env` of its directory."""

    place: Scalar | Mapping
    paths: tuple[str, ...]
    directory: str
    env_files: tuple[str, ...] | None

    def here(self, fetch: Fetch) -> Included:
        """The same, with what lies elsewhere brought here; paths of such a file start where it lies now."""
        paths = tuple(fetch(path) if is_remote(path) else path for path in self.paths)
        starts_there = is_remote(self.paths[0]) and self.directory == os.path.dirname(self.paths[0])
        return self._replace(paths=paths, directory=os.path.dirname(paths[0]) if starts_there else self.directory)


def includes_of(tree: Mapping) -> tuple[Included, ...]:
    """What a file includes, in its order. Raises ComposeFileError."""
    node = tree.get("include")
    if node is None:
        return ()
    if not isinstance(node, Sequence):
        raise unexpected(node.place, "include", "a list", kind_of(node))
    return tuple(_included(item, f"include[{number}]") for number, item in enumerate(node.items))


def _included(node: Node, path: str) -> Included:
    if isinstance(node, Scalar) and isinstance(node.value, str):
        own = _absolute(node)
        return Included(node, (own,), os.path.dirname(own), None)
    if not isinstance(node, Mapping):
        raise unexpected(node.place, path, "a path or a mapping", kind_of(node))
    for key, entry in node.entries.items():
        if key not in _KEYS:
            raise unknown_key(entry.place, f"{path}.{key}", key, "include", _KEYS)
    paths = _paths(node.get("path"), f"{path}.path")
    if not paths:
        raise problem(node.place, path, "'path' is missing: the file that is included")
    directory = _paths(node.get("project_directory"), f"{path}.project_directory")
    env_files = node.get("env_file")
    return Included(
        node,
        paths,
        directory[0] if directory else os.path.dirname(paths[0]),
        None if env_files is None else _paths(env_files, f"{path}.env_file"),
    )


def _paths(node: Node | None, path: str) -> tuple[str, ...]:
    if node is None:
        return ()
    items = node.items if isinstance(node, Sequence) else (node,)
    found = []
    for item in items:
        if not isinstance(item, Scalar) or not isinstance(item.value, str):
            raise unexpected(item.place, path, "a path", kind_of(item))
        found.append(_absolute(item))
    return tuple(found)


def _absolute(node: Scalar) -> str:
    return node.place.source.absolute(node.text)


def joined(tree: Mapping, included: Mapping) -> Mapping:
    """`tree` with what `included` has; what both have is the included one's, changed by `tree`'s."""
    entries = dict(tree.entries)
    for noun in _JOINED:
        theirs = included.entries.get(noun)
        if theirs is None or not isinstance(theirs.node, Mapping):
            continue
        ours = entries.get(noun)
        node: Node = theirs.node
        if ours is not None and isinstance(ours.node, Mapping):
            node = _with_both(noun, theirs.node, ours.node)
        entries[noun] = Entry(theirs.place if ours is None else ours.place, node)
    return tree._replace(entries=entries)


def _with_both(noun: str, theirs: Mapping, ours: Mapping) -> Mapping:
    both = dict(theirs.entries)
    for name, entry in ours.entries.items():
        earlier = both.get(name)
        both[name] = entry if earlier is None else Entry(entry.place, merged(earlier.node, entry.node, (noun, name)))
    return ours._replace(entries=both)
