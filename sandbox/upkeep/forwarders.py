"""The forwarders of services in a check and a reset: one whose service is not recorded, or is being removed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sandbox.network.service_forwarders import find_forwarders, kill_forwarder
from sandbox.upkeep.findings import Finding

if TYPE_CHECKING:
    from sandbox.paths import Paths
    from sandbox.upkeep.check_context import CheckContext


def check_forwarders(context: CheckContext) -> None:
    """Report those that carry ports of no service."""
    running = tuple(find_forwarders(context.paths))
    # after the processes: a row is there when its forwarder is
    recorded = {row[0] for row in context.connection.execute("SELECT id FROM service")} if running else set()
    for process in running:
        if process.service_id not in recorded:
            problem = f"it carries the ports of service {process.service_name}, which is not recorded"
            context.report(Finding("process", str(process.pid), problem), partial(kill_forwarder, process))


def end_forwarders(paths: Paths) -> None:
    """End all of them: the ports of this data root's services are free then."""
    for process in tuple(find_forwarders(paths)):
        kill_forwarder(process)
