"""Plain scalars by the core schema of YAML 1.2, with no value that looks like one thing and is another.

`22:22`, `on`, `yes` and dates are texts; a number with a leading zero keeps its text, for it is as often an
identifier as a mode. Who needs a mode reads the text.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.stack.nodes import ScalarValue

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_OTHER_BASE = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
#: digits of a number that is one; a longer row of digits is a text, and takes no time to be read
_LONGEST = 40
#: Go shows greater and smaller numbers with an exponent
_LEAST_EXPONENT, _GREATEST_EXPONENT = -4, 21


def resolve_plain(text: str) -> ScalarValue:
    """The value of a scalar without quotes."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if not text[0].isascii() or text[0] not in "+-.0123456789" or len(text) > _LONGEST:
        return text
    if _INTEGER.match(text):
        return text if has_leading_zero(text) else int(text)
    if _OTHER_BASE.match(text):
        return int(text, 0)
    if _FLOAT.match(text):
        return float(text)
    if _INFINITE.match(text):
        return float(text.lower().replace(".", ""))
    return text


def has_leading_zero(text: str) -> bool:
    """Whether a whole number would be octal to some readers and decimal to others."""
    digits = text.lstrip("+-")
    return len(digits) > 1 and digits[0] == "0"


def text_of(value: ScalarValue, text: str) -> str:
    """A scalar where a text is expected: as Docker has it, numbers in their shortest form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, int):
        return str(value)
    return text if value is None else value


def _float_text(value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    digits, _, exponent = f"{value:e}".partition("e")
    if value and not _LEAST_EXPONENT <= int(exponent) < _GREATEST_EXPONENT:
        shortest = repr(value)
        if "e" in shortest:
            mantissa, _, power = shortest.partition("e")
            return f"{mantissa.removesuffix('.0')}e{power[0] if power[0] in '+-' else '+'}{power.lstrip('+-'):0>2}"
        return f"{digits.rstrip('0').rstrip('.')}e{exponent}"
    return str(int(value)) if value == int(value) else repr(value)
