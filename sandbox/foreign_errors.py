"""What `storage`, `net`, the kernel and SQLite raise, in our shape: for a border where nobody could say more of it."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

from net.errors import NetError
from sandbox.errors import HostError, SandboxError
from sandbox.faults import limit_reached
from storage.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def explain_error(error: Exception, find_database: Callable[[], str]) -> SandboxError | None:
    """`error` as one that a person can mend; None for a fault of ours, which is for its traceback.

    `find_database` gives the path of the database; it may raise HostError.
    """
    if isinstance(error, SandboxError | StorageError | NetError | OSError):
        return as_sandbox_error(error)
    failure: HostError | None
    if isinstance(error, MemoryError):
        failure = HostError("out of memory", cause="no more is there, or ulimit -v, ulimit -d", mend="ulimit -a")
    else:
        failure = _database_failure(error, find_database)
    if failure is not None:
        failure.__cause__ = error
    return failure


def as_sandbox_error(error: SandboxError | StorageError | NetError | OSError) -> SandboxError:
    """An error of `storage`, of `net` or of the kernel in our shape."""
    if isinstance(error, SandboxError):
        return error
    if isinstance(error, OSError):
        where = f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
        cause, mend = _refusal(error)
        failure = SandboxError(f"{error.strerror or error}{where}", cause=cause, mend=mend)
    else:
        failure = SandboxError(error.message, cause=error.cause, mend=error.mend)
    failure.__cause__ = error
    return failure


def _database_failure(error: Exception, find_database: Callable[[], str]) -> HostError | None:
    # the module is imported by whoever has used the database
    state = sys.modules.get("sandbox.state")
    if state is None or not isinstance(error, state.DatabaseError):
        return None
    mend = "sandbox system check --repair" if state.is_damage(error) else "sandbox doctor"
    return _refused_database(error, find_database) or HostError(
        "the database could not be used", cause=str(error), mend=mend
    )


def _refused_database(error: Exception, find_database: Callable[[], str]) -> HostError | None:
    from sandbox.write_refusals import explain_database  # for such an error only

    with suppress(HostError):
        database = find_database()
        cause, mend = explain_database(database)
        if cause:
            return HostError(f"cannot write the database {database}", cause=f"{cause} ({error})", mend=mend)
    return None


def _refusal(error: OSError) -> tuple[str, str]:
    cause, mend = limit_reached(error)
    if cause:
        return cause, mend
    if error.errno not in (errno.EROFS, errno.EACCES) or not isinstance(error.filename, str):
        return "", ""
    from sandbox.write_refusals import explain_refusal  # for such an error only

    return explain_refusal(error.filename)
