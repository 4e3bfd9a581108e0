"""The command line as an operation, for tests of what a worker can do."""

from __future__ import annotations

import os

from sandbox.cli.main import main
from sandbox.warm.registry import Operation


def command(words: tuple[str, ...], output: int) -> int:
    """The exit status of one command line; `output` is its standard output and error."""
    for number in (1, 2):
        os.dup2(output, number)
    with open(output, "w", closefd=False) as stream:
        return main(words, os.environ, os.getcwd, stream, stream)


OPERATIONS = {"command": Operation(__name__, "command", lasts=True)}
PRELOADED = ("sandbox.container.monitor.process",)
