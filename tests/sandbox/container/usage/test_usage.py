"""Readings and what is made of them: of a cgroup's files, as Docker's document, as percents."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandbox.container.model.record import Container, ContainerConfig, ContainerState
from sandbox.container.usage.cgroup_files import read_account
from sandbox.container.usage.sampler import Sampler
from sandbox.container.usage.stats_document import stats_document
from sandbox.container.usage.usage import Device, Interface, Throttling, Usage, cpu_percent
from sandbox.live_processes import process_start

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 10**9
BEFORE = Usage(5 * SECOND, "proc", 2 * SECOND, 1, 1, 100 * SECOND, 4, 1000, 4000, 3)
FILES = {
    "cpu.stat": "usage_usec 7\nuser_usec 4\nsystem_usec 3\nnr_periods 9\nnr_throttled 2\nthrottled_usec 5\n",
    "memory.current": "5000\n",
    "memory.stat": "anon 1000\ninactive_file 2000\n",
    "memory.max": "8000\n",
    "pids.current": "12\n",
    "pids.max": "max\n",
    "io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16\n",
}


@pytest.fixture
def cgroup(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def container(**state: object) -> Container:
    config = ContainerConfig("busybox", "sha256:1", (), ("true",))
    return Container("f" * 64, "web", 0, config, ContainerState(**state))  # type: ignore[arg-type]  # fields of it


def test_the_account_of_a_cgroup(cgroup: Path) -> None:
    account = read_account(str(cgroup))
    assert account is not None
    assert (account.cpu_ns, account.user_ns, account.system_ns) == (7000, 4000, 3000)
    assert account.throttling == Throttling(9, 2, 5000)
    assert (account.memory_bytes, account.memory_limit_bytes) == (5000, 8000)
    assert (account.processes, account.process_limit) == (12, 0)
    assert account.devices == (Device(8, 0, 10, 20), Device(8, 16, 0, 0))


@pytest.mark.parametrize("name", ["cpu.stat", "memory.current", "pids.current"])
def test_without_a_controller_there_is_no_account(cgroup: Path, name: str) -> None:
    (cgroup / name).unlink()
    assert read_account(str(cgroup)) is None


def test_a_reading_of_a_cgroup_and_one_of_processes(cgroup: Path) -> None:

    here = {"pid": os.getpid(), "pid_start": process_start(os.getpid()), "status": "running"}
    with_cgroup = container(**here, cgroup=str(cgroup))
    usage = Sampler().read([with_cgroup])[with_cgroup.id]
    assert (usage.source, usage.used_bytes, usage.memory_limit_bytes) == ("cgroup", 3000, 8000)
    assert usage.memory_percent == 37.5
    assert (usage.read_bytes, usage.written_bytes, usage.processes) == (10, 20, 12)
    # no io controller: what the processes say
    (cgroup / "io.stat").unlink()
    usage = Sampler().read([with_cgroup])[with_cgroup.id]
    assert [(device.major, device.minor) for device in usage.devices] == [(0, 0)]
    without = container(**here)
    sampler = Sampler()
    first = sampler.read([without])[without.id]
    again = sampler.read([without])[without.id]
    assert (first.source, first.memory_limit_bytes > first.memory_bytes > 0) == ("proc", True)
    assert again.cpu_ns >= first.cpu_ns > 0
    assert again.processes > 0
    gone = container(**{**here, "pid_start": 1})
    assert Sampler().read([gone, container()]) == {}


def test_percents_of_one_processor() -> None:
    now = BEFORE._replace(time_ns=6 * SECOND, cpu_ns=4 * SECOND, machine_cpu_ns=104 * SECOND)
    assert cpu_percent(BEFORE, now, 0) == 200.0
    assert cpu_percent(None, now, 2 * SECOND) == 100.0
    assert cpu_percent(BEFORE, BEFORE, 0) == 0.0
    # a sum of processes may have lost one whose parent did not wait for it
    assert cpu_percent(now, BEFORE._replace(machine_cpu_ns=105 * SECOND), 0) == 0.0


def test_memory_without_what_can_be_had_back() -> None:
    assert BEFORE._replace(reclaimable_bytes=400).used_bytes == 600
    assert BEFORE._replace(reclaimable_bytes=2000).used_bytes == 1000
    assert BEFORE._replace(memory_limit_bytes=0).memory_percent == 0.0


def test_the_document_of_a_reading() -> None:
    now = BEFORE._replace(
        time_ns=6 * SECOND,
        interfaces=(Interface("tap0", 1, 2, 3, 4, 5, 6, 7, 8),),
        devices=(Device(8, 0, 9, 10),),
        memory_details={"inactive_file": 3},
    )
    document = stats_document(container(), BEFORE, now)
    assert (document["id"], document["name"]) == ("f" * 64, "/web")
    assert (document["read"], document["preread"]) == ("1970-01-01T00:00:06Z", "1970-01-01T00:00:05Z")
    assert document["networks"]["tap0"] == {
        "rx_bytes": 1, "rx_packets": 2, "rx_errors": 3, "rx_dropped": 4,
        "tx_bytes": 5, "tx_packets": 6, "tx_errors": 7, "tx_dropped": 8,
    }  # fmt: skip
    assert document["blkio_stats"]["io_service_bytes_recursive"] == [
        {"major": 8, "minor": 0, "op": "read", "value": 9},
        {"major": 8, "minor": 0, "op": "write", "value": 10},
    ]
    assert document["memory_stats"] == {"usage": 1000, "stats": {"inactive_file": 3}, "limit": 4000}
    assert document["pids_stats"] == {"current": 3, "limit": 2**64 - 1}
    assert document["cpu_stats"]["online_cpus"] == document["precpu_stats"]["online_cpus"] == 4
    assert document["cpu_stats"]["cpu_usage"] == {
        "total_usage": 2 * SECOND,
        "usage_in_kernelmode": 1,
        "usage_in_usermode": 1,
    }


def test_the_document_of_what_does_not_run_and_of_a_first_reading() -> None:
    still = stats_document(container(), BEFORE, None)
    assert still["read"] == still["preread"] == "0001-01-01T00:00:00Z"
    assert still["memory_stats"] == still["pids_stats"] == {}
    assert "networks" not in still
    first = stats_document(container(), None, BEFORE)
    assert first.keys() == still.keys()
    assert first["precpu_stats"] == still["cpu_stats"]
    assert first["preread"] == "0001-01-01T00:00:00Z"
