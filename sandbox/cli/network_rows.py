"""`network ls`: a network as a row of texts."""

from __future__ import annotations

from sandbox.humane import created_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.output.table import Row
    from sandbox.network.record import Network

HEADERS = {
    "ID": "NETWORK ID", "Name": "NAME", "Driver": "DRIVER", "Scope": "SCOPE", "IPv4": "IPV4", "IPv6": "IPV6",
    "Internal": "INTERNAL", "Labels": "LABELS", "Label": "", "CreatedAt": "CREATED AT",
}  # fmt: skip
COLUMNS = ("ID", "Name", "Driver", "Scope")
RAW = "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n"


def network_row(network: Network, *, truncate: bool) -> Row:
    """Every field that a template of `network ls --format` may use."""
    return {
        "ID": network.id[:12] if truncate else network.id,
        "Name": network.name,
        "Driver": network.driver,
        "Scope": network.scope,
        "IPv4": _word(not network.is_bridged or network.name == "bridge" or bool(network.subnet4)),
        "IPv6": _word(bool(network.subnet6)),
        "Internal": _word(network.internal),
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(network.labels.items())),
        "Label": lambda key: network.labels.get(key, ""),
        "CreatedAt": created_at(network.created_ns),
    }


def _word(truth: bool) -> str:
    return "true" if truth else "false"
