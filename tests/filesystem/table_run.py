"""Runs the whole table on one file system, inside a namespace, and brings back what happened."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from storage.trees.tree import remove_tree
from tests.filesystem.call_list import CALLS
from tests.filesystem.calls import Caller, Step, parse_step
from tests.filesystem.origins import ORIGINS, make_merged, make_whole
from tests.filesystem.snapshot import Seen, snapshot
from tests.filesystem.stands import Layers, kill_server, stand_named, unmount

if TYPE_CHECKING:
    from collections.abc import Sequence

#: a call that takes longer than this will not come back
_STUCK_SECONDS = 30.0


class Row(NamedTuple):
    """A title and its steps."""

    title: str
    steps: tuple[Step, ...]


class Happened(NamedTuple):
    """Of one row with one origin: lines where a step's outcome was another, and the tree afterwards."""

    wrong: tuple[str, ...]
    tree: dict[str, Seen]


class TableRun(NamedTuple):
    """By title and origin; and the trees again after a new mount."""

    happened: dict[tuple[str, str], Happened]
    remounted: dict[tuple[str, str], dict[str, Seen]]


def parse_table(text: str) -> list[Row]:
    """A title at the margin, its steps indented below."""
    rows: list[Row] = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("# "):
            continue
        if line[0].isspace():
            title, steps = rows[-1]
            rows[-1] = Row(title, (*steps, parse_step(line)))
        else:
            rows.append(Row(line.strip(), ()))
    return rows


class _Watchdog(threading.Thread):
    """Kills a server that no longer answers: the call that waits for it then fails with ENOTCONN."""

    def __init__(self, server: int) -> None:
        super().__init__(daemon=True)
        self._server, self._ended = server, threading.Event()
        self.last = time.monotonic()

    def run(self) -> None:
        while not self._ended.wait(1.0):
            if self._server and time.monotonic() - self.last > _STUCK_SECONDS:
                kill_server(self._server)
                return

    def end(self) -> None:
        self._ended.set()
        self.join()


def run_table(place: str, stand_name: str, rows: Sequence[Row]) -> TableRun:
    """Called as uid 0 of a namespace: `place` is an empty directory, and empty again afterwards."""
    os.umask(0o022)
    stand = stand_named(stand_name)
    target = f"{place}/merged"
    os.mkdir(target)
    layers = _make_layers(place, stand_name, len(rows))
    recent = time.time_ns() - 3600 * 10**9
    server = stand.mount(layers, target)
    watchdog = _Watchdog(server)
    watchdog.start()
    happened: dict[tuple[str, str], Happened] = {}
    remounted: dict[tuple[str, str], dict[str, Seen]] = {}
    try:
        for index, row in enumerate(rows):
            for origin in ORIGINS:
                watchdog.last = time.monotonic()
                directory = f"{target}/{origin}-{index}"
                wrong = _run_row(row, directory)
                happened[row.title, origin] = Happened(tuple(wrong), snapshot(directory, recent))
        os.chdir("/")
        unmount(target, server)
        server = stand.mount(layers, target)
        watchdog._server, watchdog.last = server, time.monotonic()
        for index, row in enumerate(rows):
            for origin in ORIGINS:
                watchdog.last = time.monotonic()
                remounted[row.title, origin] = snapshot(f"{target}/{origin}-{index}", recent)
    finally:
        os.chdir("/")
        watchdog.end()
        unmount(target, server)
        for name in os.listdir(place):
            remove_tree(f"{place}/{name}")
    return TableRun(happened, remounted)


def _make_layers(place: str, stand_name: str, count: int) -> Layers:
    bottom, top, upper, work = (f"{place}/{name}" for name in ("bottom", "top", "upper", "work"))
    for directory in (bottom, top, upper, work):
        os.mkdir(directory)
    for index in range(count):
        if stand_name == "plain":
            for origin in ORIGINS:
                make_whole(f"{upper}/{origin}-{index}")
        else:
            make_whole(f"{bottom}/lower-{index}")
            make_whole(f"{upper}/upper-{index}")
            make_merged(*(f"{layer}/merged-{index}" for layer in (bottom, top, upper)))
    return Layers((top, bottom), upper, work)


def _run_row(row: Row, directory: str) -> list[str]:
    caller = Caller(CALLS)
    wrong = []
    try:
        os.chdir(directory)
        for step in row.steps:
            outcome = caller.run(step)
            is_errno = outcome.isupper() and outcome.startswith("E")
            if step.outcome is None:
                if is_errno:
                    wrong.append(f"{step.text}: {outcome}")
            elif outcome not in step.outcome.split(" or "):
                wrong.append(f"{step.text}: {outcome}")
    except OSError as error:
        wrong.append(f"the row itself: {error}")
    finally:
        caller.close()
        os.umask(0o022)
        with suppress(OSError):
            os.chdir("/")
    return wrong
