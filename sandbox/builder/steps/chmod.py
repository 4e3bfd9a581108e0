"""`--chmod`: octal numbers, and the symbolic form of chmod(1)."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, NamedTuple

from sandbox.builder.sources.copy_sources import StepError

if TYPE_CHECKING:
    from collections.abc import Callable

_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o0007, "a": 0o6777}
_OTHERS = _WHO["o"]
_STICKY = stat.S_ISVTX
_RIGHTS = {"r": 0o444, "w": 0o222, "x": 0o111}
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_DIGITS_MOST = 11


class _Action(NamedTuple):
    """One sign with what follows it: `who` is 0 where the clause names nobody, which is everybody."""

    who: int
    sign: str
    letters: str

    def apply(self, mode: int, before: int) -> int:
        """`before` is the file's mode before all actions: X asks for that one."""
        who = self.who or _WHO["a"]
        # set-id and sticky bits are none of the others'
        special = not self.who or bool(self.who & ~_OTHERS)
        if "t" in self.letters and special:
            who |= _STICKY
        wanted = copied = 0
        for letter in self.letters:
            if letter in _RIGHTS:
                wanted |= _RIGHTS[letter]
            elif letter == "X":
                wanted |= 0o111 if self.sign == "-" or stat.S_ISDIR(before) or before & 0o111 else 0
            elif letter in _SHIFTS:
                bits = mode >> _SHIFTS[letter] & 0o7
                copied |= bits << 6 | bits << 3 | bits
            elif special:
                wanted |= 0o6000 if letter == "s" else _STICKY
        bits = wanted & who | copied & who & 0o777
        if self.sign == "+":
            return mode | bits
        if self.sign == "-":
            return mode & ~bits
        only_copies = bool(self.letters) and set(self.letters) <= _SHIFTS.keys()
        return mode & ~(who & 0o777 if only_copies else who) | bits


def octal_mode(text: str) -> int | None:
    """The mode an octal number gives; None for the symbolic form."""
    if text and set(text) <= set("01234567") and len(text) <= _DIGITS_MOST and int(text, 8) <= 0o7777:
        return int(text, 8)
    return None


def read_mode(text: str) -> Callable[[int], int]:
    """How the mode of each file is made of the one it has (with its kind). Raises StepError."""
    number = octal_mode(text)
    if number is not None:
        return lambda _mode: number
    actions = [action for clause in text.split(",") for action in _read_clause(clause, text)]

    def change(mode: int) -> int:
        before = mode
        for action in actions:
            mode = action.apply(mode, before)
        return stat.S_IMODE(mode)

    return change


def _read_clause(clause: str, text: str) -> list[_Action]:
    """Whom it is about, and one or more signs, as in "go=u-w"."""
    named = clause[: next((i for i, char in enumerate(clause) if char not in _WHO), len(clause))]
    rest = clause[len(named) :]
    who = 0
    for char in named:
        who |= _WHO[char]
    starts = [i for i, char in enumerate(rest) if char in "+-="]
    if not starts or starts[0] != 0:
        raise _bad(text)
    found = [_Action(who, rest[i], rest[i + 1 : end]) for i, end in zip(starts, [*starts[1:], len(rest)], strict=True)]
    if any(not set(action.letters) <= set("rwxXstugo") for action in found):
        raise _bad(text)
    return found


def _bad(text: str) -> StepError:
    return StepError(f"invalid chmod parameter {text!r}", mend="--chmod=755 or --chmod=u=rwX,go=rX")
