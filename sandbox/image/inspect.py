"""`image inspect` and `history`: an image as Docker's JSON, and how its layers came to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.humane import rfc3339
from sandbox.image.store import digests_of, load_image, names_of, parent_of

if TYPE_CHECKING:
    import sqlite3

    from sandbox.image.store import ImageRecord
    from sandbox.paths import Paths

#: what Docker shows of `config` though it is empty
_CONFIG_DEFAULTS: dict[str, Any] = {
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False,
    "Tty": False, "OpenStdin": False, "StdinOnce": False, "Env": None, "Cmd": None, "Image": "", "Volumes": None,
    "WorkingDir": "", "Entrypoint": None, "OnBuild": None, "Labels": None,
}  # fmt: skip


class HistoryEntry(NamedTuple):
    """One line of `history`, newest first; `image` is "<missing>" below the top, as Docker has it."""

    image: str
    created_ns: int
    created_by: str
    size_bytes: int
    comment: str
    #: the names of the image that this line is
    tags: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As Docker's engine has it."""
        return {
            "Id": self.image, "Created": self.created_ns // 10**9, "CreatedBy": self.created_by,
            "Tags": list(self.tags) or None, "Size": self.size_bytes, "Comment": self.comment,
        }  # fmt: skip


def inspect_image(paths: Paths, connection: sqlite3.Connection, image: ImageRecord) -> dict[str, Any]:
    """What `docker image inspect` prints of an image."""
    config = image.config
    platform_variant = {"Variant": config["variant"]} if config.get("variant") else {}
    layers = [f"{paths.layers}/{chain_id[7:]}/diff" for chain_id in image.layers]
    data = {"UpperDir": layers[-1], "LowerDir": ":".join(reversed(layers[:-1]))} if layers else {}
    history = config.get("history") or [{}]
    return {
        "Id": image.id,
        "RepoTags": [name.familiar for name in names_of(connection, image.id)],
        "RepoDigests": [digest.familiar for digest in digests_of(connection, image.id)],
        "Parent": parent_of(connection, image.id),
        "Comment": history[-1].get("comment") or "",
        "Created": config.get("created") or rfc3339(0),
        "DockerVersion": config.get("docker_version") or "",
        "Author": config.get("author") or "",
        "Config": {**_CONFIG_DEFAULTS, **(config.get("config") or {})},
        "Architecture": config.get("architecture", ""),
        **platform_variant,
        "Os": config.get("os", ""),
        "Size": image.size_bytes,
        "GraphDriver": {"Data": {key: value for key, value in data.items() if value}, "Name": "overlay"},
        "RootFS": {"Type": "layers", "Layers": (config.get("rootfs") or {}).get("diff_ids") or []},
        "Metadata": {"LastTagTime": rfc3339(image.pulled_ns)},
    }


def image_history(paths: Paths, connection: sqlite3.Connection, image: ImageRecord) -> list[HistoryEntry]:
    """How the image was made, newest step first; a layer's size stands at the step that made it.

    The first line is the image's own; those after it are its parents', as far as they are here.
    """
    from sandbox.image.recording import parse_time_ns
    from storage.digests import parse_digest
    from storage.layers.store import LayerStore

    store = LayerStore(paths.layers)
    chain = iter(image.layers)
    entries = []
    for step in image.config.get("history") or [{} for _layer in image.layers]:
        chain_id = None if step.get("empty_layer") else next(chain, None)
        size = store.describe(parse_digest(chain_id)).get("size_bytes") if chain_id else 0
        entries.append(
            HistoryEntry(
                "<missing>",
                parse_time_ns(step.get("created")),
                step.get("created_by") or "",
                size if isinstance(size, int) else 0,
                step.get("comment") or "",
            )
        )
    entries.reverse()
    known: ImageRecord | None = image
    for position, entry in enumerate(entries):
        if known is None:
            break
        tags = tuple(name.familiar for name in names_of(connection, known.id))
        entries[position] = entry._replace(image=known.id, tags=tags)
        parent_id = parent_of(connection, known.id)
        known = load_image(connection, parent_id) if parent_id else None
    return entries
