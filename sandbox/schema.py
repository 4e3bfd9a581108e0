"""The schema of the one database, as the migrations that bring it up from nothing.

Each room keeps its own statements; the tables stand here so that they are made and changed in one place. A database
that is up to date loads none of it (`state.py`).
"""

from __future__ import annotations

from sandbox.transactions import transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
else:
    import _sqlite3 as sqlite3

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
    """
    -- of the driver of addresses: JSON, null where nobody spoke of them
    ALTER TABLE network ADD COLUMN ipam_options TEXT NOT NULL DEFAULT '{}';
    UPDATE network SET ipam_options = 'null' WHERE name IN ('bridge', 'host', 'none');
    """,
    """
    -- JSON: further addresses of the link; pairs of what is asked of the interface
    ALTER TABLE endpoint ADD COLUMN link_local TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE endpoint ADD COLUMN driver_options TEXT NOT NULL DEFAULT '[]';
    """,
    """
    -- the language of a content that is a template
    ALTER TABLE secret ADD COLUMN template TEXT NOT NULL DEFAULT '';
    ALTER TABLE config ADD COLUMN template TEXT NOT NULL DEFAULT '';
    """,
)


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
