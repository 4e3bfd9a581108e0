"""Containers as the short documents of Docker's list."""

from __future__ import annotations

import time

from sandbox.container.model.linked import linked_names
from sandbox.container.view.inspect import mount_document
from sandbox.container.view.network_settings import network_settings
from sandbox.container.view.status import status_text
from sandbox.network.store import endpoints_of
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from sandbox.container.model.record import Container, ContainerConfig
    from sandbox.network.record import Endpoint
    from sandbox.paths import Paths

    Document = dict[str, Any]  # Any: JSON


def summarise(paths: Paths, containers: Sequence[Container], *, with_size: bool) -> list[Document]:
    """A document for each of the containers. Raises SandboxError."""
    with open_state(paths, durable=False) as connection:
        places = [endpoints_of(connection, container.id) for container in containers]
        linked = linked_names(connection)
    now_ns = time.time_ns()
    found = [_summary(paths, *pair, now_ns) for pair in zip(containers, places, strict=True)]
    for document, container in zip(found, containers, strict=True):
        document["Names"] += linked.get(container.name, ())
    if with_size:
        from sandbox.container.view.sizes import measure_containers

        for document, sizes in zip(found, measure_containers(paths, containers), strict=True):
            document |= {"SizeRw": sizes.written_bytes, "SizeRootFs": sizes.total_bytes}
    return found


def _summary(paths: Paths, container: Container, endpoints: Sequence[Endpoint], now_ns: int) -> Document:
    config = container.config
    settings = network_settings(container, endpoints)
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": config.image,
        "ImageID": config.image_id,
        "Command": _command(config),
        "Created": container.created_ns // 10**9,
        "Ports": list(_ports(settings["Ports"])),
        "Labels": dict(config.labels),
        "State": container.state.status,
        "Status": status_text(container, now_ns),
        "HostConfig": {"NetworkMode": "bridge" if config.network == "default" else config.network},
        "NetworkSettings": {"Networks": settings["Networks"]},
        "Mounts": [mount_document(paths, mount) for mount in config.mounts if mount.kind != "tmpfs"],
    }


def _command(config: ContainerConfig) -> str:
    first, *others = (*config.entrypoint, *config.command) or ("",)
    return " ".join([first, *(f"'{word}'" if " " in word else word for word in others)])


def _ports(published: Document) -> Iterator[Document]:
    for port, places in published.items():
        number, _, protocol = port.partition("/")
        private: Document = {"PrivatePort": int(number), "Type": protocol or "tcp"}
        if not places:
            yield private
        for place in places or ():
            yield {"IP": place["HostIp"], **private, "PublicPort": int(place["HostPort"])}
