"""Images with what is stored of each: what `images --tree` lists."""

from __future__ import annotations

from sandbox.errors import ImageError
from sandbox.image.go_json import load_document
from sandbox.image.listing import NONE, list_lines
from sandbox.image.recording import content_store
from sandbox.named_tuple import NamedTuple
from storage.digests import parse_digest
from storage.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from sandbox.image.listing import ListRequest
    from sandbox.image.store import ImageRecord
    from sandbox.paths import Paths
    from storage.content import ContentStore


class TreeImage(NamedTuple):
    """An image with the names that it was asked for by; `content_bytes` are its blobs, as a registry has them."""

    record: ImageRecord
    names: tuple[str, ...]
    content_bytes: int
    #: a container was made of it
    in_use: bool


def list_tree(connection: sqlite3.Connection, paths: Paths, request: ListRequest) -> list[TreeImage]:
    """The images asked for, the newest first. Raises as `list_lines`."""
    names: dict[str, list[str]] = {}
    records: dict[str, ImageRecord] = {}
    for line in list_lines(connection, request):
        records[line.image.id] = line.image
        found = names.setdefault(line.image.id, [])
        if line.tag != NONE:
            found.append(f"{line.repository}:{line.tag}")
    used = {image_id for (image_id,) in connection.execute("SELECT image_id FROM container")}
    if not records:
        return []
    content = content_store(paths)
    return [
        TreeImage(record, tuple(dict.fromkeys(names[record.id])), _content_bytes(content, record), record.id in used)
        for record in records.values()
    ]


def _content_bytes(content: ContentStore, record: ImageRecord) -> int:
    digests = [record.id, record.manifest_digest]
    try:
        manifest = load_document(content.read(parse_digest(record.manifest_digest)))
        digests += [layer["digest"] for layer in manifest["layers"]]
    except (StorageError, ImageError, KeyError, TypeError):
        pass  # a damaged manifest keeps nobody from seeing what there is; `system check` tells of it
    return sum(_blob_bytes(content, digest) for digest in set(digests))


def _blob_bytes(content: ContentStore, digest: str) -> int:
    try:
        return content.size(parse_digest(digest))
    except StorageError:
        return 0
