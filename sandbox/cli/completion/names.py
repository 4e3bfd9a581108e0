"""Live names, from the database as it is: none where it cannot be read, and nothing is mended on the way."""

from __future__ import annotations

from sandbox.errors import SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Candidates = list[tuple[str, str]]

#: a record leaves out what is as it begins
_STATUS = "coalesce(json_extract(state, '$.status'), 'created')"
_IMAGE = "coalesce(json_extract(config, '$.image'), '')"


def containers(env: Mapping[str, str], states: Sequence[str] = ()) -> Candidates:
    """Containers in one of `states`, or all, with what they are made of and their state."""
    rows = _query(env, f"SELECT name, {_STATUS}, {_IMAGE} FROM container ORDER BY name")
    return [(name, f"{image}, {status}") for name, status, image in rows if not states or status in states]


def images(env: Mapping[str, str]) -> Candidates:
    """Images as people write them."""
    rows = _query(env, "SELECT name FROM image_name ORDER BY name")
    shown = (name.removeprefix("docker.io/library/").removeprefix("docker.io/") for (name,) in rows)
    return [(name.removesuffix(":latest"), "image") for name in shown]


def volumes(env: Mapping[str, str]) -> Candidates:
    """Volumes that a person has named."""
    return [(name, "volume") for (name,) in _query(env, "SELECT name FROM volume WHERE NOT anonymous ORDER BY name")]


def networks(env: Mapping[str, str]) -> Candidates:
    """Every network."""
    return [(name, "network") for (name,) in _query(env, "SELECT name FROM network ORDER BY name")]


def objects(env: Mapping[str, str], kind: str) -> Candidates:
    """Every secret, or every config."""
    return [(name, kind) for (name,) in _query(env, f"SELECT name FROM {kind} ORDER BY name")]


def services(env: Mapping[str, str]) -> Candidates:
    """Services that have not been removed."""
    return [(name, "service") for (name,) in _query(env, "SELECT name FROM service WHERE NOT removing ORDER BY name")]


def stacks(env: Mapping[str, str]) -> Candidates:
    """Stacks that have such a service."""
    statement = "SELECT DISTINCT stack FROM service WHERE NOT removing AND stack <> '' ORDER BY stack"
    return [(name, "stack") for (name,) in _query(env, statement)]


def _query(env: Mapping[str, str], statement: str) -> list[tuple[str, ...]]:
    import _sqlite3 as sqlite3

    from sandbox.paths import find_paths

    try:
        connection = sqlite3.connect(f"file:{find_paths(env).database}?mode=ro", uri=True, timeout=1)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()
    except (sqlite3.Error, SandboxError):
        return []
