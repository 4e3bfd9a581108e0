"""The API behind a user's systemd: it listens, starts a server for who connects, and containers outlive that."""

from __future__ import annotations

import os
import select
import subprocess
from typing import TYPE_CHECKING, Any

import docker
import pytest

from tests.integration.api.conftest import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.command import Sandbox

pytestmark = pytest.mark.requires("systemd", "cgroup_v2", "subids", "overlay", "busybox")
_MEBIBYTE = 1 << 20
#: a minute, and what a machine may be slow by
_IDLE_SECONDS = 600


def _manager(*words: str) -> str:
    done = subprocess.run(["systemctl", "--user", *words], capture_output=True, text=True, check=False)
    return done.stdout.strip()


@pytest.fixture
def installed(sandbox: Sandbox, busybox: str) -> Iterator[str]:
    """The path where the true manager listens; the store is the test's."""
    assert busybox == "busybox"
    runtime = os.environ["XDG_RUNTIME_DIR"]
    # both are the manager's own
    sandbox.env |= {"XDG_RUNTIME_DIR": runtime, "HOME": os.environ["HOME"]}
    done = sandbox.run("api", "install")
    assert done.stderr == ""
    yield f"{runtime}/sandbox/docker.sock"
    sandbox.run("api", "uninstall")
    assert _manager("is-active", "sandbox-api.socket") == "inactive"


def _client(path: str) -> Any:
    return docker.DockerClient(base_url=f"unix://{path}", timeout=TIMEOUT_SECONDS)


def test_a_server_comes_and_goes_and_containers_stay(installed: str, eventually: Callable[..., None]) -> None:
    assert _manager("is-active", "sandbox-api.socket", "sandbox-api.service").split() == ["active", "inactive"]
    assert os.stat(installed).st_mode & 0o777 == 0o600
    client = _client(installed)
    info = client.info()
    assert (info["CgroupVersion"], info["CgroupDriver"], info["MemoryLimit"]) == ("2", "systemd", True)
    first = _manager("show", "-P", "MainPID", "sandbox-api.service")
    server = os.pidfd_open(int(first))
    limited = client.containers.run(
        "busybox", "sleep 1000", detach=True, network_mode="none", name="limited", stop_signal="KILL",
        mem_limit="64m", memswap_limit="64m", pids_limit=50, nano_cpus=500_000_000,
    )  # fmt: skip
    try:
        _check_limits(limited)
        client.close()
        # nobody asks any more: the server ends, the container does not
        assert select.select([server], [], [], _IDLE_SECONDS)[0]
        eventually(lambda: _manager("is-active", "sandbox-api.service") == "inactive")
        assert _manager("is-active", "sandbox-api.socket") == "active"
        client = _client(installed)
        limited = client.containers.get("limited")
        assert limited.status == "running"
        assert _manager("show", "-P", "MainPID", "sandbox-api.service") not in ("0", first)
        assert limited.exec_run("echo on").output == b"on\n"
        # nor by the manager's word
        _manager("stop", "sandbox-api.service")
        assert _client(installed).containers.get("limited").status == "running"
    finally:
        _client(installed).containers.get("limited").remove(force=True)
        client.close()
        os.close(server)


def _check_limits(limited: Any) -> None:
    """What the container's cgroup says is what was asked for and what stats tell."""

    def inside(name: str) -> str:
        return str(limited.exec_run(f"cat /sys/fs/cgroup/{name}").output.decode().strip())

    assert [inside(name) for name in ("memory.max", "pids.max", "cpu.max")] == [
        str(64 * _MEBIBYTE), "50", "50000 100000",
    ]  # fmt: skip
    stats = limited.stats(stream=False)
    assert stats["memory_stats"]["limit"] == 64 * _MEBIBYTE
    assert 0 < stats["memory_stats"]["usage"] < 64 * _MEBIBYTE
    assert (stats["pids_stats"]["current"], stats["pids_stats"]["limit"]) == (1, 50)
    assert stats["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert stats["cpu_stats"]["system_cpu_usage"] > 0
    limited.update(mem_limit="96m", memswap_limit="96m")
    assert inside("memory.max") == str(96 * _MEBIBYTE)
    assert limited.stats(stream=False)["memory_stats"]["limit"] == 96 * _MEBIBYTE
    limited.reload()
    host = limited.attrs["HostConfig"]
    assert (host["Memory"], host["PidsLimit"], host["NanoCpus"]) == (96 * _MEBIBYTE, 50, 500_000_000)
