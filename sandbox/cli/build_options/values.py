"""Values of `sandbox build`'s options that have a form of their own: `--secret`, `--platform`, what RUN gets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandbox.errors import NotFoundError, UsageError
from sandbox.grammar.comma_fields import split_fields

if TYPE_CHECKING:
    from sandbox.builder.request import RunSettings
    from sandbox.cli.command import Context, Invocation

_SECRET_BYTES_MOST = 500 * 1024
_FORM = "--secret id=NAME[,src=FILE], --secret id=NAME,env=VARIABLE"


def read_secret(text: str, context: Context) -> tuple[str, bytes]:
    """Id and value of a `--secret`; one that names neither file nor variable is that of its id. Raises SandboxError."""
    fields: dict[str, str] = {}
    for field in split_fields(text):
        key, equals, value = field.partition("=")
        key = {"source": "src"}.get(key.lower(), key.lower())
        if not equals or key not in ("id", "src", "env", "type"):
            raise UsageError(f"invalid --secret {text!r}: unexpected {field!r}", mend=_FORM)
        fields[key] = value
    name, kind, source = fields.get("id", ""), fields.get("type", ""), fields.get("src", "")
    variable = fields.get("env", "")
    if kind not in ("", "file", "env"):
        raise UsageError(f"invalid --secret {text!r}: its type is file or env", mend=_FORM)
    if kind == "env" and not variable:
        variable, source = source or name, ""
    if not variable and not source and kind != "file" and name in context.env:
        variable = name
    name = name or os.path.basename(source) or variable
    if not name:
        raise UsageError(f"invalid --secret {text!r}: it has no id", mend=_FORM)
    return name, _check_size(name, _read_value(name, source or name, variable, context))


def _read_value(name: str, source: str, variable: str, context: Context) -> bytes:
    if variable:
        if variable not in context.env:
            raise NotFoundError(f"the variable {variable} of --secret {name} is not set")
        return os.fsencode(context.env[variable])
    try:
        with open(context.cwd.absolute(source), "rb") as file:
            return file.read(_SECRET_BYTES_MOST + 1)
    except OSError as error:
        raise NotFoundError(f"cannot read the secret {name}", cause=f"{source}: {error.strerror}") from error


def _check_size(name: str, value: bytes) -> bytes:
    if len(value) > _SECRET_BYTES_MOST:
        raise UsageError(f"the secret {name} is larger than {_SECRET_BYTES_MOST // 1024} KiB")
    return value


def read_platform(text: str) -> str:
    """The one platform of `--platform`, "" for this machine's. Raises UsageError."""
    from sandbox.image.platforms import parse_platform

    if "," in text:
        raise UsageError(
            f"--platform {text}: one build makes an image for one platform",
            mend="build once for each, with a tag of its own",
        )
    return str(parse_platform(text)) if text and text != "local" else ""


def read_settings(invocation: Invocation) -> RunSettings:
    """What `--add-host`, `--shm-size` and `--ulimit` give every RUN. Raises UsageError."""
    from sandbox.builder.request import RunSettings
    from sandbox.cli.container_options.reading import parse_each, parse_one
    from sandbox.container.monitor.runtime_spec import resource_limit
    from sandbox.grammar.hosts import parse_extra_host
    from sandbox.grammar.limits import parse_ulimit
    from sandbox.grammar.sizes import parse_size

    limits = {limit.name: limit for limit in parse_each(invocation, "ulimit", parse_ulimit)}
    return RunSettings(
        parse_each(invocation, "add-host", parse_extra_host),
        (parse_one(invocation, "shm-size", parse_size) if invocation.text("shm-size") else None) or 0,
        tuple(map(resource_limit, limits.values())),
    )
