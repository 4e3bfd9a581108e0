"""`--log-driver` and `--log-opt`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.container.option_values.sizes import parse_size
from sandbox.container.record import LogConfig
from sandbox.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_DRIVERS = ("json-file", "local", "none")


def parse_log(driver: str, options: Sequence[str]) -> LogConfig:
    """The log as asked for. Raises UsageError."""
    if driver not in _DRIVERS:
        raise UsageError(f"log driver '{driver}' is not supported", mend=f"use one of {', '.join(_DRIVERS)}")
    found: dict[str, str] = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"invalid logging opt: {text}")
        found[name] = _check(driver, name, value)
    if driver == "none" and found:
        raise UsageError("invalid logging opts for driver none")
    return LogConfig(driver, tuple(found.items()))


def _check(driver: str, name: str, value: str) -> str:
    if name == "max-size":
        if value != "-1" and parse_size(value) <= 0:
            raise UsageError(f"invalid value for max-size: {value}")
    elif name == "max-file":
        if not (value.isascii() and value.isdigit() and len(value) < 6 and int(value) > 0):
            raise UsageError(f"invalid value for max-file: {value}")
    else:
        raise UsageError(f"unknown log opt '{name}' for {driver} log driver", mend="use max-size and max-file")
    return value
