"""`volume ls`: a volume as a row of texts."""

from __future__ import annotations

from sandbox.grammar.local_driver import DRIVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.output.table import Row
    from sandbox.paths import Paths
    from sandbox.volume.store import Volume


def volume_row(paths: Paths, volume: Volume) -> Row:
    """Every field that a template of `volume ls --format` may use; what only `system df` measures is "N/A"."""
    return {
        "Driver": DRIVER,
        "Name": volume.name,
        "Scope": "local",
        "Mountpoint": f"{paths.volumes}/{volume.name}/_data",
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(volume.labels.items())),
        "Label": lambda key: volume.labels.get(key, ""),
        "Links": "N/A",
        "Size": "N/A",
        "Availability": "N/A",
        "Group": "N/A",
        "Status": "N/A",
    }
