"""A small language of system calls: one line is one call, its outcome is one word. Tables and fuzzing both speak it.

    [as UID[:GID[,GID…]]] CALL ARGUMENT… [-> VARIABLE] [= OUTCOME]

Arguments are words as of a shell, with Python's escapes in double quotes. `$a` is what `-> a` kept (a descriptor);
`%255` is a name of 255 characters; numbers may end with K, M or G. The outcome is the name of an errno, or what the
call gave, or `ok`. Without `= OUTCOME` any success will do.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

#: what a call gives: None is `ok`
Answer = str | int | None
#: linux/time.h; the time module does not name it
_CLOCK_REALTIME_COARSE = 5
_NOT_OPEN = 999_999
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_STEP = re.compile(r"^(?:as (?P<who>\d+(?::[\d,]+)?) )?(?P<call>.+?)(?: -> (?P<variable>\w+))?(?: = (?P<outcome>.+))?$")


class Step(NamedTuple):
    """One line."""

    text: str
    call: str
    arguments: tuple[str, ...]
    who: str | None = None
    variable: str | None = None
    outcome: str | None = None


def parse_step(line: str) -> Step:
    """The step that a line says. ValueError where it says none."""
    found = _STEP.match(line.strip())
    if found is None:
        raise ValueError(line)
    call, *arguments = shlex.split(found["call"], posix=True) or [""]
    return Step(line.strip(), call, tuple(arguments), found["who"], found["variable"], found["outcome"])


def errno_name(error: OSError) -> str:
    """The name of its errno; of the two that 95 has the one of man pages."""
    return "EOPNOTSUPP" if error.errno == errno.EOPNOTSUPP else errno.errorcode.get(error.errno or 0, str(error.errno))


def number(word: str) -> int:
    """An integer: decimal, 0o or leading-zero octal, hexadecimal, with K, M or G."""
    factor = _UNITS.get(word[-1:], 1)
    digits = word[:-1] if factor > 1 else word
    if re.fullmatch(r"0[0-7]+", digits):
        return int(digits, 8)
    return int(digits, 0) * factor


def data(word: str) -> bytes:
    """Bytes of a word: `A*3000` is A 3,000 times; escapes are Python's."""
    repeated = re.fullmatch(r"(.)\*(\d+[KMG]?)", word)
    if repeated:
        return repeated[1].encode() * number(repeated[2])
    return word.encode().decode("unicode_escape").encode("latin-1")


def flags(word: str, names: dict[str, int] | object, prefix: str = "") -> int:
    """The sum of `A|B`, looked up in a mapping or a module; `0` is none."""
    total = 0
    for part in word.split("|"):
        if part != "0":
            total |= names[part] if isinstance(names, dict) else getattr(names, prefix + part)
    return total


def path_name(word: str) -> bytes:
    return os.fsencode(word.encode().decode("unicode_escape")) if "\\" in word else os.fsencode(word)


def shown(raw: bytes) -> str:
    """Short data as itself, long data by length and ends."""
    if len(raw) > 40:
        return f"{len(raw)}:{raw[:4].decode('latin-1')}..{raw[-4:].decode('latin-1')}".encode("unicode_escape").decode()
    return raw.decode("latin-1").encode("unicode_escape").decode() or "empty"


class Calls(dict[str, "Callable[..., Answer]"]):
    """Functions by the name of their call; `@CALLS.add` adds one."""

    def add(self, function: Callable[..., Answer]) -> Callable[..., Answer]:
        self[function.__name__.rstrip("_")] = function
        return function


class Caller:
    """Makes calls relative to the working directory, and keeps their descriptors.

    `calls` are functions of this caller and the words of the line.
    """

    def __init__(self, calls: dict[str, Callable[..., Answer]]) -> None:
        self._calls = calls
        self.variables: dict[str, int] = {}
        self.marks: dict[str, os.stat_result] = {}

    def fd(self, word: str) -> int:
        """The descriptor that `$name` stands for; one that gives EBADF where it could not be opened."""
        return self.variables.get(word.removeprefix("$"), _NOT_OPEN)

    def run(self, step: Step) -> str:
        """The outcome of the step, as a word. Raises only for a step that makes no sense."""
        arguments = [re.sub(r"%(\d+)", lambda found: "n" * int(found[1]), word) for word in step.arguments]
        call = self._calls[step.call]
        if step.who:
            _become(step.who)
        try:
            answer = call(self, *arguments)
        except OSError as error:
            return errno_name(error)
        finally:
            if step.who:
                _become_root()
        if step.variable is not None:
            assert isinstance(answer, int)
            before = self.variables.pop(step.variable, None)
            if before is not None:
                os.close(before)
            self.variables[step.variable] = answer
            return "ok"
        return "ok" if answer is None else str(answer)

    def close(self) -> None:
        """Close what is open; a new `umask` and working directory are the caller's affair."""
        for fd in self.variables.values():
            with suppress(OSError):
                os.close(fd)
        self.variables.clear()


def _become(who: str) -> None:
    uid, _, groups = who.partition(":")
    gids = [int(gid) for gid in groups.split(",")] if groups else [int(uid)]
    os.setgroups(gids[1:])
    os.setresgid(gids[0], gids[0], 0)
    # the saved id stays 0: the capabilities come back with it, capabilities(7)
    os.setresuid(int(uid), int(uid), 0)


def _become_root() -> None:
    os.setresuid(0, 0, 0)
    os.setresgid(0, 0, 0)
    os.setgroups([])


def wait_clock_tick(stamp_ns: int = 0) -> None:
    """Let the clock that file systems stamp with go on, so that a later change has a later time than `stamp_ns`.

    A stamp may be ahead of that clock: where somebody looks at times, ext4 stamps with the fine one (Linux 6.13), and
    until the coarse one has passed it, every file system of the machine gives that stamp again.
    """
    start = max(time.clock_gettime_ns(_CLOCK_REALTIME_COARSE), stamp_ns)
    while time.clock_gettime_ns(_CLOCK_REALTIME_COARSE) <= start:
        os.sched_yield()
