"""Whether networks hide something of the host from their containers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from net.errors import NetError
from net.host_routes import read_busy
from net.subnets import overlapping
from sandbox.doctor.check import Check, from_error, passed
from sandbox.errors import SandboxError
from sandbox.network.store import all_networks
from sandbox.state import open_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from net.subnets import Busy
    from sandbox.doctor.check import Machine
    from sandbox.network.record import Network


def check_subnets(machine: Machine) -> Check:
    """Holds the subnets of all networks against the routes of the host: a VPN may have come later."""
    if not os.path.exists(machine.paths.database):
        # asking makes no database where there is none
        return passed("subnets", "there are no networks")
    try:
        hidden = list(_hidden(machine, read_busy()))
    except (NetError, SandboxError) as error:
        return from_error("subnets", error, "warning")
    if not hidden:
        return passed("subnets", "no network hides a route of this host")
    network, subnet, what = hidden[0]
    more = f" (and {len(hidden) - 1} more)" if len(hidden) > 1 else ""
    return Check(
        "subnets",
        "warning",
        f"containers on {network.name} do not reach {what}{more}",
        f"{subnet} is the network's own to them",
        "sandbox network create NAME, and run them there"
        if network.is_predefined
        else f"sandbox network rm {network.name}, and create it anew",
    )


def _hidden(machine: Machine, busy: Busy) -> Iterator[tuple[Network, str, str]]:
    """The network, its subnet, and what of the host that hides."""
    with open_state(machine.paths) as connection:
        for network in all_networks(connection):
            for subnet in filter(None, (network.subnet4, network.subnet6)):
                if what := overlapping(subnet, busy):
                    yield network, subnet, what
