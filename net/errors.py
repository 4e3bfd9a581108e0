"""The root of what `net` raises."""

from __future__ import annotations


class NetError(Exception):
    """Something about a namespace, an address or a port failed.

    `message` says what, `cause` why as probed, `mend` what helps.
    """

    def __init__(self, message: str, *, cause: str = "", mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.mend = mend
