"""Docker's flag grammar: the rules of the Go pflag package, over options declared as data.

typer's grammar differs where Docker's scripts depend on it (`--rm=false`, `-p=80:80`, `-it=false`, options that end
at the image name), so commands are declared in tables and read here; typer gets the tables too, and never the words.
"""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    Kind = Literal["flag", "text", "list", "number"]

Value = bool | str | int | tuple[str, ...]


class Option(NamedTuple):
    """One option: `names` as typed ("-d", "--detach"); `kind` "flag" takes no value, "list" may be repeated."""

    names: tuple[str, ...]
    kind: Kind
    help: str
    metavar: str = ""
    default: Value | None = None
    #: the value of an option given bare where a value is optional (pflag NoOptDefVal)
    bare: str | None = None
    hidden: bool = False

    @property
    def key(self) -> str:
        """The long name without dashes, or the short one where there is no long."""
        return next((n for n in self.names if n.startswith("--")), self.names[0]).lstrip("-")

    @property
    def shown(self) -> str:
        """The name as pflag's errors have it: "-d, --detach"; further long names are left out."""
        short = [name for name in self.names if not name.startswith("--")]
        return ", ".join([*short[:1], f"--{self.key}"] if len(self.key) > 1 else self.names[:1])


def option(names: str, kind: Kind, help: str, metavar: str = "", default: Value | None = None, bare: str | None = None,
           *, hidden: bool = False) -> Option:  # fmt: skip
    """An Option from names in one string: `option("-d --detach", "flag", "Run in background")`."""
    return Option(tuple(names.split()), kind, help, metavar, default, bare, hidden)


class Parsed(NamedTuple):
    """The values given, by key; an option that was not given is absent."""

    values: dict[str, Value]
    arguments: tuple[str, ...]


_TRUE = {"1", "t", "T", "TRUE", "true", "True"}
_FALSE = {"0", "f", "F", "FALSE", "false", "False"}


def parse_flags(options: Sequence[Option], words: Sequence[str], *, interspersed: bool = True) -> Parsed:
    """Split `words` into option values and arguments.

    With `interspersed` false the first argument ends the options, so that what follows an image name is the
    container's. Raises UsageError with pflag's wording.
    """
    by_name = {name: o for o in options for name in o.names}
    values: dict[str, Value] = {}
    arguments: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--":
            arguments.extend(words[position:])
            break
        if not word.startswith("-") or word == "-":
            arguments.append(word)
            if not interspersed:
                arguments.extend(words[position:])
                break
        elif word.startswith("--"):
            position = _read_long(by_name, values, word, words, position)
        else:
            position = _read_short(by_name, values, word, words, position)
    return Parsed(values, tuple(arguments))


def _read_long(
    by_name: dict[str, Option], values: dict[str, Value], word: str, words: Sequence[str], position: int
) -> int:
    name, equals, text = word.partition("=")
    if len(name) == 2 or name[2] == "-":
        raise UsageError(f"bad flag syntax: {word}")
    found = by_name.get(name)
    if found is None:
        raise UsageError(f"unknown flag: {name}", mend=_suggestion(by_name, name))
    if equals:
        _store(found, found.shown, values, text)
    elif found.kind == "flag":
        _store(found, found.shown, values, "true")
    elif found.bare is not None:
        _store(found, found.shown, values, found.bare)
    elif position < len(words):
        _store(found, found.shown, values, words[position])
        position += 1
    else:
        raise UsageError(f"flag needs an argument: {name}")
    return position


def _suggestion(by_name: dict[str, Option], name: str) -> str:
    # a slip of the pen is rare: its library is not worth start-up time
    from sandbox.near_names import nearest

    near = nearest(name[2:], [n[2:] for n, o in by_name.items() if n.startswith("--") and not o.hidden])
    return f"did you mean --{near}?" if near else ""


def _read_short(
    by_name: dict[str, Option], values: dict[str, Value], word: str, words: Sequence[str], position: int
) -> int:
    rest = word[1:]
    while rest:
        letter, rest = rest[0], rest[1:]
        found = by_name.get(f"-{letter}")
        if found is None and letter == "h":
            # pflag takes -h for a question where no option has the letter
            found = by_name.get("--help")
        if found is None:
            raise UsageError(f"unknown shorthand flag: {letter!r} in {word}")
        if len(rest) > 1 and rest.startswith("="):
            _store(found, found.shown, values, rest[1:])
            break
        if found.kind == "flag":
            _store(found, found.shown, values, "true")
        elif found.bare is not None:
            _store(found, found.shown, values, found.bare)
        elif rest:
            _store(found, found.shown, values, rest)
            break
        elif position < len(words):
            _store(found, found.shown, values, words[position])
            position += 1
        else:
            raise UsageError(f"flag needs an argument: {letter!r} in {word}")
    return position


def _number(text: str) -> int | None:
    """A number as Go's strconv reads it with base 0, in 64 bits; None where it is none."""
    sign, digits = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if not (digits.isascii() and digits.isalnum()) or len(digits) > 24:
        return None
    try:
        number = sign * (int(digits, 8) if digits[0] == "0" and digits.isdigit() else int(digits, 0))
    except ValueError:
        return None
    return number if -(2**63) <= number < 2**63 else None


def _store(found: Option, shown: str, values: dict[str, Value], text: str) -> None:
    key = found.key
    if found.kind == "flag":
        if text not in _TRUE and text not in _FALSE:
            raise UsageError(f'invalid argument "{text}" for "{shown}" flag: must be true or false')
        values[key] = text in _TRUE
    elif found.kind == "number":
        number = _number(text)
        if number is None:
            raise UsageError(f'invalid argument "{text}" for "{shown}" flag: must be a whole number')
        values[key] = number
    elif found.kind == "list":
        earlier = values.get(key, ())
        assert isinstance(earlier, tuple)
        values[key] = (*earlier, text)
    else:
        values[key] = text
