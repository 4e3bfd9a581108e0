"""`--detach-keys`: `ctrl-p,ctrl-q` as the bytes a terminal sends."""

from __future__ import annotations

from sandbox.errors import UsageError

DEFAULT_DETACH_KEYS = b"\x10\x11"
_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_detach_keys(text: str | None) -> bytes:
    """The sequence that detaches; empty or absent gives the default. Raises UsageError."""
    if not text:
        return DEFAULT_DETACH_KEYS
    return bytes(_key(name, text) for name in text.split(","))


def _key(name: str, text: str) -> int:
    if len(name) == 1 and name.isascii():
        return ord(name)
    if name.lower() == "del":
        return 127
    letter = name[5:].lower()
    if name[:5].lower() == "ctrl-" and len(letter) == 1:
        if "a" <= letter <= "z":
            return ord(letter) - 96
        if letter in _CONTROL:
            return _CONTROL[letter]
    raise UsageError(f"invalid detach keys ({text}): unknown character: '{name}'", mend="--detach-keys ctrl-p,ctrl-q")
