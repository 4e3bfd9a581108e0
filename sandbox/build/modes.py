"""`--chmod`: octal numbers, and the symbolic form of chmod(1)."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from sandbox.build.sources import StepError

if TYPE_CHECKING:
    from collections.abc import Callable

_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777}
_RIGHTS = {"r": 0o444, "w": 0o222, "x": 0o111}


def octal_mode(text: str) -> int | None:
    """The mode an octal number gives; None for the symbolic form."""
    if text and set(text) <= set("01234567") and len(text) <= 5 and int(text, 8) <= 0o7777:
        return int(text, 8)
    return None


def read_mode(text: str) -> Callable[[int], int]:
    """How the mode of each file is made of the one it has (with its kind). Raises StepError."""
    number = octal_mode(text)
    if number is not None:
        return lambda _mode: number
    clauses = [_read_clause(clause, text) for clause in text.split(",")]

    def change(mode: int) -> int:
        for clause in clauses:
            mode = clause(mode)
        return stat.S_IMODE(mode)

    return change


def _read_clause(clause: str, text: str) -> Callable[[int], int]:
    who_end = next((i for i, char in enumerate(clause) if char not in _WHO), len(clause))
    sign, rights = clause[who_end : who_end + 1], clause[who_end + 1 :]
    if sign not in ("+", "-", "=") or not set(rights) <= set("rwxXst"):
        raise StepError(f"invalid chmod parameter {text!r}", mend="--chmod=755 or --chmod=u=rwX,go=rX")
    mask = 0
    for char in clause[:who_end] or "a":
        mask |= _WHO[char]

    def change(mode: int) -> int:
        wanted = 0
        for char in rights:
            if char == "X":
                wanted |= 0o111 if stat.S_ISDIR(mode) or mode & 0o111 else 0
            elif char == "s":
                wanted |= 0o6000
            elif char == "t":
                wanted |= 0o1000
            else:
                wanted |= _RIGHTS[char]
        wanted &= mask
        if sign == "+":
            return mode | wanted
        if sign == "-":
            return mode & ~wanted
        return mode & ~mask | wanted

    return change
