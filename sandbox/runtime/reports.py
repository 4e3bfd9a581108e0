"""How an error crosses from a child in other namespaces to the process that waits for it.

One datagram (SOCK_SEQPACKET) is one report: a kind byte and fields joined by NUL. No pickle and no JSON: the sender may
share its process with a hostile tree, and the receiver only ever makes errors of the closed table below.
"""

from __future__ import annotations

from sandbox.errors import (
    AuthenticationError,
    CommandNotFoundError,
    ConflictError,
    ForbiddenError,
    HostError,
    ImageError,
    ImageNotFoundError,
    NoTerminalError,
    NotExecutableError,
    NotFoundError,
    NotSupportedError,
    RegistryError,
    SandboxError,
    StartError,
    UnmappedIdError,
    UsageError,
)
from sandbox.faults import explain_fault, limit_reached

_KINDS: dict[str, type[SandboxError]] = {
    kind.__name__: kind
    for kind in (
        SandboxError,
        UsageError,
        NotFoundError,
        ImageNotFoundError,
        ConflictError,
        ForbiddenError,
        NotSupportedError,
        NoTerminalError,
        HostError,
        StartError,
        NotExecutableError,
        CommandNotFoundError,
        UnmappedIdError,
        ImageError,
        RegistryError,
        AuthenticationError,
    )
}
_LIMIT_BYTES = 16 * 1024


def encode_error(error: BaseException, doing: str = "") -> bytes:
    """The report of `error`; of anything that is not ours, `doing` says what was being tried."""
    if isinstance(error, SandboxError):
        kind = next(each.__name__ for each in type(error).__mro__ if each.__name__ in _KINDS)
        fields: tuple[str, ...] = (kind, error.message, error.cause, error.mend, *_own_fields(error))
    else:
        fields = (
            "StartError",
            f"cannot {doing or 'set up the container'}",
            explain_fault(error),
            limit_reached(error)[1],
        )
    return b"E" + "\0".join(field.replace("\0", "?") for field in fields).encode(errors="replace")[:_LIMIT_BYTES]


def _own_fields(error: SandboxError) -> tuple[str, ...]:
    if isinstance(error, CommandNotFoundError):
        return error.programs
    if isinstance(error, UsageError):
        return (error.field,)
    return (error.id_kind, str(error.id)) if isinstance(error, UnmappedIdError) else ()


def decode_error(report: bytes) -> SandboxError:
    """The error in a report made by `encode_error`."""
    kind, message, cause, mend, *more = [*report[1:].decode(errors="replace").split("\0"), "", "", ""]
    if kind == CommandNotFoundError.__name__:
        known = tuple(program for program in more if program)
        return CommandNotFoundError(message, cause=cause, mend=mend, programs=known)
    if kind == UnmappedIdError.__name__:
        number = int(more[1]) if more[1].isdecimal() else 0
        return UnmappedIdError(message, cause=cause, mend=mend, id_kind=more[0], id=number)
    error = _KINDS.get(kind, StartError)(message, cause=cause, mend=mend)
    if isinstance(error, UsageError):
        error.field = more[0]
    return error
