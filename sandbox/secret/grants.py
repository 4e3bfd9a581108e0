"""The contents that a new container is to get: of secrets and configs, of files of the host, of texts."""

from __future__ import annotations

from sandbox.errors import UsageError, at_field
from sandbox.secret.store import find_object, read_content

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from sandbox.paths import Paths
    from sandbox.secret.record import Kind
    from sandbox.values import FileGrant

#: of a file or a text: more should be a mount
_MOST_BYTES = 16 << 20


def contents_of(
    connection: sqlite3.Connection, paths: Paths, secrets: Sequence[FileGrant], configs: Sequence[FileGrant]
) -> list[bytes]:
    """The content of each grant, secrets first. Raises NotFoundError for an object that is not there; UsageError for a
    file that cannot be read, or is too large.
    """
    found = []
    kinds: tuple[tuple[Kind, Sequence[FileGrant]], ...] = (("secret", secrets), ("config", configs))
    for kind, grants in kinds:
        for position, grant in enumerate(grants):
            with at_field(f"{kind}s[{position}]"):
                found.append(_content(connection, paths, kind, grant))
    return found


def _content(connection: sqlite3.Connection, paths: Paths, kind: Kind, grant: FileGrant) -> bytes:
    if grant.content is not None:
        data = grant.content.encode(errors="surrogateescape")
    elif grant.path:
        data = _read(kind, grant.path)
    else:
        data = read_content(paths, kind, find_object(connection, kind, grant.source))
    if len(data) > _MOST_BYTES:
        raise UsageError(
            f"{kind} {grant.source or grant.path} is too large",
            cause=f"it has more than {_MOST_BYTES} bytes",
            mend=f"-v {grant.path or '/FILE'}:{grant.target or '/TARGET'}:ro",
        )
    if grant.variable and b"\0" in data:
        raise UsageError(f"{kind} {grant.source} cannot be a variable", cause="there is a NUL byte in it")
    return data


def _read(kind: Kind, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read the {kind} file {path}", cause=error.strerror or str(error), mend=f"ls -l {path}"
        ) from error
