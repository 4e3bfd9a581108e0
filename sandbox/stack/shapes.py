"""The readers of lists, mappings and objects, of which the tables of keys are made."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.named_tuple import NamedTuple
from sandbox.stack.errors import problem, unexpected, unknown_key
from sandbox.stack.measures import Pairs
from sandbox.stack.nodes import Mapping, Scalar, Sequence, kind_of
from sandbox.stack.reading import is_null, last_of_each, plain_of, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.stack.nodes import Node
    from sandbox.stack.reading import Reader, Reading


class ContradictionError(ValueError):
    """What the keys of an object say does not go together."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what)
        self.mend = mend


class Key(NamedTuple):
    """How a key is read, and what becomes of it: "done", "warned" or "refused", and why."""

    read: Reader
    fate: str = "done"
    why: str = ""


class Shape(NamedTuple):
    """An object: what a person would call it, the value it becomes, and its keys."""

    owner: str
    make: Callable[..., object]
    keys: dict[str, Key]
    required: tuple[str, ...] = ()
    has_extensions: bool = True
    #: keys that it has, and that are done with before it is read
    done_before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Object:
    """The reader of a shape; where `may_be_null`, nothing at all is an object with nothing in it, or None."""

    shape: Shape
    may_be_null: bool = False
    null_is_none: bool = False

    def __call__(self, reading: Reading, node: Node, path: str) -> object:
        shape = self.shape
        # where it has a name, that is its place
        reading.places.setdefault(path, node.place)
        if self.may_be_null and is_null(node):
            return None if self.null_is_none else shape.make()
        if not isinstance(node, Mapping):
            raise unexpected(node.place, path, f"a mapping, for {shape.owner},", kind_of(node))
        values: dict[str, object] = {}
        extensions: list[tuple[str, object]] = []
        for key, entry in node.entries.items():
            known = shape.keys.get(key)
            below = f"{path}.{key}" if path else key
            if known is not None:
                values[key] = known.read(reading, entry.node, below)
            elif key.startswith("x-") and shape.has_extensions:
                extensions.append((key, plain_of(entry.node)))
            else:
                raise unknown_key(entry.place, below, key, shape.owner, (*shape.keys, *shape.done_before))
        for key in shape.required:
            if key not in values:
                raise problem(node.place, path, f"{shape.owner} needs the key {key!r}")
        if extensions:
            values["extensions"] = Pairs.of(extensions)
        try:
            return shape.make(**values)
        except ContradictionError as error:
            raise problem(node.place, path, str(error), mend=error.mend) from error


@dataclass(frozen=True, slots=True)
class ListOf:
    """The reader of a list; a text alone is a list of one where `may_be_text`."""

    item: Reader
    what: str = "a list"
    may_be_text: bool = False
    #: where two elements that are alike are a slip
    is_unique: bool = False
    #: where of two elements that name one thing (before their =) the later one stands, in the place of the first
    is_set: bool = False
    #: where an element may stand for several
    is_flat: bool = False
    #: where "" is what a variable without a value left, and no element
    skips_empty: bool = False

    def __call__(self, reading: Reading, node: Node, path: str) -> object:
        reading.places[path] = node.place
        if self.may_be_text and isinstance(node, Scalar) and isinstance(node.value, str):
            return () if self.skips_empty and not node.value else (self.item(reading, node, path),)
        if not isinstance(node, Sequence):
            raise unexpected(node.place, path, self.what, kind_of(node))
        found = [self.item(reading, item, f"{path}[{number}]") for number, item in enumerate(node.items)]
        if self.skips_empty:
            found = [each for each in found if each]
        if self.is_flat:
            # a value of the model is a tuple as well, of a class of its own
            found = [each for group in found for each in (group if type(group) is tuple else (group,))]
        if self.is_unique:
            for number, value in enumerate(found):
                if value in found[:number]:
                    raise problem(node.items[number].place, f"{path}[{number}]", f"{value!r} stands twice in the list")
        return last_of_each(found, lambda value: str(value).partition("=")[0]) if self.is_set else tuple(found)


@dataclass(frozen=True, slots=True)
class MapOf:
    """The reader of a mapping whose keys are names."""

    item: Reader
    what: str = "a mapping"
    #: where a list of names may stand as well, what each of them is
    of_name: Callable[[], object] | None = None
    #: what a name is made of, where not everything will do
    is_name: Callable[[str], bool] | None = None

    def __call__(self, reading: Reading, node: Node, path: str) -> object:
        reading.places[path] = node.place
        if self.of_name is not None and isinstance(node, Sequence):
            names = ListOf(text, self.what, is_unique=True)(reading, node, path)
            assert isinstance(names, tuple)
            return Pairs.of((name, self.of_name()) for name in names)
        if not isinstance(node, Mapping):
            raise unexpected(node.place, path, self.what, kind_of(node))
        pairs = []
        for name, entry in node.entries.items():
            below = f"{path}.{name}"
            if self.is_name is not None and not self.is_name(name):
                raise problem(entry.place, below, f"{name!r} is no name", cause="letters, digits and . _ - make one")
            reading.places[below] = entry.place
            pairs.append((name, self.item(reading, entry.node, below)))
        return Pairs.of(pairs)


@dataclass(frozen=True, slots=True)
class Forms:
    """The reader of what is a text in its short form and a mapping in its long one."""

    short: Reader
    long: Reader

    def __call__(self, reading: Reading, node: Node, path: str) -> object:
        return (self.short if isinstance(node, Scalar) else self.long)(reading, node, path)
