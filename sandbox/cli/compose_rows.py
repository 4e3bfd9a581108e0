"""`compose ps`: a container as a row of texts, and as a document of JSON."""

from __future__ import annotations

from sandbox.cli.container_rows import HEADERS as HEADERS_OF_CONTAINERS
from sandbox.cli.container_rows import RowOptions
from sandbox.cli.container_rows import container_row as row_of_container
from sandbox.compose.names import PROJECT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sandbox.cli.output.table import Field, Row
    from sandbox.compose.observe import ObservedContainer
    from sandbox.paths import Paths

_OURS = {
    "Name": "NAME",
    "Project": "PROJECT",
    "Service": "SERVICE",
    # as with Compose these have no title
    "ExitCode": "",
    "Health": "",
    "Publishers": "",
}
#: of `ps`, and not of `compose ps`
_LEFT_OUT = ("Platform", "HealthStatus")
HEADERS: dict[str, str] = {
    **{name: title for name, title in HEADERS_OF_CONTAINERS.items() if name not in _LEFT_OUT},
    **_OURS,
}
COLUMNS: tuple[str, ...] = ("Name", "Image", "Command", "Service", "RunningFor", "Status", "Ports")


def container_row(paths: Paths, observed: ObservedContainer, *, truncate: bool) -> dict[str, Field]:
    """Every field that a template of `compose ps --format` may use."""
    container = observed.container
    row = row_of_container(paths, container, RowOptions(truncate))
    publishers = " ".join(
        f"{{{each['URL']} {each['TargetPort']} {each['PublishedPort']} {each['Protocol']}}}"
        for each in publishers_of(observed)
    )
    return {name: field for name, field in row.items() if name not in _LEFT_OUT} | {
        "Name": container.name,
        "Project": observed.labels.get(PROJECT, ""),
        "Service": observed.service,
        "ExitCode": str(_exit_code(observed)),
        "Health": container.state.health if container.state.status == "running" else "",
        "Publishers": f"[{publishers}]",
    }


def container_document(observed: ObservedContainer, row: Row) -> Mapping[str, Any]:
    """The container as `--format json` has it: a row's texts, and what has a form of its own."""
    texts = {name: field for name, field in row.items() if isinstance(field, str)}
    own = {"ExitCode": _exit_code(observed), "Publishers": publishers_of(observed)}
    return dict(sorted({**texts, **own}.items()))


def publishers_of(observed: ObservedContainer) -> list[dict[str, Any]]:
    """Where its ports are published while it runs; one that is exposed alone is published at 0."""
    container = observed.container
    if not observed.is_running:
        return []
    found = [
        {"URL": port.host_ip or "0.0.0.0", "TargetPort": port.container_port, "PublishedPort": port.host_port,
         "Protocol": port.protocol}
        for port in container.state.published_ports
    ]  # fmt: skip
    published = {f"{port.container_port}/{port.protocol}" for port in container.state.published_ports}
    for text in container.config.exposed_ports:
        if text not in published:
            number, _, protocol = text.partition("/")
            found.append(
                {"URL": "", "TargetPort": int(number), "PublishedPort": 0, "Protocol": protocol or "tcp"}
            )  # fmt: skip
    return sorted(found, key=lambda each: int(str(each["TargetPort"])))


def _exit_code(observed: ObservedContainer) -> int:
    return observed.container.state.exit_code if observed.status in ("exited", "dead") else 0
