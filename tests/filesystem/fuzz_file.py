"""Random reads, writes, mappings and truncations of one file, against a copy of it in memory.

The file comes from a lower layer. On the way it is closed and opened again, also for reading beside the writer, the
file system is mounted anew, and its server killed after fsync(2).
"""

from __future__ import annotations

import mmap
import os
import random
from typing import NamedTuple

from storage.trees.tree import remove_tree
from tests.filesystem.stands import Layers, kill_server, stand_named, unmount

_LONGEST = 400_000
_START = 120_000
_REMOUNT_EVERY = 4001


class FilePlan(NamedTuple):
    """`tested` names a stand."""

    seed: int
    steps: int
    tested: str = "sandbox-overlay"


class FileFuzz:
    """One file on one file system, and what must be in it."""

    def __init__(self, place: str, plan: FilePlan) -> None:
        self._dice = random.Random(plan.seed)
        self._stand = stand_named(plan.tested)
        self._layers = Layers((f"{place}/lower",), f"{place}/upper", f"{place}/work")
        self._target = f"{place}/merged"
        for directory in (f"{place}/lower", f"{place}/upper", f"{place}/work", self._target):
            os.mkdir(directory)
        self._model = bytearray(self._dice.randbytes(_START))
        content = f"{self._layers.upper if plan.tested == 'plain' else self._layers.lowers[0]}/file"
        with open(content, "wb") as file:
            file.write(self._model)
        self._server = self._stand.mount(self._layers, self._target)
        self._fd = self._reader = -1
        self._open()

    def run(self, steps: int) -> str:
        """ "" where all was right, else what was not."""
        makers = (
            self._read, self._read, self._write, self._write, self._write, self._truncate, self._map_read,
            self._map_write, self._append, self._copy, self._sync, self._reopen, self._read_beside,
        )  # fmt: skip
        history: list[str] = []
        for number in range(steps):
            make = self._dice.choice(makers)
            history.append(f"{number} {make.__name__}")
            problem = make()
            if number % _REMOUNT_EVERY == _REMOUNT_EVERY - 1:
                self._remount()
                problem = problem or self._check_all()
            if problem:
                return f"{problem}; before: {history[-15:]}"
        return self._check_all()

    def close(self) -> None:
        for fd in (self._fd, self._reader):
            if fd >= 0:
                os.close(fd)
        self._fd = self._reader = -1
        unmount(self._target, self._server)

    def _open(self) -> None:
        self._fd = os.open(f"{self._target}/file", os.O_RDWR)
        self._reader = os.open(f"{self._target}/file", os.O_RDONLY)

    def _remount(self) -> None:
        os.fsync(self._fd)
        if self._server and self._dice.random() < 0.5:
            kill_server(self._server)
        self.close()
        self._server = self._stand.mount(self._layers, self._target)
        self._open()

    def _range(self, within: int) -> tuple[int, int]:
        start = self._dice.randint(0, max(0, within - 1))
        return start, self._dice.choice((1, 7, 512, 4096, 5000, 65536, 130_000))

    def _compare(self, what: str, start: int, found: bytes) -> str:
        expected = bytes(self._model[start : start + len(found)])
        if found == expected:
            return ""
        at = next(index for index in range(len(found)) if found[index : index + 1] != expected[index : index + 1])
        return f"{what} differs at {start + at} ({len(found)} bytes from {start}, file of {len(self._model)})"

    def _read(self) -> str:
        start, length = self._range(len(self._model))
        found = os.pread(self._fd, length, start)
        if len(found) != len(self._model[start : start + length]):
            return f"read gave {len(found)} bytes of {start}+{length}, file of {len(self._model)}"
        return self._compare("read", start, found)

    def _read_beside(self) -> str:
        start, length = self._range(len(self._model))
        return self._compare("read by another descriptor", start, os.pread(self._reader, length, start))

    def _put(self, start: int, data: bytes) -> None:
        if start > len(self._model):
            self._model.extend(bytes(start - len(self._model)))
        self._model[start : start + len(data)] = data

    def _write(self) -> str:
        start, length = self._range(_LONGEST - 130_000)
        data = self._dice.randbytes(length)
        if os.pwrite(self._fd, data, start) != length:
            return "short write"
        self._put(start, data)
        return ""

    def _append(self) -> str:
        if len(self._model) > _LONGEST - 5000:
            return ""
        data = self._dice.randbytes(self._dice.randint(1, 5000))
        fd = os.open(f"{self._target}/file", os.O_WRONLY | os.O_APPEND)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)
        self._put(len(self._model), data)
        return ""

    def _truncate(self) -> str:
        size = self._dice.randint(0, _LONGEST)
        os.ftruncate(self._fd, size)
        del self._model[size:]
        self._model.extend(bytes(size - len(self._model)))
        return "" if os.fstat(self._fd).st_size == size else f"size is not {size}"

    def _map_read(self) -> str:
        if not self._model:
            return ""
        start, length = self._range(len(self._model))
        with mmap.mmap(self._fd, len(self._model), mmap.MAP_SHARED, mmap.PROT_READ) as area:
            return self._compare("mapping", start, area[start : start + length])

    def _map_write(self) -> str:
        if not self._model:
            return ""
        start, length = self._range(len(self._model))
        data = self._dice.randbytes(min(length, len(self._model) - start))
        with mmap.mmap(self._fd, len(self._model), mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE) as area:
            area[start : start + len(data)] = data
            if self._dice.random() < 0.3:
                area.flush()
        self._put(start, data)
        return ""

    def _copy(self) -> str:
        half = len(self._model) // 2
        if half < 10:
            return ""
        start, length = self._range(half)
        length = min(length, half - start)
        target = half + start
        done = os.copy_file_range(self._fd, self._fd, length, start, target)
        self._put(target, bytes(self._model[start : start + done]))
        return "" if done else "copy_file_range copied nothing"

    def _sync(self) -> str:
        (os.fsync if self._dice.random() < 0.1 else os.fdatasync)(self._fd)
        return ""

    def _reopen(self) -> str:
        os.close(self._fd)
        os.close(self._reader)
        self._open()
        return ""

    def _check_all(self) -> str:
        size = os.fstat(self._fd).st_size
        if size != len(self._model):
            return f"size {size} instead of {len(self._model)}"
        return self._compare("whole file", 0, os.pread(self._fd, size, 0))


def run_file_fuzz(place: str, plan: FilePlan) -> str:
    """Called as uid 0 of a namespace: "" or what was wrong."""
    fuzz = FileFuzz(place, plan)
    try:
        problem = fuzz.run(plan.steps)
        return f"seed {plan.seed}: {problem}" if problem else ""
    finally:
        fuzz.close()
        for name in os.listdir(place):
            remove_tree(f"{place}/{name}")
