"""What a stack costs at rest, beyond its containers."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import leaks
from tests.integration.container.conftest import busybox, busybox_home, busybox_tar, eventually
from tests.integration.service.services import Services
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.command import Sandbox

__all__ = ["busybox", "busybox_home", "busybox_tar", "eventually"]

pytestmark = [pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "busybox"), pytest.mark.slow, pytest.mark.long]

_MOST_BYTES = 25_000_000
_FILE = """
services:
  web: {image: IMAGE, command: [busybox, httpd, -f, -p, '80'], stop_signal: KILL, ports: ['80']}
  db: {image: IMAGE, command: [busybox, sleep, '1000'], stop_signal: KILL}
  cache: {image: IMAGE, command: [busybox, sleep, '1000'], stop_signal: KILL}
"""
_PSS = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)


@pytest.fixture
def services(sandbox: Sandbox, busybox: str) -> Iterator[Services]:
    made = Services(sandbox)
    yield made
    made.remove_all()


def _memory(sandbox: Sandbox) -> dict[str, int]:
    """The proportional memory of each process of ours outside of containers, in bytes, proc(5) smaps_rollup."""
    found = {}
    for line in leaks.processes_of(str(sandbox.home.root)):
        pid = line.partition(" ")[0]
        # one may have ended meanwhile
        with suppress(FileNotFoundError, ProcessLookupError):
            if os.readlink(f"/proc/{pid}/ns/pid") == os.readlink("/proc/self/ns/pid"):
                size = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
                found[line] = int(size.group(1)) * 1024 if size else 0
    return found


def test_a_stack_at_rest_costs_little(
    services: Services, sandbox: Sandbox, busybox: str, eventually: Callable[[Callable[[], object]], None]
) -> None:
    (sandbox.home.root / "stack.yaml").write_text(_FILE.replace("IMAGE", busybox))
    sandbox.run("stack", "deploy", "-c", "stack.yaml", "--detach=false", "-q", "st")
    # with nothing more to decide
    eventually(lambda: not services.reconcilers())
    told: dict[str, int] = {}

    def is_little() -> bool:
        told.clear()
        told.update(_memory(sandbox))
        return sum(told.values()) <= _MOST_BYTES

    eventually(is_little)
    words = " ".join(told)
    assert all(name in words for name in ("sandbox-keeper", "slirp4netns", "sandbox-services", "sandbox-service "))
