"""Values and errors as JSON-plain data: arguments, results and progress of an operation.

None, truth values, numbers, texts and lists are themselves. Everything else is an object of one key, which says what
it is: "tuple", "set", "map", "bytes" (base64), "descriptor" (its place among those that are sent along), and "record",
a NamedTuple of ours with the fields that differ from their defaults. No pickle: what comes in makes values of these
kinds and errors of ours, and calls nothing else.
"""

from __future__ import annotations

import sys
from binascii import a2b_base64, b2a_base64
from importlib import import_module

from sandbox.errors import SandboxError
from sandbox.protocol.frames import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

#: the packages whose records and errors are made again on the other side
_PACKAGES = frozenset({"sandbox", "net", "storage"})


class Descriptor(int):
    """An open file of the caller's among the values of a call: the operation gets the number that it has there.

    It stays the caller's to close; the operation's own copy ends with the worker. In a result it is a file of the
    worker's, of which the caller gets a copy to close.
    """


class Encoder:
    """Values to plain data. `descriptors` are the numbers that must be sent along, in order."""

    def __init__(self) -> None:
        self.descriptors: list[int] = []

    def encode(self, value: Any) -> Any:  # Any: whatever an operation takes or gives
        """`value` as plain data. Raises TypeError for what is no value."""
        kind = type(value)
        if value is None or kind in (bool, int, float, str):
            return value
        if kind is list:
            return [self.encode(item) for item in value]
        if kind is tuple:
            return {"tuple": [self.encode(item) for item in value]}
        if kind in (bytes, bytearray):
            return {"bytes": b2a_base64(value, newline=False).decode()}
        if kind is dict:
            return {"map": [[self.encode(key), self.encode(item)] for key, item in value.items()]}
        if kind in (set, frozenset):
            return {"set": [self.encode(item) for item in value]}
        if kind is Descriptor:
            self.descriptors.append(int(value))
            return {"descriptor": len(self.descriptors) - 1}
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            return {"record": [_name_of(kind), self._fields(value)]}
        if isinstance(value, int):
            # a signal's number, of the module `signal`
            return int(value)
        raise TypeError(f"{value!r} is no value that an operation can be sent")

    def _fields(self, record: Any) -> dict[str, Any]:  # Any: NamedTuple has no type of its own
        defaults = record._field_defaults
        return {
            name: self.encode(item)
            for name, item in zip(record._fields, record, strict=True)
            if name not in defaults or item is not defaults[name]
        }


class Decoder:
    """Plain data to values; `descriptors` are those that came along."""

    def __init__(self, descriptors: Sequence[int] = ()) -> None:
        self._descriptors = descriptors
        self._makers: dict[str, Callable[[Any], Any]] = {
            "tuple": lambda items: tuple([self.decode(item) for item in items]),
            "bytes": a2b_base64,
            "map": lambda pairs: {self.decode(key): self.decode(item) for key, item in pairs},
            "set": lambda items: frozenset([self.decode(item) for item in items]),
            "descriptor": lambda place: Descriptor(self._descriptors[place]),
            "record": self._record,
        }

    def decode(self, plain: Any) -> Any:  # Any: JSON
        """The value. Raises ProtocolError for what is none."""
        if isinstance(plain, list):
            return [self.decode(item) for item in plain]
        if not isinstance(plain, dict):
            return plain
        try:
            ((tag, content),) = plain.items()
            return self._makers[tag](content)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise ProtocolError("a message holds what is no value", cause=str(error)) from error

    def _record(self, content: list[Any]) -> Any:
        name, fields = content
        kind = _class_of(name)
        if kind is None or not issubclass(kind, tuple) or not hasattr(kind, "_fields"):
            raise ProtocolError(f"{name} is no record")
        return kind(**{field: self.decode(item) for field, item in fields.items()})


def encode_error(error: SandboxError) -> dict[str, Any]:
    """An error as plain data: its classes, message and own fields."""
    classes = [_name_of(kind) for kind in type(error).__mro__ if issubclass(kind, SandboxError)]
    fields: dict[str, Any] = {}
    for name, value in vars(error).items():
        try:
            fields[name] = Encoder().encode(value)
        except TypeError:
            continue  # no value: of interest on that side alone
    return {"classes": classes, "message": str(error), "fields": fields}


def decode_error(plain: dict[str, Any]) -> SandboxError:
    """The error that `encode_error` made `plain` of: of its own class, or of the nearest one that is known here."""
    for name in plain["classes"]:
        kind = _class_of(name)
        if kind is not None and issubclass(kind, SandboxError):
            # not by its constructor, of which each class has its own
            error = kind.__new__(kind, plain["message"])
            vars(error).update((field, Decoder().decode(item)) for field, item in plain["fields"].items())
            return error
    return SandboxError(plain["message"])


def _name_of(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _class_of(name: str) -> type | None:
    module_name, _, word = name.partition(":")
    if module_name.partition(".")[0] not in _PACKAGES:
        return None
    try:
        module = sys.modules.get(module_name) or import_module(module_name)
    except ImportError:
        return None
    found = getattr(module, word, None)
    return found if isinstance(found, type) else None
