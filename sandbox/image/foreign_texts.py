"""Words of servers, fit for a person's terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """The beginning of a registry's words without what could steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:300])
