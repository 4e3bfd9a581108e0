"""How a call ends: gRPC's codes, and the error that is told to a client, or that a client's session has told."""

from __future__ import annotations

from typing import NamedTuple

from sandbox.errors import SandboxError

OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, NOT_FOUND = 0, 1, 2, 3, 5
RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 8, 12, 13, 14


class Detail(NamedTuple):
    """What an error carries beside its message: google.protobuf.Any."""

    type_url: str
    value: bytes


class RpcError(SandboxError):
    """A call that failed."""

    def __init__(self, status: int, message: str, details: tuple[Detail, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.details = details


class LinkGoneError(Exception):
    """The other side has closed the connection, or this call of it."""
