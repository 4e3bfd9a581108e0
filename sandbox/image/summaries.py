"""Images as the short documents of Docker's list, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.image.listing import ListRequest, list_lines
from sandbox.image.store import digests_of, names_of, parent_of
from sandbox.state import open_state

if TYPE_CHECKING:
    import sqlite3

    from sandbox.image.store import ImageRecord
    from sandbox.operation_context import OperationContext

    Document = dict[str, Any]


def image_summaries(context: OperationContext, filters: tuple[str, ...], *, all: bool) -> list[Document]:
    """The images that pass the filters, the newest first. Raises UsageError, FilterError."""
    with open_state(context.paths, durable=False) as connection:
        lines = list_lines(connection, ListRequest(filters=filters, all=all))
        images = {line.image.id: line.image for line in lines}
        return [_summary(connection, image) for image in images.values()]


def _summary(connection: sqlite3.Connection, image: ImageRecord) -> Document:
    return {
        "Containers": -1,
        "Created": image.created_ns // 10**9,
        "Id": image.id,
        "Labels": (image.config.get("config") or {}).get("Labels"),
        "ParentId": parent_of(connection, image.id),
        "RepoDigests": [digest.familiar for digest in digests_of(connection, image.id)],
        "RepoTags": [name.familiar for name in names_of(connection, image.id)],
        "SharedSize": -1,
        "Size": image.size_bytes,
    }
