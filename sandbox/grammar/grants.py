"""Texts that grant a secret or a config: podman's of `run --secret`, and Docker's of `service create`."""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.grammar.comma_fields import split_fields
from sandbox.values import FileGrant

_LARGEST_ID = 2**32 - 2
_LARGEST_MODE = 0o7777


def parse_run_secret(text: str) -> FileGrant:
    """`--secret NAME[,type=mount|env][,target=][,uid=][,gid=][,mode=]` of `run`; the mode is octal.

    Raises UsageError.
    """
    name, *fields = split_fields(text)
    source = name.removeprefix("source=").removeprefix("src=")
    if not source or "=" in source:
        raise UsageError("the secret's name is missing", cause=f"{text!r} does not begin with one")
    given: dict[str, str] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals:
            raise UsageError(f"option {field} must be in form option=value")
        if key not in ("type", "target", "uid", "gid", "mode"):
            raise UsageError(f"unknown option {field}")
        given[key] = value
    kind, target = given.get("type", "mount"), given.get("target", "")
    if kind == "env":
        if given.keys() & {"uid", "gid", "mode"}:
            raise UsageError("uid, gid and mode are of type=mount")
        return FileGrant(source, variable=target or source)
    if kind != "mount":
        raise UsageError(f"type {kind} is invalid", cause="it is mount or env")
    return FileGrant(
        source,
        target or source,
        _number(given, "uid", 0, 10, _LARGEST_ID),
        _number(given, "gid", 0, 10, _LARGEST_ID),
        _number(given, "mode", 0o444, 8, _LARGEST_MODE),
    )


def parse_service_grant(text: str, noun: str) -> FileGrant:
    """`--secret` and `--config` of `service create`: a name, or `source=NAME[,target=][,uid=][,gid=][,mode=]`, where a
    mode is octal that begins with 0; `noun` is secret or config. Raises UsageError.
    """
    fields = split_fields(text)
    if len(fields) == 1 and "=" not in fields[0]:
        return FileGrant(fields[0], fields[0])
    given: dict[str, str] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals or not key:
            raise UsageError(f"invalid field '{field}' must be a key=value pair")
        key = {"src": "source"}.get(key.lower(), key.lower())
        if key not in ("source", "target", "uid", "gid", "mode"):
            raise UsageError(f"invalid field in {noun} request: {key}")
        given[key] = value
    source = given.get("source")
    if not source:
        raise UsageError("source is required", mend=f"source={noun}-name,target=file")
    octal = given.get("mode", "").startswith("0")
    return FileGrant(
        source,
        given.get("target") or source,
        _number(given, "uid", 0, 10, _LARGEST_ID),
        _number(given, "gid", 0, 10, _LARGEST_ID),
        _number(given, "mode", 0o444, 8 if octal else 10, _LARGEST_MODE),
    )


def _number(given: dict[str, str], key: str, default: int, base: int, largest: int) -> int:
    text = given.get(key)
    if text is None:
        return default
    digits = text.removeprefix("0o") if base == 8 else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 11):
        raise UsageError(f"invalid {key} specified: {text!r}")
    try:
        number = int(digits, base)
    except ValueError:
        number = -1
    if not 0 <= number <= largest:
        raise UsageError(f"invalid {key} specified: {text!r}")
    return number
