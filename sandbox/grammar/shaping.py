"""`--net-rate`, `--net-delay`, `--net-loss`: tc's words."""

from __future__ import annotations

from net.errors import NetError
from net.shaping import parse_delay, parse_loss, parse_rate
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def check_rate(text: str) -> str:
    """`text`, as in "10mbit". Raises UsageError."""
    return _checked(parse_rate, text)


def check_delay(text: str) -> str:
    """`text`, as in "50ms". Raises UsageError."""
    return _checked(parse_delay, text)


def check_loss(text: str) -> str:
    """`text`, as in "1%". Raises UsageError."""
    return _checked(parse_loss, text)


def _checked(parse: Callable[[str], object], text: str) -> str:
    try:
        parse(text)
    except NetError as error:
        raise UsageError(error.message, cause=error.cause, mend=error.mend) from error
    return text
