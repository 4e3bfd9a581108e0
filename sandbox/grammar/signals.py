"""Signals by name or number, as `--stop-signal`, `kill -s` and `stop -s` take them."""

from __future__ import annotations

from sandbox.errors import UsageError

#: signal(7), from 1 on, as x86 and arm number them; the `signal` module costs start-up time for its enumerations
_NAMES = (
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
)  # fmt: skip
_SYNONYMS = {"IOT": "ABRT", "CLD": "CHLD", "POLL": "IO"}
_FIRST_REAL_TIME, _LAST_REAL_TIME = 34, 64


def parse_signal(text: str) -> int:
    """The number of `TERM`, `SIGTERM`, `15` or `RTMIN+3`, in either case. Raises UsageError."""
    if text.isascii() and text.isdigit() and len(text) < 4:
        number = int(text)
    else:
        number = _by_name(text.upper().removeprefix("SIG"))
    if not 0 < number <= _LAST_REAL_TIME:
        raise UsageError(f"invalid signal: {text}", mend="a name or a number: TERM, SIGTERM, 15; kill -l lists them")
    return number


def _by_name(name: str) -> int:
    for base, start in (("RTMIN", _FIRST_REAL_TIME), ("RTMAX", _LAST_REAL_TIME)):
        if name.startswith(base):
            # libc keeps 32 and 33 for itself: RTMIN is 34
            return _offset(name[len(base) :], start, "+" if base == "RTMIN" else "-")
    name = _SYNONYMS.get(name, name)
    return _NAMES.index(name) + 1 if name in _NAMES else 0


def _offset(text: str, start: int, sign: str) -> int:
    if not text:
        return start
    digits = text[1:]
    if text[0] != sign or not (digits.isascii() and digits.isdigit()) or len(digits) > 2:
        return 0
    number = start + int(text)
    return number if _FIRST_REAL_TIME <= number <= _LAST_REAL_TIME else 0
