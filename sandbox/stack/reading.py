"""One reading of a tree, and what every reader of it is in need of."""

from __future__ import annotations

from sandbox.stack.errors import unexpected
from sandbox.stack.measures import Pairs
from sandbox.stack.nodes import Mapping, Scalar, Sequence, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    from sandbox.stack.nodes import Node
    from sandbox.stack.places import Place

    Reader = Callable[["Reading", Node, str], object]
    _V = TypeVar("_V")


class Reading:
    """One reading of a tree: how, and what was met on the way."""

    def __init__(self, *, is_lenient: bool = False, resolves_paths: bool = True) -> None:
        #: a text with a `$` stands for what it will be, and is kept where another value would be expected
        self.is_lenient = is_lenient
        self.resolves_paths = resolves_paths
        self.places: dict[str, Place] = {}
        #: what a person should be told, though nothing is wrong
        self.notes: list[str] = []

    def keeps(self, node: Node) -> bool:
        """Whether a scalar is a text with variables that nobody has filled in."""
        return self.is_lenient and isinstance(node, Scalar) and isinstance(node.value, str) and "$" in node.value

    def path(self, node: Scalar) -> str:
        """A path of the host: absolute, from the directory of the file that names it."""
        text = node.text
        if not self.resolves_paths or not text or self.keeps(node):
            return text
        return node.place.source.absolute(text)


def is_null(node: Node) -> bool:
    """Whether a key stands there with nothing behind it."""
    return isinstance(node, Scalar) and node.value is None


def is_resource_name(name: str) -> bool:
    """Whether `name` may name a service, a network, a volume, a secret or a config."""
    return bool(name) and name.isascii() and all(char.isalnum() or char in "._-" for char in name)


def last_of_each(values: Iterable[_V], key: Callable[[_V], object]) -> tuple[_V, ...]:
    """One value for each key: the last, where the first stood."""
    found: dict[object, _V] = {}
    for value in values:
        found[key(value)] = value
    return tuple(found.values())


def plain_of(node: Node) -> object:
    """What a node says as Python's own values, for what is kept unread."""
    if isinstance(node, Sequence):
        return tuple(plain_of(item) for item in node.items)
    if isinstance(node, Mapping):
        return Pairs.of((key, plain_of(entry.node)) for key, entry in node.entries.items())
    return node.value if isinstance(node, Scalar) else None


def text(reading: Reading, node: Node, path: str) -> str:
    """A text. Raises ComposeFileError for a number or a boolean, which mean a text only in quotes."""
    reading.places[path] = node.place
    if isinstance(node, Scalar) and isinstance(node.value, str):
        return node.value
    quoted = isinstance(node, Scalar) and node.value is not None
    error = unexpected(node.place, path, "a text", kind_of(node))
    if quoted and isinstance(node, Scalar):
        error.mend = f'write "{node.text}" in quotes'
    raise error
