"""Waiting for a service to be as it is wanted, and saying how far it is."""

from __future__ import annotations

import time
from shutil import get_terminal_size

from sandbox.cli.output.progress_lines import Line, ProgressLines
from sandbox.cli.service_progress import Convergence
from sandbox.errors import NotFoundError
from sandbox.service import looking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Context

#: how often a wait is counted down
_TICK_SECONDS = 0.25


def wait_on_service(context: Context, service_id: str, word: str, *, quiet: bool = False) -> None:
    """Return when all of the service runs, and has for as long as its update is to be watched; `word` is how it was
    named. Who interrupts it leaves it going. Raises SandboxError where an update has stopped.
    """
    where = context.for_operations()
    progress = Convergence(word, looking.node_of(where).id)
    lines = None if quiet else ProgressLines(context.stdout, _columns(context))
    try:
        for found in looking.follow(where, service_id, _TICK_SECONDS):
            if found is None:
                raise NotFoundError(f"service {word} not found", cause="it was removed meanwhile", word=word)
            for line in progress.lines(*found, time.time_ns()):
                if lines is not None:
                    lines.show(line)
            if progress.ended:
                return
    except KeyboardInterrupt:
        if lines is not None and not progress.converged:
            lines.show(Line("", "Operation continuing in background."))
            lines.show(Line("", f"Use `sandbox service ps {word}` to check progress."))


def _columns(context: Context) -> int | None:
    return get_terminal_size().columns if context.stdout.isatty() else None
