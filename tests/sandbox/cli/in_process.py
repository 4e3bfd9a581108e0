"""A command line answered within the test's own process."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

from sandbox.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


class Done(NamedTuple):
    status: int
    out: str
    err: str


def run(directory: Path, *words: str, env: dict[str, str] | None = None) -> Done:
    """What the command leaves, called from that directory by somebody with this environment and no other."""
    out, err = io.StringIO(), io.StringIO()
    status = main(words, {"HOME": "/home/dev", **(env or {})}, str(directory), out, err)
    return Done(status, out.getvalue(), err.getvalue())
