"""What services ask for that the machine has not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.stack.machine_size import MachineSize, beyond, this_machine
from sandbox.stack.request import request_of
from tests.sandbox.stack.projects import one

if TYPE_CHECKING:
    from pathlib import Path

_FILE = """
services:
  a: {image: i, cpus: 2.5}
  b: {image: i, deploy: {resources: {limits: {cpus: '4', memory: 8g}, reservations: {cpus: '3', memory: 2g}}}}
  c: {image: i, cpus: 2, mem_reservation: 1g}
"""


def test_what_is_more_than_there_is(tmp_path: Path) -> None:
    assert list(beyond(one(tmp_path, _FILE), MachineSize(2, 1 << 30))) == [
        "services.a.cpus is 2.5, and this machine has 2",
        "services.b.deploy.resources.limits.cpus is 4, and this machine has 2",
        "services.b.deploy.resources.reservations.cpus is 3, and this machine has 2",
        "services.b.deploy.resources.reservations.memory is 2147483648, and this machine has 1073741824",
    ]
    assert list(beyond(one(tmp_path, _FILE), MachineSize(4, 1 << 31))) == []
    here = this_machine()
    assert here.cpus > 0
    assert here.memory_bytes > 1 << 20


def test_limits_may_be_wishes(tmp_path: Path) -> None:
    project = one(tmp_path, _FILE)
    assert request_of("a", project).best_effort is None
    assert request_of("a", project._replace(best_effort=True)).best_effort
