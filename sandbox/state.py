"""The one database: SQLite, opened by many short processes at once.

Uniqueness and atomic change come from transactions, not from lock files. Each room keeps its own statements; what
tables there are says `schema.py`.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress

from sandbox.errors import HostError
from sandbox.record_copies import REPAIR, refuse_full_store, refuse_lost_records

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from sandbox.paths import Paths
else:
    # the package around it adds columns of dates, and with them datetime: 3 ms of the 30 that `ps` takes
    import _sqlite3 as sqlite3

DatabaseError = sqlite3.Error
IntegrityError = sqlite3.IntegrityError
#: how long a command waits for another one that is just writing
WRITER_PATIENCE_SECONDS = 30.0
#: what is kept free for the database, and how much must be free before that is taken
_RESERVE_BYTES = 1 << 20
_RESERVE_FROM_BYTES = 64 << 20
#: what a database that is up to date says: as many as `schema.py` has migrations
SCHEMA_VERSION = 18
#: the databases that this process has found to know what the store beside them holds
_agreeing: set[tuple[int, int]] = set()


@contextmanager
def open_state(paths: Paths, *, durable: bool = True, frees: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection as `connect_state` makes it, for the length of the block. Raises HostError."""
    connection = connect_state(paths, durable=durable, frees=frees)
    try:
        yield connection
    finally:
        connection.close()


def connect_state(
    paths: Paths,
    *,
    durable: bool = True,
    frees: bool = False,
    checked: bool = True,
    patience_seconds: float = WRITER_PATIENCE_SECONDS,
) -> sqlite3.Connection:
    """A connection in autocommit mode, foreign keys on, which waits `patience_seconds` for a writer; the caller closes
    it. Raises HostError; LostRecordsError where the store beside it holds what it does not know, unless `checked` is
    false.

    With `durable` false a commit may be lost in a power failure (the database stays whole): for what a reboot undoes
    anyway, such as which containers run. With `frees` the caller is about to remove things: on a full disk it gets the
    room to write that down. No connection may be open across a fork after which the child opens one
    too: SQLite would believe that the child holds the parent's locks.
    """
    try:
        connection, version = _open(paths, patience_seconds, durable=durable)
    except (DatabaseError, OSError) as error:
        full = is_full(error)
        if not (full and _give_up_reserve(paths)):
            raise _not_opened(paths, error, full=full) from error
        try:
            connection, version = _open(paths, patience_seconds, durable=durable)
        except (DatabaseError, OSError) as again:
            raise _not_opened(paths, again, full=is_full(again)) from again
    else:
        if frees:
            _free_reserve_of_full(paths)
        elif checked:
            _keep_reserve(paths)
    if version > SCHEMA_VERSION:
        connection.close()
        raise HostError(
            f"the database {paths.database} was written by a newer version of sandbox", mend="sandbox version"
        )
    if checked:
        _check_agreement(paths, connection)
    return connection


def require_state(paths: Paths) -> None:
    """Have the database there, made at the first use of a store. Raises HostError as `connect_state` does."""
    try:
        if _file_of(paths.database) in _agreeing:
            return
    except FileNotFoundError:
        pass
    connect_state(paths).close()


