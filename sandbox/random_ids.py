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
