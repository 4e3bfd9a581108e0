"""HEALTHCHECK."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.dockerfile.errors import did_you_mean
from sandbox.dockerfile.flags import read_flags
from sandbox.dockerfile.instructions import Healthcheck
from sandbox.errors import UsageError
from sandbox.grammar.durations import parse_duration
from sandbox.values import HealthCheck

if TYPE_CHECKING:
    from sandbox.dockerfile.flags import Flags
    from sandbox.dockerfile.parser import Node

_LEAST_NS = 1_000_000
_MOST_RETRIES = 2**31 - 1


def read_healthcheck(node: Node) -> Healthcheck:
    """Raises DockerfileError."""
    if not node.arguments:
        raise node.error("HEALTHCHECK requires at least one argument", expected="HEALTHCHECK CMD …, or NONE")
    kind, *command = node.arguments
    name = kind.text.upper()
    if name == "NONE":
        if command:
            raise node.error("HEALTHCHECK NONE takes no arguments", command[0])
        return Healthcheck(node, HealthCheck(("NONE",)))
    flags = read_flags(node)
    if name != "CMD":
        raise node.error(
            f"unknown kind of HEALTHCHECK: {kind.text}{did_you_mean(kind.text, ('CMD', 'NONE'))}",
            kind,
            expected="HEALTHCHECK CMD …, or NONE",
        )
    if not command:
        raise node.error("HEALTHCHECK CMD has no command", kind, expected="HEALTHCHECK CMD COMMAND")
    words = (word.text for word in command)
    test = ("CMD", *words) if node.json else ("CMD-SHELL", " ".join(words))
    check = HealthCheck(
        test,
        _time(node, flags, "interval"),
        _time(node, flags, "timeout"),
        _time(node, flags, "start-period"),
        _time(node, flags, "start-interval"),
        _retries(node, flags),
    )
    return Healthcheck(node, check)


def _time(node: Node, flags: Flags, name: str) -> int:
    text = flags.text(name)
    if not text:
        return 0
    try:
        time_ns = parse_duration(text)
    except UsageError as error:
        raise node.error(error.message, flags.words[name], expected=f"--{name}=30s") from error
    if time_ns and time_ns < _LEAST_NS:
        raise node.error(f"--{name} cannot be less than 1ms", flags.words[name], expected="1ms or more, or 0")
    return time_ns


def _retries(node: Node, flags: Flags) -> int:
    text = flags.text("retries")
    if not text:
        return 0
    digits = text.removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10 and int(digits) <= _MOST_RETRIES):
        raise node.error(f"--retries is not a count: {text}", flags.words["retries"], expected="--retries=3")
    return int(digits)
