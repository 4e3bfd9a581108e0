"""Values as Go's fmt prints them: `{{.}}`, print, println and printf."""

from __future__ import annotations

from sandbox.go_template.kinds import Structure
from sandbox.humane import quoted
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_FLAGS = "+-# 0"
_LARGEST_WIDTH = 1_000_000
#: what a field that is not there evaluates to; it prints as "<no value>"
NO_VALUE = type("NoValue", (), {"__bool__": lambda _self: False, "__repr__": lambda _self: "<no value>"})()


# Any throughout: template data is JSON of any shape
def show(value: Any) -> str:
    """A value as `%v` prints it."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _show_float(value)
    if isinstance(value, Structure):
        return "{" + " ".join(show(value.get(name, absent)) for name, absent in value.order.items()) + "}"
    if isinstance(value, dict):
        # Go prints maps in the order of their keys
        return "map[" + " ".join(f"{show(k)}:{show(value[k])}" for k in sorted(value, key=str)) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(show(item) for item in value) + "]"
    return str(value)


def _show_float(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    if value and not 1e-4 <= abs(value) < 1e21:
        mantissa, _, exponent = f"{value:e}".partition("e")
        mantissa = repr(value).partition("e")[0]
        return f"{mantissa.removesuffix('.0')}e{exponent[0]}{exponent[1:].rjust(2, '0')}"
    text = repr(value)
    return f"{value:.0f}" if text.endswith(".0") or "e+" in text else text


def show_printed(value: Any) -> str:
    """A value as an action prints it, where an absent one is "<no value>"."""
    return "<no value>" if value is None else show(value)


def sprint(values: Sequence[Any]) -> str:
    """fmt.Sprint: a space between two operands where neither is a string."""
    parts: list[str] = []
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            parts.append(" ")
        parts.append(show(value))
    return "".join(parts)


def sprintln(values: Sequence[Any]) -> str:
    return " ".join(show(value) for value in values) + "\n"


def go_type(value: Any) -> str:
    """The Go type that stands for a value in messages."""
    if value is None or value is NO_VALUE:
        return "<nil>"
    for kind, name in (
        (bool, "bool"),
        (str, "string"),
        (int, "int"),
        (float, "float64"),
        (dict, "map[string]interface {}"),
    ):
        if isinstance(value, kind):
            return name
    return "[]interface {}" if isinstance(value, list | tuple) else type(value).__name__


class _Verb(NamedTuple):
    flags: str
    width: int | None
    precision: int | None
    letter: str


def sprintf(form: str, values: Sequence[Any]) -> str:
    """fmt.Sprintf, with Go's own marks for what does not fit: `%!d(string=x)`."""
    found: list[str] = []
    rest = list(values)
    position = 0
    while position < len(form):
        start = form.find("%", position)
        if start < 0:
            found.append(form[position:])
            break
        found.append(form[position:start])
        verb, position = _read_verb(form, start + 1, rest)
        if verb.letter == "%":
            found.append("%")
        elif not verb.letter:
            found.append("%!(NOVERB)")
        elif not rest:
            found.append(f"%!{verb.letter}(MISSING)")
        else:
            found.append(_format(verb, rest.pop(0)))
    if rest:
        extra = ", ".join("<nil>" if value is None else f"{go_type(value)}={show(value)}" for value in rest)
        found.append(f"%!(EXTRA {extra})")
    return "".join(found)


def _read_verb(form: str, position: int, values: list[Any]) -> tuple[_Verb, int]:
    start = position
    while position < len(form) and form[position] in _FLAGS:
        position += 1
    flags = form[start:position]
    width, position = _read_count(form, position, values)
    precision = None
    if form[position : position + 1] == ".":
        precision, position = _read_count(form, position + 1, values)
        precision = precision or 0
    if width is not None and width < 0:
        flags, width = flags + "-", -width
    return _Verb(flags, width, precision, form[position : position + 1]), position + 1


def _read_count(form: str, position: int, values: list[Any]) -> tuple[int | None, int]:
    if form[position : position + 1] == "*":
        count = values.pop(0) if values else None
        fits = isinstance(count, int) and not isinstance(count, bool) and abs(count) <= _LARGEST_WIDTH
        return count if fits else None, position + 1
    start = position
    while position < len(form) and form[position] in "0123456789":
        position += 1
    digits = form[start:position]
    # as Go does, a width beyond a million is not one
    fits = 0 < len(digits) <= 7 and int(digits) <= _LARGEST_WIDTH
    return int(digits) if fits else None, position


def _format(verb: _Verb, value: Any) -> str:
    body = _body(verb, value)
    if body is None:
        return f"%!{verb.letter}({'<nil>' if value is None else f'{go_type(value)}={show(value)}'})"
    width = verb.width or 0
    if "-" in verb.flags:
        return body.ljust(width)
    if "0" in verb.flags and isinstance(value, int | float) and verb.precision is None:
        sign = body[:1] if body[:1] in ("+", "-") else ""
        return sign + body[len(sign) :].rjust(width - len(sign), "0")
    return body.rjust(width)


def _body(verb: _Verb, value: Any) -> str | None:
    letter = verb.letter
    if letter == "v":
        return quoted(value) if "#" in verb.flags and isinstance(value, str) else show(value)
    if letter == "T":
        return go_type(value)
    if isinstance(value, bool):
        return show(value) if letter == "t" else None
    if isinstance(value, str):
        return _text_body(verb, value)
    if isinstance(value, int):
        return _integer_body(verb, value)
    if isinstance(value, float):
        return _float_body(verb, value)
    if isinstance(value, list | tuple):
        parts = [_format(verb, item) for item in value]
        return "[" + " ".join(parts) + "]"
    return None


def _text_body(verb: _Verb, value: str) -> str | None:
    cut = value if verb.precision is None else value[: verb.precision]
    if verb.letter == "s":
        return cut
    if verb.letter == "q":
        return quoted(cut)
    if verb.letter in "xX":
        digits = cut.encode(errors="surrogatepass").hex()
        return digits.upper() if verb.letter == "X" else digits
    return None


def _integer_body(verb: _Verb, value: int) -> str | None:
    forms = {"d": "d", "x": "x", "X": "X", "o": "o", "b": "b"}
    if verb.letter in forms:
        text = format(value, forms[verb.letter])
        if "#" in verb.flags and verb.letter in "xX":
            text = text.replace("-", "-0x") if value < 0 else f"0x{text}"
    elif verb.letter in "cqU":
        valid = 0 <= value < 0x110000
        if verb.letter == "U":
            return f"U+{value:04X}"
        character = chr(value) if valid else "\ufffd"
        return character if verb.letter == "c" else f"'{character}'"
    else:
        return None
    if value >= 0 and "+" in verb.flags:
        return f"+{text}"
    return f" {text}" if value >= 0 and " " in verb.flags else text


def _float_body(verb: _Verb, value: float) -> str | None:
    if verb.letter not in "feEgG":
        return None
    if verb.letter in "gG" and verb.precision is None:
        return _show_float(value)
    precision = 6 if verb.precision is None else verb.precision
    sign = "+" if "+" in verb.flags else ""
    # beyond a few hundred digits Python's formatting refuses, and nothing is gained
    return f"{value:{sign}.{min(precision, 400)}{verb.letter}}"