def _file_of(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _check_agreement(paths: Paths, connection: sqlite3.Connection) -> None:
    """Once for each process and database: whether it was lost or replaced since the store was filled."""
    file = _file_of(paths.database)
    if file in _agreeing:
        return
    try:
        refuse_lost_records(connection, paths.data_root, paths.database)
    except DatabaseError as error:
        connection.close()
        raise _not_opened(paths, error, full=is_full(error)) from error
    except HostError:
        connection.close()
        raise
    _agreeing.add(file)


def _open(paths: Paths, patience_seconds: float, *, durable: bool) -> tuple[sqlite3.Connection, int]:
    if _is_missing(paths.database):
        _create(paths)
    connection = sqlite3.connect(paths.database, timeout=patience_seconds, isolation_level=None)
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        if not durable:
            connection.execute("PRAGMA synchronous = NORMAL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version < SCHEMA_VERSION:
            _bring_up(connection, paths, version)
    except BaseException:
        connection.close()
        raise
    return connection, int(version)


def _bring_up(connection: sqlite3.Connection, paths: Paths, version: int) -> None:
    if version == 0:
        refuse_full_store(paths.data_root, paths.database, "empty")
    # once for each store that is older
    from sandbox.missing_copies import write_missing_copies
    from sandbox.schema import migrate

    migrate(connection)
    write_missing_copies(connection, paths)


def _not_opened(paths: Paths, error: DatabaseError | OSError, *, full: bool) -> HostError:
    said = getattr(error, "strerror", None) or str(error)
    cause, mend = f"the disk is full ({said})", f"df -h {paths.data_root}"
    if is_damage(error):
        cause, mend = f"it is damaged ({said})", REPAIR
    elif not full:
        from sandbox.write_refusals import explain_database

        refused, mend = explain_database(paths.database)
        cause, mend = f"{refused} ({said})" if refused else said, mend or f"ls -l {paths.database}"
    return HostError(f"cannot open the database {paths.database}", cause=cause, mend=mend)


def is_full(error: DatabaseError | OSError) -> bool:
    """Whether the disk, or the user's share of it, has no room."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # SQLITE_IOERR_SHMSIZE: no room for the index of the write-ahead log, which every reader makes
    return getattr(error, "sqlite_errorcode", 0) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)


def is_busy(error: BaseException | None) -> bool:
    """Whether another process is just writing, or making the database ready; of a HostError, whether that is why."""
    if isinstance(error, HostError):
        error = error.__cause__
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_damage(error: Exception) -> bool:
    """Whether the file is no database, or not a whole one."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # of Python's own: a text that is not UTF-8, which is all that was ever written
        return isinstance(error, sqlite3.OperationalError)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _keep_reserve(paths: Paths) -> None:
    """Have a file that takes some room: on a full disk it gives way to the database, so that things can be removed."""
    try:
        if os.stat(paths.reserve).st_size >= _RESERVE_BYTES:
            return
    except OSError:
        pass
    with suppress(OSError):
        room = os.statvfs(paths.data_root)
        if room.f_bavail * room.f_frsize < _RESERVE_FROM_BYTES:
            return
        fd = os.open(paths.reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, _RESERVE_BYTES)
        finally:
            os.close(fd)


def _free_reserve_of_full(paths: Paths) -> None:
    with suppress(OSError):
        room = os.statvfs(paths.data_root)
        if room.f_bavail * room.f_frsize < _RESERVE_BYTES:
            _give_up_reserve(paths)


def _give_up_reserve(paths: Paths) -> bool:
    try:
        os.unlink(paths.reserve)
    except OSError:
        return False
    return True


def _is_missing(database: str) -> bool:
    try:
        return os.stat(database).st_size == 0
    except FileNotFoundError:
        return True


def _create(paths: Paths) -> None:
    """Make the database aside and rename it: whoever opens it finds it whole, in write-ahead mode.

    Entering that mode needs the file for oneself, and SQLite gives up at once instead of waiting for others, who
    at a first use may be opening it in the same moment.
    """
    # only here, at the first use of a store
    from storage.locks import lock_directory, unlock

    held = lock_directory(paths.data_root)
    try:
        if not _is_missing(paths.database):
            return
        refuse_full_store(paths.data_root, paths.database, "empty" if os.path.exists(paths.database) else "missing")
        new = f"{paths.database}.new"
        make_database(new).close()
        for left in (f"{paths.database}-wal", f"{paths.database}-shm"):
            # of one that is gone: they would be taken for those of the new one
            with suppress(FileNotFoundError):
                os.unlink(left)
        os.rename(new, paths.database)
        os.fsync(held)
    finally:
        unlock(held)


def make_database(path: str) -> sqlite3.Connection:
    """An empty database at `path`, in the place of what a killed maker left there."""
    from sandbox.schema import migrate

    for left in (path, f"{path}-wal", f"{path}-shm"):
        with suppress(FileNotFoundError):
            os.unlink(left)
    # SQLite would give it the umask's mode; what stands beside it later has the database's
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, isolation_level=None)
    # write-ahead: readers such as `ps` never wait for a pull that is committing
    connection.execute("PRAGMA journal_mode = WAL")
    migrate(connection)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection
