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
    return LogSelection(_moment(since), _moment(until), lines)


def _moment(text: str) -> str:
    """A time as log entries write it, so that the texts compare as the times do; "" where none was given."""
    if not text:
        return ""
    from time import time_ns

    from sandbox.container.monitor.log_writer import timestamp
    from sandbox.grammar.filters import parse_time

    return timestamp(max(0, parse_time(text, time_ns())))
