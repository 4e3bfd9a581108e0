"""A listing that stays: printed anew each time that what it shows has changed, until it is interrupted."""

from __future__ import annotations

import io
from contextlib import closing

from sandbox.cli.flags import option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from sandbox.cli.command import Invocation

WATCH = option("-w --watch", "flag", "Print it anew each time that something changes")
#: what a terminal does: back to the first line; wipe the rest of a line, of the screen
_HOME, _WIPE_LINE, _WIPE_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
CLEAR = "\x1b[2J"
#: on a terminal texts as "5 seconds ago" are put right so often
_AGE_SECONDS = 10.0


def over_the_last(text: str) -> str:
    """`text` as it takes the place of what a terminal showed before, without a flicker."""
    return _HOME + text.replace("\n", f"{_WIPE_LINE}\n") + _WIPE_BELOW


class Page(io.StringIO):
    """What is to be written at once to a stream, and is quoted as it would be there."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def isatty(self) -> bool:
        return self._stream.isatty()


def show_live(invocation: Invocation, show: Callable[[Invocation], int], look: Callable[[], object]) -> int:
    """Have `show` print, and print again whenever `look` finds something else: on a terminal over what stood there,
    elsewhere below it. Returns when `show` does not return 0; raises what it raises.
    """
    from sandbox.errors import NotFoundError
    from sandbox.event_stream import watch_changes

    context = invocation.context
    is_terminal = context.stdout.isatty()
    if is_terminal:
        context.stdout.write(CLEAR)
    seen: object = None
    with closing(watch_changes(context.find_paths(), _AGE_SECONDS if is_terminal else None)) as changes:
        for number, _connection in enumerate(changes):
            try:
                found = look()
            except NotFoundError:
                # `show` says so in its own words
                found = None
            if number and found == seen and not is_terminal:
                continue
            seen = found
            page = Page(context.stdout)
            status = show(invocation._replace(context=context._replace(stdout=page)))
            separator = "\n" if number else ""
            context.stdout.write(over_the_last(page.getvalue()) if is_terminal else separator + page.getvalue())
            context.stdout.flush()
            if status:
                return status
    return 0
