"""What becomes of an error for a client: a status, and Docker's words alone."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.errors import ErrorKind

_STATUSES: dict[ErrorKind, int] = {
    "bad_request": 400,
    "bad_filter": 400,
    "bad_template": 400,
    "not_found": 404,
    "conflict": 409,
    "forbidden": 403,
    "not_supported": 501,
    "no_terminal": 400,
    "not_executable": 400,
    "command_not_found": 400,
    "bad_image": 400,
}


class ApiError(SandboxError):
    """An answer that a handler has decided on itself."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def unwrapped() -> Iterator[None]:
    """Of what several tasks raise together, the first error of ours alone."""
    try:
        yield
    except BaseExceptionGroup as group:
        for leaf in leaves(group):
            if isinstance(leaf, SandboxError):
                raise leaf from None
        raise


def leaves(error: BaseException) -> Iterator[BaseException]:
    """What tasks have raised, each by itself."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error


def status_of(error: SandboxError) -> int:
    """The HTTP status that tells a client what it may do about the error."""
    if isinstance(error, ApiError):
        return error.status
    return _STATUSES.get(error.kind, 500)


def message_of(error: SandboxError) -> str:
    """What a client shows: the message with its cause, and no advice about our own command line."""
    return f"{error.message}: {error.cause}" if error.cause and status_of(error) >= 500 else error.message
