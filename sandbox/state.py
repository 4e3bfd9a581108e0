"""The one database: SQLite, opened by many short processes at once.

Uniqueness and atomic change come from transactions, not from lock files. Each room keeps its own statements; the
schema stands here so that it is made and migrated in one place.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress

from sandbox.errors import HostError
from sandbox.record_copies import REPAIR, refuse_full_store, refuse_lost_records
from sandbox.transactions import transaction

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

#: the n-th entry brings a database from version n to n + 1
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE image (
        id TEXT PRIMARY KEY,            -- sha256:… of the config, Docker's image id
        manifest_digest TEXT NOT NULL,  -- sha256:… of the platform's manifest
        created_ns INTEGER NOT NULL,    -- from the config, or 0 where it says nothing
        pulled_ns INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,    -- unpacked, all layers
        platform TEXT NOT NULL,         -- os/architecture[/variant]
        layers TEXT NOT NULL,           -- JSON array of chain ids, lowest first
        config TEXT NOT NULL            -- the config blob, as JSON
    ) STRICT;
    CREATE TABLE image_name (
        name TEXT PRIMARY KEY,          -- normalised: docker.io/library/alpine:latest
        image_id TEXT NOT NULL REFERENCES image(id)
    ) STRICT;
    CREATE TABLE image_digest (
        repository TEXT NOT NULL,       -- normalised, no tag
        digest TEXT NOT NULL,           -- as the registry named it: index or manifest
        image_id TEXT NOT NULL REFERENCES image(id),
        PRIMARY KEY (repository, digest, image_id)
    ) STRICT;
    CREATE TABLE container (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        image_id TEXT NOT NULL,
        created_ns INTEGER NOT NULL,
        config TEXT NOT NULL,           -- ContainerConfig as JSON
        state TEXT NOT NULL             -- ContainerState as JSON
    ) STRICT;
    CREATE INDEX container_image ON container (image_id);
    CREATE TABLE volume (
        name TEXT PRIMARY KEY,
        created_ns INTEGER NOT NULL,
        labels TEXT NOT NULL,
        anonymous INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    """,
    """
    CREATE TABLE build_cache (
        key TEXT PRIMARY KEY,           -- what a build step was made of: parents, instruction, environment, content
        layer TEXT NOT NULL             -- JSON: chain id, diff id, descriptor (whether they exist is looked up)
    ) STRICT;
    """,
    """
    CREATE TABLE layer_blob (           -- a layer made here, as it leaves: compressed once, then remembered
        diff_id TEXT NOT NULL,
        compression TEXT NOT NULL,      -- kind:level
        digest TEXT NOT NULL,
        size INTEGER NOT NULL,
        PRIMARY KEY (diff_id, compression)
    ) STRICT;
    CREATE TABLE blob_source (          -- which repositories were seen to have a blob
        digest TEXT NOT NULL,
        domain TEXT NOT NULL,
        path TEXT NOT NULL,
        PRIMARY KEY (digest, domain, path)
    ) STRICT;
    """,
    """
    ALTER TABLE build_cache ADD COLUMN description TEXT NOT NULL DEFAULT '';
    ALTER TABLE build_cache ADD COLUMN created_ns INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE build_cache ADD COLUMN used_ns INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE build_cache ADD COLUMN uses INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE build_mount (          -- RUN --mount=type=cache: a directory below DATA/build-mounts
        name TEXT PRIMARY KEY,          -- the directory's
        description TEXT NOT NULL,      -- the id, or the path it is mounted at
        created_ns INTEGER NOT NULL,
        used_ns INTEGER NOT NULL,
        uses INTEGER NOT NULL
    ) STRICT;
    """,
    "",  # a copy of each record is kept beside its files (`record_copies.py`): those that are missing are written
    "ALTER TABLE container ADD COLUMN request TEXT NOT NULL DEFAULT '';",  # ContainerRequest as JSON, where it is known
    """
    CREATE TABLE event (                -- what happened (`events.py`), of which the oldest go
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        time_ns INTEGER NOT NULL,
        kind TEXT NOT NULL,             -- Docker's: container, image, volume, …
        action TEXT NOT NULL,
        actor TEXT NOT NULL,            -- whose id or name
        attributes TEXT NOT NULL        -- JSON object of texts
    ) STRICT;
    """,
    """
    CREATE TABLE image_parent (         -- of an image that was made of a container: what that was made of
        image_id TEXT PRIMARY KEY REFERENCES image(id) ON DELETE CASCADE,
        parent_id TEXT NOT NULL         -- which may be gone
    ) STRICT;
    """,
    "ALTER TABLE volume ADD COLUMN options TEXT NOT NULL DEFAULT '{}';",  # of its driver, as a JSON object of texts
    """
    CREATE TABLE network (
        id TEXT PRIMARY KEY,            -- 64 hex
        name TEXT NOT NULL UNIQUE,
        driver TEXT NOT NULL,           -- bridge, host, null
        created_ns INTEGER NOT NULL,
        subnet4 TEXT NOT NULL DEFAULT '',   -- address/prefix, as the ranges
        gateway4 TEXT NOT NULL DEFAULT '',
        range4 TEXT NOT NULL DEFAULT '',
        subnet6 TEXT NOT NULL DEFAULT '',
        gateway6 TEXT NOT NULL DEFAULT '',
        range6 TEXT NOT NULL DEFAULT '',
        chosen4 INTEGER NOT NULL DEFAULT 0, -- whether a person gave the subnet
        chosen6 INTEGER NOT NULL DEFAULT 0,
        internal INTEGER NOT NULL DEFAULT 0,
        attachable INTEGER NOT NULL DEFAULT 0,
        options TEXT NOT NULL DEFAULT '{}',
        labels TEXT NOT NULL DEFAULT '{}',
        auxiliary TEXT NOT NULL DEFAULT '{}',
        egress TEXT NOT NULL DEFAULT '[]',
        last4 TEXT NOT NULL DEFAULT '',     -- the address that was given last
        last6 TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE TABLE endpoint (             -- of the containers that run
        container_id TEXT NOT NULL REFERENCES container(id) ON DELETE CASCADE,
        network_id TEXT NOT NULL REFERENCES network(id),
        endpoint_id TEXT NOT NULL,      -- 64 hex
        number INTEGER NOT NULL UNIQUE, -- of the interface in the router
        interface INTEGER NOT NULL,     -- 0 is eth0
        address4 TEXT,
        address6 TEXT,
        mac TEXT NOT NULL,
        aliases TEXT NOT NULL,          -- JSON arrays of texts
        links TEXT NOT NULL,
        gateway_priority INTEGER NOT NULL,
        PRIMARY KEY (container_id, network_id),
        UNIQUE (container_id, interface),
        UNIQUE (network_id, address4),
        UNIQUE (network_id, address6)
    ) STRICT;
    INSERT INTO network (id, name, driver, created_ns)
        SELECT lower(hex(randomblob(32))), column1, column2, CAST(strftime('%s', 'now') AS INTEGER) * 1000000000
        FROM (VALUES ('bridge', 'bridge'), ('host', 'host'), ('none', 'null'));
    """,
    """
    CREATE TABLE service (
        id TEXT PRIMARY KEY,            -- 25 of base 36
        name TEXT NOT NULL,
        stack TEXT NOT NULL,            -- whose it is, or ''
        version INTEGER NOT NULL,
        removing INTEGER NOT NULL DEFAULT 0,    -- gone to everybody; its tasks are about to be
        due_ns INTEGER NOT NULL DEFAULT 0,      -- when there is something to decide; 0 where nothing is
        record TEXT NOT NULL            -- Service as JSON
    ) STRICT;
    CREATE UNIQUE INDEX service_name ON service (name) WHERE removing = 0;
    CREATE INDEX service_due ON service (due_ns) WHERE due_ns > 0;
    CREATE TABLE service_spec (         -- what was wanted at each version of which there is a task
        service_id TEXT NOT NULL REFERENCES service(id) ON DELETE CASCADE,
        version INTEGER NOT NULL,
        spec TEXT NOT NULL,             -- ServiceSpec as JSON
        PRIMARY KEY (service_id, version)
    ) STRICT;
    CREATE TABLE task (
        id TEXT PRIMARY KEY,            -- 25 of base 36
        service_id TEXT NOT NULL REFERENCES service(id) ON DELETE CASCADE,
        container_id TEXT NOT NULL,     -- '' before there is one
        record TEXT NOT NULL            -- Task as JSON
    ) STRICT;
    CREATE INDEX task_service ON task (service_id);
    CREATE INDEX task_container ON task (container_id) WHERE container_id <> '';
    -- whoever changes the state of a service's container, the service is looked at
    CREATE TRIGGER container_of_task AFTER UPDATE OF state ON container BEGIN
        UPDATE service SET due_ns = 1
        WHERE id IN (SELECT service_id FROM task WHERE container_id = new.id AND container_id <> '');
    END;
    CREATE TRIGGER container_of_task_gone AFTER DELETE ON container BEGIN
        UPDATE service SET due_ns = 1
        WHERE id IN (SELECT service_id FROM task WHERE container_id = old.id AND container_id <> '');
    END;
    """,
    """
    CREATE TABLE secret (               -- its content is a file of DATA/secrets, and never here
        id TEXT PRIMARY KEY,            -- 25 of base 36
        name TEXT NOT NULL UNIQUE,
        created_ns INTEGER NOT NULL,
        updated_ns INTEGER NOT NULL,
        version INTEGER NOT NULL,
        labels TEXT NOT NULL,           -- JSON object of texts
        digest TEXT NOT NULL,           -- SHA-256 of id and content
        size_bytes INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE config (               -- so for configs
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        created_ns INTEGER NOT NULL,
        updated_ns INTEGER NOT NULL,
        version INTEGER NOT NULL,
        labels TEXT NOT NULL,
        digest TEXT NOT NULL,
        size_bytes INTEGER NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE service_port (         -- what a service listens on, with the ports that were chosen for it
        service_id TEXT NOT NULL REFERENCES service(id) ON DELETE CASCADE,
        protocol TEXT NOT NULL,
        host_ip TEXT NOT NULL,          -- '' for every address
        published INTEGER NOT NULL, target INTEGER NOT NULL, PRIMARY KEY (protocol, host_ip, published)) STRICT;
    """,
    """
    CREATE TABLE api_session (          -- what was made through the API's socket of one command (`api/session.py`)
        session TEXT NOT NULL,          -- pid, start and boot of the process that removes it at its end
        kind TEXT NOT NULL,             -- container, network, volume, image
        object TEXT NOT NULL            -- its id or name
    ) STRICT;
    """,
    """
    CREATE TABLE service_vip (          -- the one address of a service on each of its networks; names is a JSON array
        service_id TEXT NOT NULL REFERENCES service(id) ON DELETE CASCADE,
        network_id TEXT NOT NULL REFERENCES network(id) ON DELETE CASCADE, address4 TEXT NOT NULL, names TEXT NOT NULL,
        PRIMARY KEY (service_id, network_id), UNIQUE (network_id, address4)) STRICT;
    """,
)
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
    if version > len(MIGRATIONS):
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
        if version < len(MIGRATIONS):
            _bring_up(connection, paths, version)
    except BaseException:
        connection.close()
        raise
    return connection, int(version)


def _bring_up(connection: sqlite3.Connection, paths: Paths, version: int) -> None:
    if version == 0:
        refuse_full_store(paths.data_root, paths.database, "empty")
    migrate(connection)
    # once for each store that is older than the copies are
    from sandbox.missing_copies import write_missing_copies

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


def _statements(step: str) -> Iterator[str]:
    """Each statement of a migration; one that makes a trigger has semicolons of its own."""
    statement = ""
    for part in step.split(";")[:-1]:
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to the present version."""
    with transaction(connection):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for step in MIGRATIONS[version:]:
            for statement in _statements(step):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
