"""What the parts of a check share: what was asked, where they look, and what they found."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.errors import SandboxError
from storage.errors import StorageError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from sandbox.paths import Paths
    from sandbox.upkeep.findings import Finding
    from storage.content import ContentStore
    from storage.layers.store import LayerStore


class Options(NamedTuple):
    """`repair` mends; `quick` reads no content: neither are digests computed nor trees compared. `remove`
    has the ids of containers' directories that no record names, and that may go.
    """

    repair: bool = False
    quick: bool = False
    remove: tuple[str, ...] = ()


class CheckContext(NamedTuple):
    """What the parts of a check share."""

    paths: Paths
    connection: sqlite3.Connection
    content: ContentStore
    layers: LayerStore
    options: Options
    findings: list[Finding]
    notes: list[str]

    def report(self, finding: Finding, repair: Callable[[], object] | None = None) -> bool:
        """Note the finding, mended by `repair` where that is asked for; whether it is, or would be."""
        if repair is None:
            self.findings.append(finding._replace(repairable=False))
            return False
        if not self.options.repair:
            self.findings.append(finding)
            return True
        try:
            repair()
        except (SandboxError, StorageError) as error:
            cause = f" ({error.cause})" if error.cause else ""
            self.findings.append(finding._replace(problem=f"{finding.problem}; not mended: {error.message}{cause}"))
            return False
        self.findings.append(finding._replace(repaired=True))
        return True
