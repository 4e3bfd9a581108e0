"""`--debug-shell`: a shell in the state before the step that failed, with the terminal as `run -it` has it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sandbox.cli.command import Invocation, render_error
from sandbox.cli.flags import option, parse_flags
from sandbox.errors import UsageError

if TYPE_CHECKING:
    from sandbox.build.errors import DockerfileError

OPTIONS = (option("--debug-shell", "flag", "Open a shell in the state before the step that fails"),)


def check_terminal(invocation: Invocation) -> None:
    """Raises UsageError where a shell could not be talked to."""
    if invocation.flag("debug-shell") and not (sys.stdin.isatty() and invocation.context.stdout.isatty()):
        raise UsageError("--debug-shell needs a terminal", cause="the input or the output is none")


def open_shell(invocation: Invocation, error: DockerfileError, image_id: str, shell: str) -> int:
    """Show the error, run the shell until it ends, remove the image; the status of a build that failed."""
    from sandbox.cli.commands.run import COMMANDS
    from sandbox.image.removal import remove_image

    context = invocation.context
    context.note(render_error(error))
    context.note(f"The state before that step, in {shell}; the build ends with the shell.")
    run = next(command for command in COMMANDS if command.path == "container run")
    words = ("-it", "--rm", "--pull", "never", "--entrypoint", shell, image_id)
    parsed = parse_flags(run.options, words, interspersed=run.interspersed)
    try:
        run.handler(Invocation(run, context, parsed.values, parsed.arguments))
    finally:
        remove_image(context.find_paths(), image_id, force=True)
    return error.exit_status
