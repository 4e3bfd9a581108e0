"""Which part of a log is wanted, as people say it: `--since`, `--until`, `--tail`."""

from __future__ import annotations

from sandbox.container.view.logs import LogSelection
from sandbox.errors import UsageError


def read_selection(since: str, until: str, tail: str) -> LogSelection:
    """The selection in three texts: times or durations back from now, "" for none; a number of lines or "all". Raises
    UsageError.
    """
    lines: int | None = None
    if tail != "all":
        try:
            lines = int(tail)
        except ValueError:
            raise UsageError(f"invalid value for --tail: {tail}", mend="--tail 100, or --tail all") from None
        # Docker: a negative number is all
        lines = None if lines < 0 else lines
    since_ns, until_ns = _moment_ns(since), _moment_ns(until)
    return LogSelection(_as_in_entries(since_ns), _as_in_entries(until_ns), lines, until_ns or 0)


def _moment_ns(text: str) -> int | None:
    """A time as people say it; None where none was given."""
    if not text:
        return None
    from time import time_ns

    from sandbox.grammar.filters import parse_time

    return max(0, parse_time(text, time_ns()))


def _as_in_entries(time_ns: int | None) -> str:
    """As log entries have it, so that the texts compare as the times do; "" for none."""
    if time_ns is None:
        return ""
    from sandbox.container.monitor.log_writer import timestamp

    return timestamp(time_ns)
