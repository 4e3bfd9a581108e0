"""Whose processes are whose, over a /proc of files."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from sandbox.container.usage.proc_sums import Totals, add, gone_since, read_interfaces, sum_up
from sandbox.container.usage.processes import First, Process, processes_of, read_process
from sandbox.container.usage.usage import Interface

if TYPE_CHECKING:
    from pathlib import Path

HOST, OURS = "user:[1]", "user:[2]"


class Proc:
    """A /proc of the test's own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.path = str(path)
        (path / "uptime").touch()
        self.add("self", "mnt:[1]", HOST)

    def add(
        self, pid: int | str, mounts: str, users: str = OURS, *, parent: int = 1, state: str = "S",
        ticks: tuple[int, int, int, int] = (1, 2, 3, 4), threads: int = 1, io: tuple[int, int] = (0, 0),
        pss_kb: int = 0,
    ) -> None:  # fmt: skip
        directory = self._path / str(pid)
        (directory / "ns").mkdir(parents=True)
        if mounts:
            (directory / "ns/mnt").symlink_to(mounts)
            (directory / "ns/user").symlink_to(users)
        times = " ".join(map(str, ticks))
        (directory / "stat").write_text(f"{pid} (a (b) c) {state} {parent} {'0 ' * 9}{times} 20 0 {threads} 0 77 0 0\n")
        (directory / "io").write_text(f"rchar: 9\nread_bytes: {io[0]}\nwrite_bytes: {io[1]}\n")
        (directory / "smaps_rollup").write_text(f"00-ff ---p 00000000 00:00 0 [rollup]\nRss: 99 kB\nPss: {pss_kb} kB\n")

    def processes(self, *pids: int) -> list[Process]:
        return [process for pid in pids if (process := read_process(pid, self.path))]


def test_namespaces_and_descent_say_whose_a_process_is(tmp_path: Path) -> None:
    proc = Proc(tmp_path)
    proc.add(10, "mnt:[10]")
    proc.add(11, "mnt:[10]", parent=10)
    proc.add(12, "mnt:[99]", parent=11)  # went into mounts of its own
    proc.add(13, "", parent=12, state="Z")
    proc.add(20, "mnt:[20]", parent=10)
    proc.add(30, "mnt:[30]")
    proc.add(31, "mnt:[99]", parent=5)
    proc.add(40, "mnt:[1]", HOST, parent=10)  # of the host, and no candidate
    firsts = {"a": First(10, 77), "b": First(20, 77), "other start": First(30, 76), "none": First(50, 77)}
    found = processes_of(firsts, proc.path)
    assert {key: [process.pid for process in processes] for key, processes in found.items()} == {
        "a": [10, 11, 12, 13],
        "b": [20],
    }
    assert processes_of({}, proc.path) == {}


def test_a_process_as_stat_has_it(tmp_path: Path) -> None:
    proc = Proc(tmp_path)
    proc.add(10, "mnt:[10]", parent=4, state="Z", threads=3)
    (process,) = proc.processes(10)
    assert process == Process(10, 4, "Z", 77, 1 + 3, 2 + 4, 3)
    assert process.has_ended
    assert read_process(11, proc.path) is None


def test_sums_keep_what_has_gone(tmp_path: Path) -> None:
    proc = Proc(tmp_path)
    proc.add(10, "mnt:[10]", ticks=(100, 10, 0, 0), threads=2, io=(5, 6), pss_kb=40)
    proc.add(11, "mnt:[10]", parent=10, ticks=(1, 1, 0, 0), io=(1, 1), pss_kb=2)
    proc.add(12, "mnt:[10]", ticks=(7, 8, 0, 0), io=(70, 80))  # executed from outside
    before = sum_up(proc.processes(10, 11, 12), proc=proc.path)
    assert before.totals == Totals(108, 19, 76, 87)
    assert (before.memory_bytes, before.threads) == (42 << 10, 4)
    now = sum_up(proc.processes(10, 11), proc=proc.path)
    # 11 is waited for by 10, which then has its numbers; nobody here has those of 12
    assert gone_since(before, now) == Totals(7, 8, 70, 80)
    assert sum_up(proc.processes(10, 11), gone_since(before, now), proc.path).totals == before.totals
    assert add() == Totals()


def test_interfaces_without_the_loopback(tmp_path: Path) -> None:
    (tmp_path / "7/net").mkdir(parents=True)
    (tmp_path / "7/net/dev").write_text(
        "Inter-|   Receive                      |  Transmit\n face |bytes\n"
        "    lo:  1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n"
        "eth0:1:  10 2 3 4 0 0 0 0 50 6 7 8 0 0 0 0\n"
    )
    assert read_interfaces(7, str(tmp_path)) == (Interface("eth0:1", 10, 2, 3, 4, 50, 6, 7, 8),)
    assert read_interfaces(8, str(tmp_path)) == ()


def test_a_long_line_of_descendants_is_followed_once(tmp_path: Path) -> None:
    proc = Proc(tmp_path)
    proc.add(10, "mnt:[10]")
    pids = [10, *range(3000, 2800, -1)]
    for parent, pid in itertools.pairwise(pids):
        proc.add(pid, f"mnt:[{pid}]", parent=parent)
    found = processes_of({"a": First(10, 77)}, proc.path)
    assert [process.pid for process in found["a"]] == sorted(pids)
