"""Overlay file systems beside each other, row by row and by turns: the kernel's, Debian's fuse-overlayfs and ours.

usage: python -m benchmarks.overlay --page FILE [--quick] [--apart] [--stand NAME]... [ROW...]

Each round mounts all of them over the same layers, each with an upper directory of its own, and runs every row on one
after the other; the order turns by one with each row, so that what else the machine does hits all alike.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.overlay_report import Measured, write_overlay_page
from benchmarks.overlay_rows import ROWS, Scene, prepare_git
from benchmarks.overlay_trees import copy_standard_library, make_archive, make_layers
from storage.trees.tree import remove_tree
from tests.filesystem.stands import Layers, Stand, StandError, sandbox_overlay_words, stand_named, unmount
from tests.storage.namespace import call_in_namespace

if TYPE_CHECKING:
    from collections.abc import Sequence

STANDS = ("kernel", "fuse-overlayfs", "sandbox-overlay")
_PSS = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)
_MEMORY_FILES = 20_000


class _Place:
    """One file system's own directories, and its mount."""

    def __init__(self, stand: Stand, root: str, lowers: Sequence[str], processors: set[int] | None = None) -> None:
        self.stand, self.root = stand, root
        self.processors = processors
        self.layers = Layers(tuple(lowers), f"{root}/upper", f"{root}/work")
        self.target = f"{root}/merged"
        self.server = 0
        for directory in (self.layers.upper, self.layers.work, self.target):
            os.makedirs(directory)

    def mount(self) -> None:
        self.server = self.stand.mount(self.layers, self.target)
        if self.server and self.processors:
            os.sched_setaffinity(self.server, self.processors)

    def unmount(self) -> None:
        unmount(self.target, self.server)

    def memory(self) -> float:
        """Proportional bytes of the server, proc(5) smaps_rollup; 0 for the kernel."""
        if not self.server:
            return 0.0
        found = _PSS.search(Path(f"/proc/{self.server}/smaps_rollup").read_text())
        return int(found.group(1)) * 1024.0 if found else 0.0


class Plan(NamedTuple):
    """What is to be measured."""

    rows: tuple[str, ...]
    stands: tuple[str, ...]
    rounds: int
    apart: bool = False
    """Servers on one processor, and who uses them on another."""


def _measure(place: str, plan: Plan) -> Measured:
    """Runs in the namespace: seconds by row and file system, and the servers' memory in bytes."""
    lowers = make_layers(f"{place}/small", 10_000)
    modules = copy_standard_library(lowers[0])
    make_archive(f"{place}/tree.tar")
    servers_on = None
    if plan.apart:
        first, second, *_ = sorted(os.sched_getaffinity(0))
        servers_on = {first}
        os.sched_setaffinity(0, {second})
    seconds: dict[str, dict[str, list[float]]] = {row: {name: [] for name in plan.stands} for row in plan.rows}
    try:
        for turn in range(plan.rounds):
            print(f"round {turn + 1} of {plan.rounds}", file=sys.stderr, flush=True)
            _round(f"{place}/round{turn}", lowers, f"{place}/tree.tar", modules, turn, seconds, servers_on)
        large = make_layers(f"{place}/large", _MEMORY_FILES)
        memory = {name: _server_memory(f"{place}/memory-{name}", name, large) for name in plan.stands}
    finally:
        remove_tree(place)
    return Measured(seconds, memory)


def _round(
    root: str,
    lowers: Sequence[str],
    archive: str,
    modules: tuple[str, ...],
    turn: int,
    seconds: dict[str, dict[str, list[float]]],
    servers_on: set[int] | None,
) -> None:
    names = list(next(iter(seconds.values())))
    with ExitStack() as stack:
        stack.callback(remove_tree, root)
        places = {name: _Place(stand_named(name), f"{root}/{name}", lowers, servers_on) for name in names}
        for place in places.values():
            place.mount()
            stack.callback(place.unmount)
        for number, row in enumerate(ROWS):
            start = (turn + number) % len(names)
            for name in names[start:] + names[:start]:
                scene = Scene(places[name].target, archive, modules)
                taken = _once(row, places[name], scene)
                if row in seconds:
                    seconds[row][name].append(taken)


def _once(row: str, place: _Place, scene: Scene) -> float:
    if ROWS[row].fresh:
        place.unmount()
        place.mount()
    if row == "git-status":
        prepare_git(scene)
    # what earlier rows wrote is not written back during this one
    os.sync()
    start = time.perf_counter()
    ROWS[row].run(scene)
    return time.perf_counter() - start


def _server_memory(root: str, name: str, lowers: Sequence[str]) -> float:
    place = _Place(stand_named(name), root, lowers)
    place.mount()
    try:
        subprocess.run(["find", place.target, "-printf", "%s\n"], stdout=subprocess.DEVNULL, check=True)
        return place.memory()
    finally:
        place.unmount()


def _versions(stands: Sequence[str]) -> list[str]:
    found = []
    if "fuse-overlayfs" in stands:
        done = subprocess.run(["fuse-overlayfs", "--version"], capture_output=True, text=True, check=False)
        found += [line for line in done.stdout.splitlines() if line.startswith("fuse-overlayfs")]
    return found


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/run overlay")
    parser.add_argument("--page", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--apart", action="store_true")
    parser.add_argument("--stand", action="append", choices=STANDS)
    parser.add_argument("rows", nargs="*", metavar="ROW")
    options = parser.parse_args(words)
    unknown = set(options.rows) - set(ROWS)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    stands = tuple(options.stand or STANDS)
    if "sandbox-overlay" in stands and not sandbox_overlay_words():
        parser.error("sandbox-overlay is not installed (SANDBOX_OVERLAY_COMMAND names it)")
    plan = Plan(tuple(options.rows or ROWS), stands, 3 if options.quick else 9, options.apart)
    if plan.apart and len(os.sched_getaffinity(0)) < 2:
        parser.error("--apart takes two processors")
    with tempfile.TemporaryDirectory(prefix="sbx-", dir="/tmp", ignore_cleanup_errors=True) as place:
        try:
            measured = call_in_namespace(_measure, place, plan)
        except StandError as error:
            print(error, file=sys.stderr)
            return 1
    write_overlay_page(options.page, measured, _versions(stands), apart=plan.apart)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
