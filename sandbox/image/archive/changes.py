"""`--change`: Dockerfile instructions that change an image's config and run nothing."""

from __future__ import annotations

import json
import shlex
from typing import Any

from sandbox.errors import UsageError


def apply_change(config: dict[str, Any], text: str) -> None:
    """Apply one instruction, such as `CMD ["sh"]`, to the `config` member of an image config. Raises UsageError."""
    word, _, rest = text.strip().partition(" ")
    name, rest = word.upper(), rest.strip()
    if name not in _INSTRUCTIONS:
        raise UsageError(f"{word} is not a valid change command", mend=f"one of {', '.join(_INSTRUCTIONS)}")
    if not rest:
        raise UsageError(f"{name} requires an argument", cause=f"in --change {text!r}")
    _INSTRUCTIONS[name](config, rest, text)


def _command(member: str) -> Any:
    def apply(config: dict[str, Any], rest: str, _text: str) -> None:
        words = _json_words(rest)
        config[member] = ["/bin/sh", "-c", rest] if words is None else words
        if member == "Entrypoint":
            # as in a Dockerfile: what CMD was made for is gone
            config.pop("Cmd", None)

    return apply


def _text_member(member: str) -> Any:
    def apply(config: dict[str, Any], rest: str, _text: str) -> None:
        config[member] = rest

    return apply


def _set_member(member: str) -> Any:
    def apply(config: dict[str, Any], rest: str, text: str) -> None:
        for item in _json_words(rest) or _words(rest, text):
            key = item if member == "Volumes" or "/" in item else f"{item}/tcp"
            config.setdefault(member, {})[key] = {}

    return apply


def _environment(config: dict[str, Any], rest: str, text: str) -> None:
    variables = dict(entry.partition("=")[::2] for entry in config.get("Env", ()))
    variables.update(_pairs(rest, text))
    config["Env"] = [f"{key}={value}" for key, value in variables.items()]


def _labels(config: dict[str, Any], rest: str, text: str) -> None:
    config.setdefault("Labels", {}).update(_pairs(rest, text))


def _pairs(rest: str, text: str) -> dict[str, str]:
    words = _words(rest, text)
    if "=" not in words[0]:
        # the old form: ENV name and the whole rest
        key, _, value = rest.partition(" ")
        return {key: value.strip()}
    pairs = dict[str, str]()
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise UsageError(f"{word!r} is not name=value", cause=f"in --change {text!r}")
        pairs[key] = value
    return pairs


def _words(rest: str, text: str) -> list[str]:
    try:
        return shlex.split(rest)
    except ValueError as error:
        raise UsageError(f"cannot read --change {text!r}", cause=str(error)) from error


def _json_words(rest: str) -> list[str] | None:
    if not rest.startswith("["):
        return None
    try:
        words = json.loads(rest)
    except ValueError:
        return None
    return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


_INSTRUCTIONS = {
    "CMD": _command("Cmd"),
    "ENTRYPOINT": _command("Entrypoint"),
    "ENV": _environment,
    "EXPOSE": _set_member("ExposedPorts"),
    "LABEL": _labels,
    "STOPSIGNAL": _text_member("StopSignal"),
    "USER": _text_member("User"),
    "VOLUME": _set_member("Volumes"),
    "WORKDIR": _text_member("WorkingDir"),
}
