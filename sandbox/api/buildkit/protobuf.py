"""Protocol buffers' wire format, by tables of fields: a message is a dict by the fields' names.

What is decoded has every field of its table: the kind's zero where the wire has none, () for what is repeated, {} for
maps, None for messages. Encoding leaves zeros out, as proto3 does. Fields that a table does not name are passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sandbox.api.buildkit.rpc_errors import INVALID_ARGUMENT, RpcError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Kind = Literal["int", "bool", "string", "bytes"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DEEPEST = 16
_BITS = 64


class Field(NamedTuple):
    """A field; `kind` of a map is that of its values, whose keys are strings."""

    name: str
    kind: Kind | Table
    form: Literal["one", "many", "map"] = "one"


class Table(NamedTuple):
    """A message: fields by their numbers."""

    fields: Mapping[int, Field]


class Raw(NamedTuple):
    """One field as it lies on the wire: a varint's number, or bytes."""

    number: int
    value: int | bytes


_ZEROS: Mapping[Kind, Any] = {"int": 0, "bool": False, "string": "", "bytes": b""}


def encode(table: Table, message: Mapping[str, Any]) -> bytes:
    """The message's bytes. Names that the table has not are a fault of the caller's: AssertionError."""
    assert set(message) <= {field.name for field in table.fields.values()}, "a field is in its table"
    parts: list[bytes] = []
    for number, field in table.fields.items():
        value = message.get(field.name)
        if value is None:
            continue
        if field.form == "map":
            for key, one in value.items():
                entry = _encoded(1, "string", key) + _encoded(2, field.kind, one)
                parts.append(_tag(number, _BYTES) + _varint(len(entry)) + entry)
        elif field.form == "many":
            parts += [_encoded(number, field.kind, one) for one in value]
        elif not isinstance(field.kind, Table) and value == _ZEROS[field.kind]:
            continue
        else:
            parts.append(_encoded(number, field.kind, value))
    return b"".join(parts)


def decode(table: Table, data: bytes, depth: int = 0) -> dict[str, Any]:
    """The message in `data`. Raises RpcError for what is none."""
    if depth > _DEEPEST:
        raise RpcError(INVALID_ARGUMENT, "proto: exceeded maximum recursion depth")
    found: dict[str, Any] = {field.name: _start(field) for field in table.fields.values()}
    for number, raw in _raw_fields(data):
        field = table.fields.get(number)
        if field is None:
            continue
        if field.form == "map":
            entry = decode(Table({1: Field("key", "string"), 2: Field("value", field.kind)}), _as_bytes(raw), depth + 1)
            value = entry["value"]
            # a message that is all zeros has no bytes, and may be left out of its entry
            found[field.name][entry["key"]] = _empty(field.kind, depth) if value is None else value
        elif field.form == "many":
            found[field.name].append(_decoded(field.kind, raw, depth))
        else:
            found[field.name] = _decoded(field.kind, raw, depth)
    return found


def _start(field: Field) -> Any:
    if field.form == "map":
        return {}
    if field.form == "many":
        return []
    return None if isinstance(field.kind, Table) else _ZEROS[field.kind]


def _empty(kind: Kind | Table, depth: int) -> Any:
    return decode(kind, b"", depth + 1) if isinstance(kind, Table) else _ZEROS[kind]


def _encoded(number: int, kind: Kind | Table, value: Any) -> bytes:
    if kind in ("int", "bool"):
        return _tag(number, _VARINT) + _varint(int(value))
    if isinstance(kind, Table):
        data = encode(kind, value)
    elif kind == "string":
        data = str(value).encode("utf-8", "replace")
    else:
        data = bytes(value)
    return _tag(number, _BYTES) + _varint(len(data)) + data


def _decoded(kind: Kind | Table, raw: int | bytes, depth: int) -> Any:
    if kind == "int" or kind == "bool":
        if not isinstance(raw, int):
            raise RpcError(INVALID_ARGUMENT, "proto: wrong wireType")
        if kind == "bool":
            return bool(raw)
        return raw - (1 << _BITS) if raw >> (_BITS - 1) else raw
    data = _as_bytes(raw)
    if isinstance(kind, Table):
        return decode(kind, data, depth + 1)
    if kind == "bytes":
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise RpcError(INVALID_ARGUMENT, "proto: string field contains invalid UTF-8") from None


def _as_bytes(raw: int | bytes) -> bytes:
    if isinstance(raw, int):
        raise RpcError(INVALID_ARGUMENT, "proto: wrong wireType")
    return raw


def _tag(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _varint(value: int) -> bytes:
    value &= (1 << _BITS) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _raw_fields(data: bytes) -> Iterator[Raw]:
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        if not number:
            raise RpcError(INVALID_ARGUMENT, "proto: illegal tag 0")
        if wire == _VARINT:
            value, at = _read_varint(data, at)
            yield Raw(number, value)
            continue
        if wire == _BYTES:
            size, at = _read_varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise RpcError(INVALID_ARGUMENT, f"proto: illegal wireType {wire}")
        if size > len(data) - at:
            raise RpcError(INVALID_ARGUMENT, "unexpected EOF")
        if wire == _BYTES:
            yield Raw(number, data[at : at + size])
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data):
            raise RpcError(INVALID_ARGUMENT, "unexpected EOF")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> _BITS:
                raise RpcError(INVALID_ARGUMENT, "proto: integer overflow")
            return value, at
        shift += 7
        if shift >= _BITS:
            raise RpcError(INVALID_ARGUMENT, "proto: integer overflow")
