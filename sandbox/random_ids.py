"""Random ids, as containers and what belongs to them have."""

from __future__ import annotations

import os


def new_container_id() -> str:
    """64 hexadecimal digits, the first twelve of which are no decimal number.

    Docker sees to the latter too: a short id is used as a host name, and one that is all digits reads as an address.
    """
    while True:
        container_id = os.urandom(32).hex()
        if not container_id[:12].isdecimal():
            return container_id


_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_OBJECT_ID_LENGTH = 25


def new_object_id() -> str:
    """128 random bits in base 36, as Swarm names its objects."""
    number = int.from_bytes(os.urandom(16), "big")
    digits = ""
    for _ in range(_OBJECT_ID_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
