"""Files of a project as they are published: the text as a person wrote it, but for paths of files that go along."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import yaml

from sandbox.stack.interpolation import substitute
from sandbox.stack.remote_files import is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.stack.places import Source

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Rewritten(NamedTuple):
    """A file's text, and which other files it names: absolute path -> the name that they have beside it."""

    text: str
    env_files: Mapping[str, str]
    extended: Mapping[str, str]


def published_name(path: str, ending: str) -> str:
    """What the file is called there: a path of this machine is nobody's business."""
    return sha256(path.encode()).hexdigest() + ending


def rewritten(text: str, source: Source) -> Rewritten:
    """The text of a Compose file with other names for the files of variables and those that are extended. It was read
    before, and is known to be in order.
    """
    env_files: dict[str, str] = {}
    extended: dict[str, str] = {}
    places: dict[int, tuple[int, str]] = {}
    for document in yaml.compose_all(text, Loader=_LOADER):
        for service in _values(_value(document, "services")):
            for node in _env_file_nodes(service):
                path = _absolute(node, source)
                env_files[path] = published_name(path, ".env")
                places[node.start_mark.index] = (node.end_mark.index, env_files[path])
            file = _value(_value(service, "extends"), "file")
            if isinstance(file, yaml.ScalarNode) and os.path.isfile(path := _absolute(file, source)):
                extended[path] = published_name(path, ".yaml")
                places[file.start_mark.index] = (file.end_mark.index, extended[path])
    for start in sorted(places, reverse=True):
        end, name = places[start]
        text = text[:start] + name + text[end:]
    there = {path: name for path, name in env_files.items() if os.path.isfile(path)}
    return Rewritten(text, there, extended)


def local_includes(text: str) -> bool:
    """Whether the file includes one of this machine."""
    for document in yaml.compose_all(text, Loader=_LOADER):
        included = _value(document, "include")
        for item in included.value if isinstance(included, yaml.SequenceNode) else ():
            path = item if isinstance(item, yaml.ScalarNode) else _value(item, "path")
            for each in path.value if isinstance(path, yaml.SequenceNode) else (path,):
                if isinstance(each, yaml.ScalarNode) and not is_remote(each.value):
                    return True
    return False


def _absolute(node: yaml.ScalarNode, source: Source) -> str:
    return source.absolute(substitute(node.value, source.environment.get))


def _pairs(node: yaml.Node | None) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """The entries of a mapping, those of what it merges behind its own."""
    if not isinstance(node, yaml.MappingNode):
        return
    merged: list[yaml.Node] = []
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value == "<<":
            merged += value.value if isinstance(value, yaml.SequenceNode) else (value,)
        else:
            yield key, value
    for each in merged:
        yield from _pairs(each)


def _value(node: yaml.Node | None, name: str) -> yaml.Node | None:
    for key, value in _pairs(node):
        if isinstance(key, yaml.ScalarNode) and key.value == name:
            return value
    return None


def _values(node: yaml.Node | None) -> Iterator[yaml.Node]:
    for _key, value in _pairs(node):
        yield value


def _env_file_nodes(service: yaml.Node) -> Iterator[yaml.ScalarNode]:
    found = _value(service, "env_file")
    for each in found.value if isinstance(found, yaml.SequenceNode) else (found,):
        path = _value(each, "path") if isinstance(each, yaml.MappingNode) else each
        if isinstance(path, yaml.ScalarNode):
            yield path
