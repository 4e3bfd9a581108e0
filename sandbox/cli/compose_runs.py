"""What the commands that change a project have in common: how their runs are shown, and what they are told."""

from __future__ import annotations

import sys
from contextlib import contextmanager

from sandbox.cli.compose_call import parallel_of
from sandbox.cli.compose_progress import display_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.cli.command import Invocation
    from sandbox.compose.progress import Progress
    from sandbox.compose.running import Way


def asker_of(invocation: Invocation) -> Callable[[str], bool]:
    """Who answers whether data may be lost: `--yes`, a person at a terminal, or nobody, which is no."""

    def ask(question: str) -> bool:
        if invocation.flag("yes"):
            return True
        context = invocation.context
        if not (sys.stdin is not None and sys.stdin.isatty() and context.stderr.isatty()):
            context.note(f"WARNING: {question} No: --yes says yes")
            return False
        context.stderr.write(f"{question} (y/N) ")
        context.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    return ask


@contextmanager
def way_of(invocation: Invocation, ask: Callable[[str], bool] | None = None) -> Iterator[Way]:
    """How the run is done, with its display, which is closed in the end. Raises UsageError."""
    from sandbox.compose.running import Way

    display = display_of(invocation)
    dry = is_dry(invocation)
    way = Way(_notes_of(display.tell) if dry else display.tell, parallel_of(invocation), dry)
    try:
        yield way if ask is None else way._replace(ask=ask)
    finally:
        display.close()


def _notes_of(tell: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Of a run in which nothing is done there is the plan alone, and what is to be known."""

    def tell_notes(progress: Progress) -> None:
        if not progress.subject:
            tell(progress)

    return tell_notes


def is_dry(invocation: Invocation) -> bool:
    """Whether nothing is to be done: `--dry-run`, before the verb or behind it."""
    return bool(invocation.of_noun.get("dry-run"))


def timeout_of(invocation: Invocation) -> int | None:
    """Seconds before what is stopped is killed; None is each container's own."""
    return invocation.number("timeout") if invocation.given("timeout") else None
