"""Text of a file -> its trees, one for each document; by PyYAML's scanner (that of libyaml where there is one).

PyYAML's own composer recurses as deep as the text wants, takes the last of equal keys, and lets ten lines of aliases
stand for a billion nodes: this one is over its events, and refuses each of them by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from sandbox.stack.errors import problem, unexpected
from sandbox.stack.nodes import Entry, Mapping, Node, Reset, Scalar, Sequence, kind_of
from sandbox.stack.places import Place
from sandbox.stack.yaml_scalars import resolve_plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.stack.errors import ComposeFileError
    from sandbox.stack.places import Source

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 100
#: nodes, aliases counted each time
_MOST_NODES = 100_000
_MOST_BYTES = 8 << 20
_RESET, _OVERRIDE = "!reset", "!override"
_CORE = "tag:yaml.org,2002:"
_KNOWN_TAGS = frozenset({_RESET, _OVERRIDE, "!", *(_CORE + name for name in ("str", "int", "float", "bool", "null",
                                                                            "map", "seq", "merge"))})  # fmt: skip


def read_documents(data: bytes, source: Source) -> tuple[Node, ...]:
    """The documents of a file; a document with nothing in it is left out. Raises ComposeFileError."""
    if len(data) > _MOST_BYTES:
        raise problem(None, "", f"{source.name} is too long", cause=f"{len(data)} bytes are more than {_MOST_BYTES}")
    try:
        composer = _Composer(yaml.parse(data.removeprefix(b"\xef\xbb\xbf"), Loader=_LOADER), source)
        return tuple(node for node in composer.documents() if not (isinstance(node, Scalar) and node.value is None))
    except yaml.YAMLError as error:
        raise _syntax_error(error, data, source) from error


def _syntax_error(error: yaml.YAMLError, data: bytes, source: Source) -> ComposeFileError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    context = getattr(error, "context", None)
    place = Place(source, mark.line + 1, mark.column + 1) if mark is not None else None
    named = "" if place is not None else f"{source.name}: "
    # libyaml does not say which character it was
    is_tab = mark is not None and _line_of(data, mark.line)[mark.column :].startswith("\t")
    mend = "indent by blanks" if is_tab else ""
    return problem(place, "", f"{named}this is no YAML: {what}", cause=str(context or ""), mend=mend)


def _line_of(data: bytes, number: int) -> str:
    lines = data.removeprefix(b"\xef\xbb\xbf").decode(errors="replace").split("\n")
    return lines[number] if number < len(lines) else ""


class _Composer:
    def __init__(self, events: Iterator[Any], source: Source) -> None:
        # PyYAML's stubs leave events untyped
        self._events = events
        self._source = source
        self._anchors: dict[str, Node | None] = {}
        self._total = 0

    def documents(self) -> Iterator[Node]:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors.clear()
                self._total = 0
                yield self._node(next(self._events), 0)

    def _place(self, event: Any) -> Place:
        return Place(self._source, event.start_mark.line + 1, event.start_mark.column + 1)

    def _node(self, event: Any, depth: int) -> Node:
        if depth > _DEEPEST:
            raise problem(self._place(event), "", f"values are nested more than {_DEEPEST} deep")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if event.tag is not None and event.tag not in _KNOWN_TAGS:
            raise problem(
                self._place(event), "", f"unknown tag {event.tag!r}", cause=f"{_RESET} and {_OVERRIDE} are known"
            )
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node: Node = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, depth)
        else:
            node = self._mapping(event, depth)
        if event.tag == _RESET:
            node = Reset(node.place)
        elif event.tag == _OVERRIDE:
            node = node._replace(replaces=True)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._count(event, 1)
        return node

    def _count(self, event: Any, weight: int) -> None:
        self._total += weight
        if self._total > _MOST_NODES:
            raise problem(
                self._place(event),
                "",
                f"the file stands for more than {_MOST_NODES} values",
                cause="aliases of aliases multiply what they name",
            )

    def _alias(self, event: Any) -> Node:
        name = event.anchor
        if name not in self._anchors:
            from sandbox.near_names import nearest

            near = nearest(name, self._anchors)
            raise problem(
                self._place(event), "", f"no anchor {name!r} stands above", mend=f"write *{near}" if near else ""
            )
        node = self._anchors[name]
        if node is None:
            raise problem(self._place(event), "", f"the anchor {name!r} stands for itself")
        self._count(event, node.weight)
        return node

    def _scalar(self, event: Any) -> Scalar:
        text = event.value
        is_plain = not event.style and event.implicit[0]
        if event.tag in (None, _RESET, _OVERRIDE) and is_plain:
            return Scalar(self._place(event), resolve_plain(text), text)
        if event.tag in (_RESET, _OVERRIDE) and not event.style:
            return Scalar(self._place(event), resolve_plain(text), text)
        if event.tag is not None and event.tag.startswith(_CORE) and event.tag != _CORE + "str":
            return Scalar(self._place(event), resolve_plain(text), text)
        return Scalar(self._place(event), text, text)

    def _sequence(self, event: Any, depth: int) -> Sequence:
        items: list[Node] = []
        while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(inner, depth + 1))
        return Sequence(self._place(event), tuple(items), 1 + sum(item.weight for item in items))

    def _mapping(self, event: Any, depth: int) -> Mapping:
        entries: dict[str, Entry] = {}
        merged: Entry | None = None
        while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
            place = self._place(inner)
            is_merge = isinstance(inner, yaml.ScalarEvent) and inner.value == "<<" and inner.implicit[0]
            key = self._key(inner, depth)
            value = self._node(next(self._events), depth + 1)
            earlier = merged if is_merge else entries.get(key)
            if earlier is not None:
                raise problem(
                    place, "", f"the key {key!r} stands here twice", cause=f"the first is in line {earlier.place.line}"
                )
            if is_merge:
                merged = Entry(place, value)
            else:
                entries[key] = Entry(place, value)
        if merged is not None:
            entries = self._merged(entries, merged.node)
        weight = 1 + sum(1 + entry.node.weight for entry in entries.values())
        return Mapping(self._place(event), entries, weight)

    def _key(self, event: Any, depth: int) -> str:
        place = self._place(event)
        node = self._node(event, depth + 1)
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return node.value
        if isinstance(node, Scalar) and node.value is not None:
            raise problem(place, "", f"a key is a text, and {node.text} is none", mend=f"write '{node.text}' in quotes")
        raise unexpected(place, "", "a key", kind_of(node))

    def _merged(self, own: dict[str, Entry], node: Node) -> dict[str, Entry]:
        """`own` over the mappings of `<<`, of which the first goes before the later ones."""
        found: dict[str, Entry] = {}
        for each in node.items if isinstance(node, Sequence) else (node,):
            if not isinstance(each, Mapping):
                self._refuse_merge(each)
            for key, entry in each.entries.items():
                found.setdefault(key, entry)
        return {**found, **own}

    def _refuse_merge(self, node: Node) -> NoReturn:
        raise unexpected(node.place, "<<", "a mapping or a list of mappings", kind_of(node))
