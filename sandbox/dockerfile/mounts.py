"""`RUN --mount=…`: one mount with all its options.

The text is read twice: when the file is parsed only `from` is looked at, for variables have no values yet and may
stand anywhere else; when the instruction runs, `read_mount` reads all of it with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from sandbox.dockerfile.directives import FALSE, TRUE
from sandbox.dockerfile.errors import WordError, did_you_mean
from sandbox.errors import UsageError
from sandbox.grammar.comma_fields import split_fields
from sandbox.grammar.sizes import parse_size

if TYPE_CHECKING:
    from collections.abc import Callable

MountType = Literal["bind", "cache", "tmpfs", "secret", "ssh"]
Sharing = Literal["", "shared", "private", "locked"]

_TYPES: tuple[MountType, ...] = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARINGS: tuple[Sharing, ...] = ("shared", "private", "locked")
_LARGEST = 2**32 - 1

#: every name of an option -> the one it is kept under
_KEYS = {
    "type": "type",
    "from": "source_name",
    "source": "source",
    "src": "source",
    "target": "target",
    "dst": "target",
    "destination": "target",
    "readonly": "readonly",
    "ro": "readonly",
    "readwrite": "readwrite",
    "rw": "readwrite",
    "required": "required",
    "size": "size",
    "id": "id",
    "sharing": "sharing",
    "mode": "mode",
    "uid": "uid",
    "gid": "gid",
    "env": "env",
}
_SWITCHES = ("readonly", "readwrite", "required")
_OWNED = ("cache", "secret", "ssh")


class Mount(NamedTuple):
    """A mount of one RUN. `source_name` is the stage, image or context of `from=`; `None` is an option not given.

    `mode` is permission bits.
    """

    type: MountType = "bind"
    source_name: str = ""
    source: str = ""
    target: str = ""
    readonly: bool = True
    size_bytes: int = 0
    id: str = ""
    sharing: Sharing = ""
    required: bool = False
    #: secret: the variable it is given in
    env: str | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


def check_mount(text: str) -> str:
    """The `from` of a mount that is not expanded yet. Raises WordError where it holds a variable, or quotes are bad."""
    source_name = ""
    for field in _fields(text):
        key, equals, value = field.partition("=")
        if equals and key.lower() == "from":
            if "$" in value[:-1]:
                raise WordError(
                    "'from' of a mount takes no variables", mend=f"FROM {value} AS NAME, and from=NAME in the mount"
                )
            source_name = value
    return source_name


def read_mount(text: str, expand: Callable[[str], str]) -> Mount:
    """The mount, each value given to `expand` first. Raises WordError, and what `expand` raises."""
    values: dict[str, str] = {}
    readonly: bool | None = None
    for field in _fields(text):
        key, value = _read_field(field, expand)
        if key in ("readonly", "readwrite"):
            readonly = _switch(field, value) == (key == "readonly")
        # the options are read in their order, and these two are refused before a type that has them
        if key in ("required", "size"):
            _check_type_has(key, values.get("type", "bind"))
        values[key] = value
    mount = _build(values)
    if readonly is None:
        readonly = mount.type not in ("cache", "tmpfs")
    mount = mount._replace(readonly=readonly)
    _check_together(mount)
    return mount


def _fields(text: str) -> list[str]:
    try:
        return split_fields(text)
    except UsageError as error:
        raise WordError(f"mount {text!r}: {error.message}") from error


def _read_field(field: str, expand: Callable[[str], str]) -> tuple[str, str]:
    name, equals, value = field.partition("=")
    key = _KEYS.get(name.lower(), "")
    if not equals:
        if key not in _SWITCHES:
            raise WordError(f"mount option {field!r} must be key=value")
        return key, "true"
    value = expand(value)
    if not key:
        raise WordError(f"unexpected key {name!r} in {field!r}{did_you_mean(name, _KEYS)}")
    if key == "type":
        value = value.lower()
        if value not in _TYPES:
            raise WordError(f"unsupported mount type {value!r}{did_you_mean(value, _TYPES)}")
    return key, value


def _build(values: dict[str, str]) -> Mount:
    sharing = values.get("sharing", "").lower()
    if "sharing" in values and sharing not in _SHARINGS:
        raise WordError(f"unsupported sharing value {sharing!r}{did_you_mean(sharing, _SHARINGS)}")
    kind = values.get("type", "bind")
    return Mount(
        type=next(known for known in _TYPES if known == kind),
        source_name=values.get("source_name", ""),
        source=values.get("source", ""),
        target=values.get("target", ""),
        size_bytes=_size(values.get("size")),
        id=values.get("id", ""),
        sharing=next((known for known in _SHARINGS if known == sharing), ""),
        required=_switch("required", values.get("required", "false")),
        env=values.get("env"),
        mode=_number("mode", values.get("mode"), 8),
        uid=_number("uid", values.get("uid"), 10),
        gid=_number("gid", values.get("gid"), 10),
    )


def _check_type_has(key: str, kind: str) -> None:
    if kind not in {"required": ("secret", "ssh"), "size": ("tmpfs",)}[key]:
        raise WordError(f"unexpected key {key!r} for mount type {kind!r}", mend="type= comes before it")


def _check_together(mount: Mount) -> None:
    """What cannot stand together; raises WordError."""
    if mount.type not in _OWNED:
        for key, value in (("mode", mount.mode), ("uid", mount.uid), ("gid", mount.gid)):
            if value is not None:
                raise WordError(f"{key} is not allowed for {mount.type} mounts")
    if mount.type == "secret":
        if mount.source_name:
            raise WordError("a secret mount has no from")
        if not (mount.source or mount.target or mount.id):
            raise WordError("a secret mount needs one of id, source and target")
        if mount.source and mount.id:
            raise WordError("a secret mount has source or id, not both")
    if mount.type == "ssh" and mount.source:
        raise WordError("an ssh mount has no source")
    if mount.sharing and mount.type != "cache":
        raise WordError(f"sharing is for cache mounts, this is a {mount.type} mount")


def _switch(field: str, value: str) -> bool:
    if value not in TRUE and value not in FALSE:
        raise WordError(f"invalid value in mount option {field!r}: true or false")
    return value in TRUE


def _size(text: str | None) -> int:
    if text is None:
        return 0
    try:
        return parse_size(text)
    except UsageError as error:
        raise WordError(f"invalid value for size: {text}") from error


def _number(key: str, text: str | None, base: int) -> int | None:
    """A whole number of at most 32 bits; digits alone, as Go's strconv.ParseUint takes them."""
    if text is None:
        return None
    digits = "0123456789"[:base]
    if not text or len(text) > 40 or not set(digits).issuperset(text) or int(text, base) > _LARGEST:
        raise WordError(f"invalid value {text[:50]} for {key}")
    return int(text, base)
