"""The readers of texts, numbers, sizes, spans of time and NAME=VALUE pairs: from a node to a value."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.errors import UsageError
from sandbox.grammar.sizes import parse_size
from sandbox.stack.errors import problem, unexpected
from sandbox.stack.measures import Bytes, Mode, Nanoseconds, Pairs, parse_duration_ns
from sandbox.stack.nodes import Mapping, Scalar, Sequence, kind_of
from sandbox.stack.reading import is_null, text
from sandbox.stack.yaml_scalars import has_leading_zero, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.stack.nodes import Node
    from sandbox.stack.reading import Reading

_TRUE, _FALSE = frozenset({"true", "y", "yes", "on"}), frozenset({"false", "n", "no", "off"})
_LARGEST = 2**63 - 1


def _kept(node: Node) -> str:
    assert isinstance(node, Scalar)
    return node.text


def scalar_text(reading: Reading, node: Node, path: str) -> str:
    """A text, a number or a boolean, as a text; nothing is "". Raises ComposeFileError."""
    reading.places[path] = node.place
    if not isinstance(node, Scalar):
        raise unexpected(node.place, path, "a text or a number", kind_of(node))
    return text_of(node.value, "" if node.value is None else node.text)


def given_scalar(reading: Reading, node: Node, path: str) -> str:
    """A text, a number or a boolean, as a text. Raises ComposeFileError."""
    if is_null(node):
        raise unexpected(node.place, path, "a text or a number", kind_of(node))
    return scalar_text(reading, node, path)


def text_or_boolean(reading: Reading, node: Node, path: str) -> str:
    """A text, or true or false, as a text. Raises ComposeFileError."""
    if not isinstance(node, Scalar) or not isinstance(node.value, (str, bool)):
        raise unexpected(node.place, path, "a text, or true or false,", kind_of(node))
    return scalar_text(reading, node, path)


def text_or_number(reading: Reading, node: Node, path: str) -> str:
    """A text or a number, as a text. Raises ComposeFileError."""
    if isinstance(node, Scalar) and (node.value is None or isinstance(node.value, bool)):
        raise unexpected(node.place, path, "a text or a number", kind_of(node))
    return scalar_text(reading, node, path)


def text_or_integer(reading: Reading, node: Node, path: str) -> str:
    """A text or a whole number, as a text. Raises ComposeFileError."""
    if isinstance(node, Scalar) and isinstance(node.value, float):
        raise unexpected(node.place, path, "a text or a whole number", kind_of(node))
    return text_or_number(reading, node, path)


def text_or_null(reading: Reading, node: Node, path: str) -> str:
    """A text, or nothing, which is "". Raises ComposeFileError."""
    return "" if is_null(node) else text(reading, node, path)


def host_path(reading: Reading, node: Node, path: str) -> str:
    """A path, absolute by where its file is. Raises ComposeFileError."""
    text(reading, node, path)
    assert isinstance(node, Scalar)
    return reading.path(node)


def boolean(reading: Reading, node: Node, path: str) -> object:
    """true or false; what a variable stood for may be yes and no too. Raises ComposeFileError."""
    reading.places[path] = node.place
    if isinstance(node, Scalar):
        if isinstance(node.value, bool) or reading.keeps(node):
            return node.value
        if isinstance(node.value, str) and node.value.lower() in _TRUE | _FALSE:
            return node.value.lower() in _TRUE
    raise unexpected(node.place, path, "true or false", kind_of(node))


def integer(reading: Reading, node: Node, path: str) -> object:
    """A whole number, as a number or as a text. Raises ComposeFileError."""
    reading.places[path] = node.place
    if isinstance(node, Scalar) and not isinstance(node.value, bool):
        if reading.keeps(node):
            return node.value
        number = _whole(node)
        if number is not None and -_LARGEST <= number <= _LARGEST:
            return number
    raise unexpected(node.place, path, "a whole number", kind_of(node))


def _whole(node: Scalar) -> int | None:
    value = node.value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        digits = value.removeprefix("-")
        return int(value) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None
    return value


@dataclass(frozen=True, slots=True)
class Within:
    """The reader of a whole number from `least` to `most`."""

    least: int
    most: int = _LARGEST

    def __call__(self, reading: Reading, node: Node, path: str) -> object:
        number = integer(reading, node, path)
        if isinstance(number, int) and not self.least <= number <= self.most:
            limits = f"of {self.least} at least" if self.most == _LARGEST else f"from {self.least} to {self.most}"
            raise unexpected(node.place, path, f"a whole number {limits}", f"the number {number}")
        return number


def decimal(reading: Reading, node: Node, path: str) -> object:
    """A number with or without a point. Raises ComposeFileError."""
    reading.places[path] = node.place
    if isinstance(node, Scalar) and not isinstance(node.value, bool):
        if reading.keeps(node):
            return node.value
        try:
            number = float(node.text)
        except ValueError:
            number = float("nan")
        if number == number and abs(number) < 2**63:
            return int(number) if number.is_integer() else number
    raise unexpected(node.place, path, "a number", kind_of(node))


def size(reading: Reading, node: Node, path: str) -> object:
    """Bytes, of a number or of a text such as 64m. Raises ComposeFileError."""
    reading.places[path] = node.place
    if reading.keeps(node):
        return _kept(node)
    if isinstance(node, Scalar) and isinstance(node.value, int) and not isinstance(node.value, bool):
        return Bytes(node.value)
    if isinstance(node, Scalar) and node.value is not None and not isinstance(node.value, bool):
        if node.text == "-1":
            return Bytes(-1)
        try:
            return Bytes(parse_size(node.text))
        except UsageError as error:
            raise problem(node.place, path, error.message, mend="write a size as 512m or 2g") from error
    raise unexpected(node.place, path, "a size, such as 512m", kind_of(node))


def whole_size(reading: Reading, node: Node, path: str) -> object:
    """As `size`, of no less than nothing and no part of a byte. Raises ComposeFileError."""
    found = size(reading, node, path)
    if isinstance(found, Bytes) and (found < 0 or (isinstance(node, Scalar) and isinstance(node.value, float))):
        raise unexpected(node.place, path, "a whole number of bytes", kind_of(node))
    return found


def duration(reading: Reading, node: Node, path: str) -> object:
    """A span of time. Raises ComposeFileError."""
    written = text(reading, node, path)
    if reading.keeps(node):
        return written
    value_ns = parse_duration_ns(written)
    if value_ns is None:
        raise problem(node.place, path, f"{written!r} is no duration", mend="write one as 1m30s")
    return Nanoseconds(value_ns)


def mode(reading: Reading, node: Node, path: str) -> object:
    """Permission bits: octal where they begin with a zero or stand in quotes. Raises ComposeFileError."""
    reading.places[path] = node.place
    if reading.keeps(node):
        return _kept(node)
    if isinstance(node, Scalar) and isinstance(node.value, int) and not isinstance(node.value, bool):
        return Mode(node.value)
    if isinstance(node, Scalar) and isinstance(node.value, str):
        digits = node.value.removeprefix("0o")
        if digits and not digits.strip("01234567") and len(digits) < 8:
            return Mode(int(digits, 8))
    raise unexpected(node.place, path, "permission bits, such as 0440", kind_of(node))


def plain_mode(reading: Reading, node: Node, path: str) -> object:
    """Permission bits that are printed as a plain number; octal where they begin with a zero.

    Raises ComposeFileError.
    """
    if isinstance(node, Scalar) and isinstance(node.value, str) and not has_leading_zero(node.value):
        return integer(reading, node, path)
    found = mode(reading, node, path)
    return int(found) if isinstance(found, Mode) else found


@dataclass(frozen=True, slots=True)
class OneOf:
    """The reader of a text of a few."""

    allowed: tuple[str, ...]

    def __call__(self, reading: Reading, node: Node, path: str) -> str:
        written = text(reading, node, path)
        if written not in self.allowed and not reading.keeps(node):
            from sandbox.near_names import nearest

            near = nearest(written, self.allowed)
            raise problem(
                node.place,
                path,
                f"{written!r} is none of {', '.join(self.allowed)}",
                mend=f"write {near!r}" if near else "",
            )
        return written


def pairs(reading: Reading, node: Node, path: str) -> object:
    """NAME=VALUE, as a list or as a mapping; a name alone has None. Raises ComposeFileError."""
    reading.places[path] = node.place
    if isinstance(node, Sequence):
        found: list[tuple[str, str | None]] = []
        for number, item in enumerate(node.items):
            written = text(reading, item, f"{path}[{number}]")
            name, equals, value = written.partition("=")
            if not name or name[-1].isspace():
                raise problem(item.place, f"{path}[{number}]", f"{written!r} is no NAME=VALUE")
            found.append((name, value if equals else None))
        return Pairs.of(found)
    if not isinstance(node, Mapping):
        raise unexpected(node.place, path, "a mapping, or a list of NAME=VALUE,", kind_of(node))
    entries = []
    for name, entry in node.entries.items():
        below = f"{path}.{name}"
        value_text = None if is_null(entry.node) else scalar_text(reading, entry.node, below)
        reading.places[below] = entry.place
        entries.append((name, value_text))
    return Pairs.of(entries)


def labels(reading: Reading, node: Node, path: str) -> object:
    """As `pairs`; a name alone has "". Raises ComposeFileError."""
    found = pairs(reading, node, path)
    return Pairs.of((name, value or "") for name, value in found) if isinstance(found, Pairs) else found


def caller_pairs(reading: Reading, node: Node, path: str) -> object:
    """As `pairs`; a name alone has the value that the caller's environment gives it. Raises ComposeFileError."""
    found = pairs(reading, node, path)
    if not isinstance(found, Pairs):
        return found
    environment = node.place.source.environment
    return Pairs.of((name, environment.get(name) if value is None else value) for name, value in found)


def known_pairs(reading: Reading, node: Node, path: str) -> object:
    """As `caller_pairs`, without the names that have no value there either. Raises ComposeFileError."""
    found = caller_pairs(reading, node, path)
    if not isinstance(found, Pairs):
        return found
    return Pairs.of((name, value) for name, value in found if value is not None)
