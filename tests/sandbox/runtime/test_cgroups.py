"""Limits as files, on a directory that looks like a cgroup tree."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandbox.errors import HostError
from sandbox.runtime.cgroups import (
    CgroupProbe,
    LimitWrite,
    count_oom_kills,
    find_writable,
    limit_writes,
    make_container_cgroup,
    plan_limits,
)
from sandbox.values import Resources

if TYPE_CHECKING:
    from pathlib import Path

ALL = CgroupProbe("writable", "/x", frozenset({"cpu", "memory", "pids", "cpuset"}))
NONE = CgroupProbe("none", reason="this host still uses cgroup v1", mend="reboot it")


@pytest.mark.parametrize(
    ("resources", "files"),
    [
        (Resources(), {}),
        (Resources(memory_bytes=1 << 20), {"memory.max": "1048576", "memory.swap.max": "1048576"}),
        (Resources(memory_bytes=100, memory_swap_bytes=150), {"memory.max": "100", "memory.swap.max": "50"}),
        (Resources(memory_bytes=100, memory_swap_bytes=-1), {"memory.max": "100", "memory.swap.max": "max"}),
        (Resources(nano_cpus=1_500_000_000), {"cpu.max": "150000 100000"}),
        (Resources(cpu_shares=1024), {"cpu.weight": "39"}),
        (Resources(cpu_shares=262144), {"cpu.weight": "10000"}),
        (Resources(cpuset_cpus="0-1"), {"cpuset.cpus": "0-1"}),
        (Resources(pids_limit=50, memory_reservation_bytes=7), {"pids.max": "50", "memory.low": "7"}),
        (Resources(pids_limit=-1), {}),
        (Resources(pids_limit=(1 << 22) + 1), {"pids.max": "max"}),
    ],
)
def test_files(resources: Resources, files: dict[str, str]) -> None:
    assert {write.file: write.value for write in limit_writes(resources)} == files


def test_pids_fall_back_to_rlimit_and_the_rest_is_an_error() -> None:
    assert plan_limits(Resources(pids_limit=9), NONE).process_limit == 9
    with pytest.raises(HostError) as caught:
        plan_limits(Resources(memory_bytes=1), NONE)
    assert caught.value.cause == "this host still uses cgroup v1"
    assert caught.value.mend == "reboot it   (or: --best-effort)"
    plan = plan_limits(Resources(memory_bytes=1, best_effort=True), NONE)
    assert plan.writes == ()
    assert "memory.max is not enforced" in plan.notes[0]


def test_controller_that_is_not_delegated_is_named() -> None:
    probe = ALL._replace(controllers=frozenset({"memory"}))
    with pytest.raises(HostError) as caught:
        plan_limits(Resources(nano_cpus=1), probe)
    assert "cpu is not delegated (there are: memory)" in caught.value.cause


def test_nearest_writable_cgroup(tmp_path: Path) -> None:
    own = tmp_path / "ci/job"
    own.mkdir(parents=True)
    for directory in (tmp_path / "ci", own):
        (directory / "cgroup.procs").write_text("")
    (own / "cgroup.subtree_control").write_text("")
    (tmp_path / "ci/cgroup.subtree_control").write_text("cpu memory pids\n")
    probe = find_writable(os.fspath(own), os.fspath(tmp_path))
    assert probe is not None
    assert probe.parent == os.fspath(tmp_path / "ci")
    assert probe.controllers == {"cpu", "memory", "pids"}
    (own / "cgroup.procs").chmod(0o444)
    assert find_writable(os.fspath(own), os.fspath(tmp_path)) is None


def test_subtree_is_split_in_two(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    writes = (LimitWrite("memory", "memory.max", "5"), LimitWrite("cpu", "cpu.max", "1 2"))
    container = make_container_cgroup(os.fspath(tmp_path), writes).path
    assert (tmp_path / "monitor/cgroup.procs").read_text() == "0"
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert (tmp_path / "container/memory.max").read_text() == "5"
    (tmp_path / "container/memory.events").write_text("low 0\noom 2\noom_kill 3\n")
    assert count_oom_kills(container) == 3
    assert count_oom_kills("/nowhere") == 0
