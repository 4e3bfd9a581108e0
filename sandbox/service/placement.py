"""Whether this machine, which is the only node, fits what a service says of nodes."""

from __future__ import annotations

import os

from sandbox.errors import UsageError
from sandbox.grammar.constraints import read_constraint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.service.container_request import Node

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def check_placement(constraints: Iterable[str], node: Node) -> None:
    """Raise UsageError where no replica could run on `node`, which is this machine. It is manager and worker, so a role
    never keeps one away.
    """
    machine = os.uname()
    facts = {
        "node.id": node.id,
        "node.hostname": machine.nodename,
        **{f"node.labels.{key}": value for key, value in node.labels.items()},
        "node.platform.os": "linux",
        "node.platform.arch": machine.machine,
    }
    for text in constraints:
        constraint = read_constraint(text)
        if constraint.key == "node.role":
            continue
        other = _ARCHITECTURES.get(machine.machine, "")
        named = facts | ({"node.platform.arch": other} if constraint.value == other else {})
        if not constraint.fits(named):
            raise UsageError(
                "no suitable node (scheduling constraints not satisfied on 1 node)",
                cause=f"this machine does not fit {text!r}",
                mend="leave the constraint out: there is this machine alone",
                field="constraints",
            )
