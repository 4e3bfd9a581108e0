"""What happens to images, as Docker's events."""

from __future__ import annotations

import json

from sandbox.events import Event, emit

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from typing import Any

    from sandbox.image.references import Reference


def image_event(action: str, image_id: str, config: Mapping[str, Any], name: str = "") -> Event:  # Any: JSON
    """`name` is the one that it happens to, the image's id where it is none. `config` may be a stranger's."""
    return Event("image", action, image_id, {**_labels(config), "name": name or image_id})


def transfer_event(action: str, reference: Reference, config: Mapping[str, Any]) -> Event:
    """A pull or a push, which Docker tells of a name and not of an image."""
    return image_event(action, reference.familiar, config, reference.familiar_repository)


def emit_of(connection: sqlite3.Connection, action: str, image_id: str, name: str = "") -> None:
    """Keep what happens to the image, or to its `name`; within the transaction of that, and before the row goes."""
    emit(connection, image_event(action, image_id, config_of(connection, image_id), name))


def emit_untagged(connection: sqlite3.Connection, image_id: str, count: int) -> None:
    """Keep that so many names and digests of the image go. Docker does not say which."""
    for _name in range(count):
        emit_of(connection, "untag", image_id)


def config_of(connection: sqlite3.Connection, image_id: str) -> Mapping[str, Any]:
    """The image's configuration as its row has it; an empty one where there is no row that can be read."""
    row = connection.execute("SELECT config FROM image WHERE id = ?", (image_id,)).fetchone()
    try:
        config = json.loads(row[0]) if row is not None else {}
    except ValueError:
        return {}
    return config if isinstance(config, dict) else {}


def _labels(config: Mapping[str, Any]) -> dict[str, str]:
    part = config.get("config")
    labels = part.get("Labels") if isinstance(part, dict) else None
    return {name: value for name, value in labels.items() if isinstance(value, str)} if isinstance(labels, dict) else {}
