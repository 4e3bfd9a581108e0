"""Proportional memory of what an engine keeps running for its containers, proc(5) smaps_rollup."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.leaks import processes_of

_PSS = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)


class UnreadableError(Exception):
    """A process whose memory this user may not read."""


def proportional_bytes(home: Path) -> tuple[int, list[str]]:
    """The sum over the processes of `home`, and one line for each; the containers' own processes are left out."""
    total, lines = 0, []
    own = os.readlink("/proc/self/ns/pid")
    for line in processes_of(str(home)):
        pid, _, command = line.partition(" ")
        try:
            inside = os.readlink(f"/proc/{pid}/ns/pid") != own
            size = 0 if inside else _pss(pid)
        except FileNotFoundError:
            continue  # ended meanwhile
        if not inside and size:
            total += size
            lines.append(f"{size / 1e6:.1f} MB {command[:60]}")
    return total, lines


def _pss(pid: str) -> int:
    try:
        found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except PermissionError:
        raise UnreadableError(f"/proc/{pid}/smaps_rollup") from None
    except ProcessLookupError:
        return 0
    return int(found.group(1)) * 1024 if found else 0
