"""The tree of a file: scalars, sequences and mappings, each with its place; `!reset` and `!override` are kept."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.stack.places import Place

ScalarValue = str | int | float | bool | None


class Scalar(NamedTuple):
    """One value; `text` is as it was written, without quotes."""

    place: Place
    value: ScalarValue
    text: str
    #: tagged `!override`: what the file overrides is forgotten, and not merged with
    replaces: bool = False

    @property
    def weight(self) -> int:
        """How many nodes it stands for."""
        return 1


class Sequence(NamedTuple):
    """A list; `weight` counts the nodes below it, those of aliases each time that they are named."""

    place: Place
    items: tuple[Node, ...]
    weight: int = 1
    replaces: bool = False


class Entry(NamedTuple):
    """One key of a mapping: where the key stands, and its value."""

    place: Place
    node: Node


class Mapping(NamedTuple):
    """Keys in their order; `weight` as that of a sequence."""

    place: Place
    entries: dict[str, Entry]
    weight: int = 1
    replaces: bool = False

    def get(self, key: str) -> Node | None:
        """The value of `key`; None where there is none, and where it was reset."""
        entry = self.entries.get(key)
        return None if entry is None or isinstance(entry.node, Reset) else entry.node


class Reset(NamedTuple):
    """`!reset`: the key is taken away from what the file overrides."""

    place: Place
    replaces: bool = True

    @property
    def weight(self) -> int:
        """How many nodes it stands for."""
        return 1


Node = Scalar | Sequence | Mapping | Reset


def kind_of(node: Node) -> str:
    """What a node is, in words for a person."""
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Reset):
        return "nothing"
    value = node.value
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {node.text}"
    if isinstance(value, int | float):
        return f"the number {node.text}"
    return f"the text {value!r}" if len(value) <= 40 else "a text"


def without_resets(node: Node) -> Node:
    """The tree as it stands when all it overrides is merged: nothing in it resets or replaces any more."""
    if isinstance(node, Mapping):
        kept = {
            key: entry._replace(node=without_resets(entry.node))
            for key, entry in node.entries.items()
            if not isinstance(entry.node, Reset)
        }
        return node._replace(entries=kept, replaces=False)
    if isinstance(node, Sequence):
        items = tuple(without_resets(item) for item in node.items if not isinstance(item, Reset))
        return node._replace(items=items, replaces=False)
    return node if isinstance(node, Reset) else node._replace(replaces=False)
