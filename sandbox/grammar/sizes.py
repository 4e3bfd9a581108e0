"""Sizes such as `64m`, and counts of CPUs: the go-units package and Docker's NanoCPUs."""

from __future__ import annotations

from sandbox.errors import UsageError

_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_LARGEST = 2**63 - 1
_DIGITS = frozenset("0123456789")


def is_decimal(text: str) -> bool:
    """Whether `text` is digits with at most one point; Python's float takes far more ("inf", "1_0", "١")."""
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    return bool(digits) and _DIGITS.issuperset(digits) and len(digits) < 100


def parse_size(text: str) -> int:
    """Bytes of a size with binary units: `b`, `k`, `m`, `g`, `t`, `p`, each also as `kb` and `KiB`.

    Raises UsageError.
    """
    number = text.rstrip("bBiIkKmMgGtTpP")
    suffix = text[len(number) :].lower()
    number = number.removesuffix(" ")
    if not is_decimal(number):
        raise UsageError(f"invalid size: '{text}'")
    power = 0
    if suffix not in ("", "b"):
        power = _POWERS.get(suffix[0], -1)
        if power < 0 or suffix[1:] not in ("", "b", "ib"):
            raise UsageError(f"invalid suffix: '{suffix}'")
    # whole numbers stay exact: a float holds 53 bits only
    size = int(number) << 10 * power if "." not in number else int(float(number) * 1024**power)
    if size > _LARGEST:
        raise UsageError(f"invalid size: '{text}': too large")
    return size


def parse_size_or_unlimited(text: str) -> int:
    """As `parse_size`, and -1 for `-1`."""
    return -1 if text == "-1" else parse_size(text)


def parse_cpus(text: str) -> int:
    """CPUs times 10^9. Raises UsageError."""
    if not is_decimal(text):
        raise UsageError(f"failed to parse {text} as a rational number")
    whole, _, fraction = text.partition(".")
    if len(fraction.rstrip("0")) > 9:
        raise UsageError("value is too precise")
    nano = int((whole or "0") + (fraction[:9]).ljust(9, "0"))
    if nano > _LARGEST:
        raise UsageError(f"invalid number of CPUs: {text}")
    return nano


def parse_storage_option(text: str) -> tuple[str, str]:
    """The key and the value of one `--storage-opt`. Raises UsageError for what no root file system can have."""
    key, _, value = text.partition("=")
    if key.strip().lower() != "size":
        raise UsageError(f"unknown storage option {key!r}", mend="--storage-opt size=2G")
    if parse_size(value) <= 0:
        raise UsageError("the size must be more than 0")
    return "size", value
