"""`--secret` and `--config` of a service: NAME, or source=NAME,target=…,uid=…,gid=…,mode=…"""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.grammar.comma_fields import split_fields
from sandbox.values import FileGrant

_LARGEST_ID = 2**32 - 2


def parse_file_grant(text: str, kind: str) -> FileGrant:
    """The grant of an object of this kind, by its name. Raises UsageError."""
    fields = split_fields(text)
    if len(fields) == 1 and "=" not in fields[0]:
        return FileGrant(fields[0], fields[0])
    grant = FileGrant()
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals or not key:
            raise UsageError(f"invalid field '{field}' must be a key=value pair")
        grant = _with_field(grant, key.lower(), value, kind)
    if not grant.source:
        raise UsageError("source is required", mend=f"source={kind}-name,target=file")
    return grant if grant.target else grant._replace(target=grant.source)


def _with_field(grant: FileGrant, key: str, value: str, kind: str) -> FileGrant:
    if key in ("source", "src"):
        return grant._replace(source=value)
    if key == "target":
        return grant._replace(target=value)
    if key in ("uid", "gid"):
        number = _number(value, 10)
        if number is None or number > _LARGEST_ID:
            raise UsageError(f"invalid {key} specified: {value}", cause="it is a number")
        return grant._replace(uid=number) if key == "uid" else grant._replace(gid=number)
    if key == "mode":
        mode = _number(value, 0)
        if mode is None or mode > 0o7777:
            raise UsageError(f"invalid mode specified: {value}", mend="mode=0444")
        return grant._replace(mode=mode)
    raise UsageError(f"invalid field in {kind} request: {key}")


def _number(text: str, base: int) -> int | None:
    """A number that is not negative; a leading zero is of octal ones where the base is 0, as in Go."""
    if not text.isascii() or not text.isalnum() or len(text) > 12:
        return None
    try:
        return int(text, 8 if base == 0 and text[0] == "0" and text.isdigit() else base)
    except ValueError:
        return None
