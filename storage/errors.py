"""The root of what `storage` raises."""

from __future__ import annotations


class StorageError(Exception):
    """Something about a blob, a layer, a tree or a mount failed: `message` says what, `cause` why as probed, `mend` what helps."""

    def __init__(self, message: str, *, cause: str = "", mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.mend = mend
