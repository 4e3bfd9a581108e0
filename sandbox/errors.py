"""The errors that reach a person, or a program that calls ours.

    SandboxError                 failed               every other error of ours
      UsageError                 bad_request          an option or a value that cannot be understood
      NotFoundError              not_found            no such container, volume, file, ...
        ImageNotFoundError       not_found            no such image
      ConflictError              conflict             a name or a port that is taken, a container in the wrong state
        ForbiddenError           forbidden            what Docker's engine forbids: networks in use, addresses taken
      NotSupportedError          not_supported        what Docker has and this does not
      NoTerminalError            no_terminal          what was to be a terminal is none
      HostError                  host_lacks           this machine lacks what was asked for
      StartError                 not_started          the container could not be started
        UnmappedIdError          not_started          a user or group id that it does not have
        NotExecutableError       not_executable
        CommandNotFoundError     command_not_found
      ImageError                 bad_image            an image, a layer or an archive that is not what it claims
      RegistryError              registry             a registry refused, failed or lied
        AuthenticationError      authentication

The kind says what a caller may do about it; who prints an error decides the exit status by it (`cli/exit_statuses.py`),
and nobody else. `storage` and `net` have a root each of the same shape; `translated` is the border.
A message says what failed and on which object; `cause` what was probed; `mend` the one command that helps.
"""

from __future__ import annotations

from contextlib import contextmanager

from net.errors import NetError
from storage.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Literal, TypeVar

    ErrorKind = Literal[
        "failed",
        "bad_request",
        #: a filter of a listing, and a template for `--format`, that cannot be read
        "bad_filter",
        "bad_template",
        "not_found",
        "conflict",
        "forbidden",
        "not_supported",
        "no_terminal",
        "host_lacks",
        "not_started",
        "not_executable",
        "command_not_found",
        "bad_image",
        "registry",
        "authentication",
    ]

    _T = TypeVar("_T")


class SandboxError(Exception):
    """Something failed that a person should read about; never shown with a traceback."""

    kind: ErrorKind = "failed"

    def __init__(self, message: str, *, cause: str = "", mend: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.mend = mend
        self.code = code

    def render(self) -> str:
        """The text for standard error, without a final newline."""
        lines = [f"Error: {self.message}"]
        if self.cause:
            lines.append(f"  cause: {self.cause}")
        if self.mend:
            lines.append(f"  mend: {self.mend}")
        # a name out of a hostile image may hold a line break, behind which it could put a "mend" of its own
        text = "\n".join(line.replace("\n", "\\n") for line in lines)
        if "://" not in text:
            return text
        # imported here: `re` is for the few errors with a URL
        from sandbox.redaction import redact

        return redact(text)


class UsageError(SandboxError):
    """A flag or value that cannot be understood.

    `field` is the part of a request that is at fault, "mounts[1]" or "hostname": a reader of options, of a file or of
    JSON says by it where the person wrote that.
    """

    kind = "bad_request"

    def __init__(self, message: str, *, cause: str = "", mend: str = "", code: str = "", field: str = "") -> None:
        super().__init__(message, cause=cause, mend=mend, code=code)
        self.field = field


class NotFoundError(SandboxError):
    """No such object. `word` is what was asked for, and `near` a name that is there and may have been meant."""

    kind = "not_found"

    def __init__(
        self, message: str, *, cause: str = "", mend: str = "", code: str = "", word: str = "", near: str = ""
    ) -> None:
        super().__init__(
            message, cause=cause or (f"the nearest name here is {near}" if near else ""), mend=mend, code=code
        )
        self.word = word
        self.near = near


class ImageNotFoundError(NotFoundError):
    """No such image, here or in its registry."""


class ConflictError(SandboxError):
    """The object exists already, or is in a state that forbids this."""

    kind: ErrorKind = "conflict"


class ForbiddenError(ConflictError):
    """A conflict that Docker's engine tells apart by its status: of networks, and of addresses on them."""

    kind: ErrorKind = "forbidden"


class NotSupportedError(SandboxError):
    """Docker has this, and there is nothing like it here."""

    kind = "not_supported"


class NoTerminalError(SandboxError):
    """The caller's input was to be a terminal, and is none."""

    kind = "no_terminal"


class HostError(SandboxError):
    """This machine does not give what was asked for."""

    kind = "host_lacks"


class StartError(SandboxError):
    """The container was not started."""

    kind: ErrorKind = "not_started"


class UnmappedIdError(StartError):
    """The container has no such id; `id_kind` is "user" or "group"."""

    def __init__(self, message: str, *, cause: str = "", mend: str = "", id_kind: str = "user", id: int = 0) -> None:
        super().__init__(message, cause=cause, mend=mend)
        self.id_kind = id_kind
        self.id = id


class NotExecutableError(StartError):
    """The command was found but cannot be executed."""

    kind = "not_executable"


class CommandNotFoundError(StartError):
    """The command is not in the container; `programs` are names of those that are, as far as they were looked for."""

    kind = "command_not_found"

    def __init__(
        self, message: str, *, cause: str = "", mend: str = "", code: str = "", programs: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, cause=cause, mend=mend, code=code)
        self.programs = programs


class ImageError(SandboxError):
    """An image, layer or archive is not what it claims to be."""

    kind = "bad_image"


class RegistryError(SandboxError):
    """A registry refused, failed, or broke the protocol."""

    kind: ErrorKind = "registry"
    #: what was asked for, and the name of an image here that may have been meant
    word = ""
    near = ""


class AuthenticationError(RegistryError):
    """The registry wants other credentials."""

    kind = "authentication"


@contextmanager
def translated(kind: type[SandboxError], what: str) -> Iterator[None]:
    """Turn an error of `storage` or `net` into `kind`, saying `what` was being done to which object.

    Raises it as `kind`.
    """
    try:
        yield
    except (StorageError, NetError) as error:
        raise kind(f"{what}: {error.message}", cause=error.cause, mend=error.mend) from error


@contextmanager
def at_field(field: str) -> Iterator[None]:
    """Say of a usage error that it is about `field` of a request, unless it says more exactly itself."""
    try:
        yield
    except UsageError as error:
        error.field = error.field or field
        raise


def each_at_field(field: str, parse: Callable[[str], _T], texts: Iterable[str]) -> tuple[_T, ...]:
    """`parse` of each of the texts that `field` of a request has; a usage error says which it is about."""
    found = []
    for position, text in enumerate(texts):
        with at_field(f"{field}[{position}]"):
            found.append(parse(text))
    return tuple(found)
