"""`ps`: which containers, and each as a row of texts."""

from __future__ import annotations

import time

from sandbox.container.view.status import status_text
from sandbox.humane import ago, created_at, quoted_command
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.output.table import Field
    from sandbox.container.model.record import Container, ContainerConfig
    from sandbox.paths import Paths

HEADERS: dict[str, str] = {
    "ID": "CONTAINER ID",
    "Names": "NAMES",
    "Image": "IMAGE",
    "Platform": "PLATFORM",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "Ports": "PORTS",
    "State": "STATE",
    "Status": "STATUS",
    "HealthStatus": "HEALTH STATUS",
    "Size": "SIZE",
    "Labels": "LABELS",
    "Label": "LABEL",
    "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Networks": "NETWORKS",
}
COLUMNS: tuple[str, ...] = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
SIZE_COLUMNS: tuple[str, ...] = (*COLUMNS, "Size")

#: of `--format raw`: a line for each field, and a blank one after each container
RAW = (
    "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\n"
    "state: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\n"
    "ports: {{- pad .Ports 1 0}}\n"
)
RAW_WITH_SIZE = f"{RAW}size: {{{{.Size}}}}\n"


class RowOptions(NamedTuple):
    truncate: bool = True
    with_size: bool = False


def ports_text(container: Container) -> str:
    """Docker's PORTS: what is published now, and what is only exposed while the container runs."""
    if container.state.status not in ("running", "paused"):
        return ""
    exposed = container.config.exposed_ports if _publishes(container.config) else ()
    if not exposed and not container.state.published_ports:
        return ""
    from net.port_texts import render_ports

    return render_ports(container.state.published_ports, exposed)


def _publishes(config: ContainerConfig) -> bool:
    return config.network not in ("none", "host") and not config.network.startswith("container:")


def networks_text(config: ContainerConfig) -> str:
    from sandbox.network.requested import network_names

    return ",".join(network_names(config))


def image_text(container: Container, options: RowOptions) -> str:
    """The image as it was asked for, where texts are cut without a digest."""
    image = container.config.image
    if not options.truncate or "@" not in image:
        return image
    from sandbox.errors import ImageError
    from sandbox.image.references import parse_reference

    try:
        return parse_reference(image)._replace(digest="").familiar
    except ImageError:
        return image


def container_row(paths: Paths, container: Container, options: RowOptions) -> dict[str, Field]:
    """Every field a template of `ps --format` may use."""
    config = container.config
    now_ns = time.time_ns()
    labels = dict(config.labels)
    mounts = [mount.source or mount.target for mount in config.mounts]
    volumes = [mount for mount in config.mounts if mount.kind == "volume"]
    return {
        "ID": container.id[:12] if options.truncate else container.id,
        "Names": container.name,
        "Image": image_text(container, options),
        "Platform": config.platform,
        "Command": quoted_command((*config.entrypoint, *config.command), truncate=options.truncate),
        "CreatedAt": created_at(container.created_ns),
        "RunningFor": ago(container.created_ns, now_ns),
        "Ports": ports_text(container),
        "State": container.state.status,
        "Status": status_text(container, now_ns),
        "HealthStatus": container.state.health or "none",
        "Size": _size_text(paths, container) if options.with_size else "0B",
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(labels.items())),
        "Label": lambda name: labels.get(name, ""),
        "Mounts": ",".join(mount if not options.truncate or len(mount) <= 15 else f"{mount[:14]}…" for mount in mounts),
        "LocalVolumes": str(len(volumes)),
        "Networks": networks_text(config),
    }


def table_row(container: Container, options: RowOptions) -> dict[str, Field]:
    """Only what the plain table shows: for a hundred containers the rest is milliseconds."""
    config = container.config
    now_ns = time.time_ns()
    return {
        "ID": container.id[:12] if options.truncate else container.id,
        "Names": container.name,
        "Image": image_text(container, options),
        "Command": quoted_command((*config.entrypoint, *config.command), truncate=options.truncate),
        "RunningFor": ago(container.created_ns, now_ns),
        "Ports": ports_text(container),
        "Status": status_text(container, now_ns),
    }


def _size_text(paths: Paths, container: Container) -> str:
    from sandbox.container.view.sizes import container_sizes
    from sandbox.humane import human_size

    sizes = container_sizes(paths, container)
    return f"{human_size(sizes.written_bytes, 3)} (virtual {human_size(sizes.total_bytes, 3)})"
