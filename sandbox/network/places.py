"""Files of the networks below the data root, beside `Paths.router`'s own."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.paths import Paths


def vips_path(paths: Paths) -> str:
    """What the keeper reads of the single addresses of services."""
    return f"{paths.router}/vips"
