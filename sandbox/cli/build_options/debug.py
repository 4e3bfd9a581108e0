"""`--debug-shell`: a shell in place of the step that failed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sandbox.cli.command import render_error
from sandbox.cli.flags import option
from sandbox.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.cli.build_options.progress import Display
    from sandbox.cli.command import Invocation
    from sandbox.dockerfile.errors import DockerfileError

OPTIONS = (option("--debug-shell", "flag", "Open a shell in place of the step that fails"),)


def check_terminal(invocation: Invocation) -> None:
    """Raises UsageError where a shell could not be talked to."""
    if invocation.flag("debug-shell") and not (sys.stdin.isatty() and invocation.context.stdout.isatty()):
        raise UsageError("--debug-shell needs a terminal", cause="the input or the output is none")


def announcer(invocation: Invocation, display: Display) -> Callable[[DockerfileError], None] | None:
    """What shows a step's failure before the shell opens; None where none is asked for."""

    def announce(error: DockerfileError) -> None:
        display.close()
        invocation.context.note(render_error(error))
        invocation.context.note("A shell in place of that step, with its mounts and variables; the build ends with it.")

    return announce if invocation.flag("debug-shell") else None
