"""What a client raises, by the names that users of Docker's Python library know.

APIError                every failure; `kind` says which, `cause` and `mend` what was probed and what helps
  NotFound              no such container, image, volume
    ImageNotFound
  Conflict              a name that is taken, a container in the wrong state
  InvalidArgument       a value that cannot be understood
  NotSupported          what Docker has and this does not
  ContainerError        `containers.run` waited, and the command failed
  BuildError            a build that failed, with its log
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from net.errors import NetError
from sandbox.errors import ImageNotFoundError, SandboxError, UsageError
from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.errors import ErrorKind


class APIError(SandboxError):
    """An operation failed."""

    def __init__(
        self, message: str, *, cause: str = "", mend: str = "", code: str = "", kind: ErrorKind = "failed"
    ) -> None:
        super().__init__(message, cause=cause, mend=mend, code=code)
        self.kind = kind
        #: of an InvalidArgument: the part of the request that is at fault, where that is known
        self.field = ""

    def __str__(self) -> str:
        return self.render().removeprefix("Error: ")

    @property
    def explanation(self) -> str:
        """The message alone, by the name that Docker's library has for it."""
        return self.message


class NotFound(APIError):
    """No such object."""


class ImageNotFound(NotFound):
    """No such image here, or in its registry."""


class Conflict(APIError):
    """The object exists already, or is in a state that forbids this."""


class InvalidArgument(APIError):
    """A value that cannot be understood."""


class NotSupported(APIError):
    """Docker has this, and there is nothing like it here."""


class BuildError(APIError):
    """The build failed; `build_log` are its lines."""

    build_log: tuple[str, ...] = ()


_CLASSES: dict[ErrorKind, type[APIError]] = {
    "not_found": NotFound,
    "conflict": Conflict,
    "forbidden": Conflict,
    "bad_request": InvalidArgument,
    "bad_filter": InvalidArgument,
    "not_supported": NotSupported,
}


def api_error(error: SandboxError | StorageError | NetError | OSError) -> APIError:
    """`error` as a client raises it."""
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return APIError(f"{error.strerror or error}{where}")
    if not isinstance(error, SandboxError):
        return APIError(error.message, cause=error.cause, mend=error.mend)
    kind = ImageNotFound if isinstance(error, ImageNotFoundError) else _CLASSES.get(error.kind, APIError)
    made = kind(error.message, cause=error.cause, mend=error.mend, code=error.code, kind=error.kind)
    if isinstance(error, UsageError):
        made.field = error.field
    return made


@contextmanager
def raised_as_api_errors() -> Iterator[None]:
    """Raise what an operation raised as an APIError."""
    try:
        yield
    except APIError:
        raise
    except (SandboxError, StorageError, NetError, OSError) as error:
        raise api_error(error) from error
