"""Faults of ours, told to who reads what the server says; a client learns nothing of them."""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress


def report(fault: BaseException) -> None:
    """Print it with where it came from. That nobody reads it is no further fault."""
    with suppress(OSError):
        traceback.print_exception(fault, file=sys.stderr)


def report_note(note: str) -> None:
    """Print what is known beside an error that a client was told."""
    with suppress(OSError):
        print(note, file=sys.stderr)
