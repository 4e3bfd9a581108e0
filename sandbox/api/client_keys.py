"""The keys by which a person leaves a container, as clients send them."""

from __future__ import annotations

from sandbox.api.errors import ApiError
from sandbox.errors import UsageError
from sandbox.runtime.terminal import DEFAULT_DETACH_KEYS, parse_detach_keys


def read_detach_keys(text: str) -> bytes:
    """The bytes that they are; those of Docker where none are given. Raises ApiError."""
    try:
        return parse_detach_keys(text or DEFAULT_DETACH_KEYS)
    except UsageError as error:
        raise ApiError(400, f"Invalid detach keys ({text}) provided") from error
