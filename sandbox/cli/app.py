"""The program as a typer application, for programs that embed it and for tools that read a typer application.

    from sandbox.cli.app import app

    app(["run", "--rm", "busybox", "true"])             # ends with SystemExit, of the command's status
    app(["ps", "-q"], standalone_mode=False)            # returns the status

    $ typer sandbox.cli.app utils docs --name sandbox
    $ typer sandbox.cli.app run ps

Each command line is run as the program runs it: by the same tables, grammar and handlers, with the same messages and
exit statuses. What a container itself prints goes to the descriptors 1 and 2 of the process, and not to `sys.stdout`.
Commands fork: a program that has threads calls `sandbox` as a program instead.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from sandbox.cli.application import build_application
from sandbox.cli.main import flush_output, main

if TYPE_CHECKING:
    from collections.abc import Sequence


def run_words(words: Sequence[str]) -> int:
    """Run one command line in this process, with its environment, directory and `sys` streams; its exit status."""
    with ExitStack() as restored:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                # as `entry` has it: a name that is no valid text must not end a listing half way
                restored.callback(stream.reconfigure, errors=stream.errors)
                stream.reconfigure(errors="backslashreplace")
        status = main(words, os.environ, os.getcwd, sys.stdout, sys.stderr)
        return flush_output(sys.stdout, sys.stderr, status)


class WholeLine(TyperGroup):
    """The root of the command tree: it runs its words unread, where typer's grammar would read them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the words for `invoke`; for completion, which runs nothing, they are read as typer does."""
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        ctx.args = args
        return args

    def invoke(self, ctx: Any) -> None:
        """Run the words. Raises typer.Exit with the status, which typer makes an exit or a value of."""
        raise typer.Exit(run_words(ctx.args))


app = build_application(WholeLine)


if __name__ == "__main__":
    app(prog_name="sandbox")
