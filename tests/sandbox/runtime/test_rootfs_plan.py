"""The mount plan as data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.errors import UsageError
from sandbox.runtime.kernel_paths import DEFAULT_MASKED_PATHS, default_masked_paths
from sandbox.runtime.rootfs_plan import (
    Bind,
    BindDevice,
    Mask,
    MountFilesystem,
    Operation,
    ReadOnlyRoot,
    parse_tmpfs,
    plan_root,
)
from sandbox.runtime.spec import BindMount, ContainerSpec, DeviceNode, ProcessSpec, TmpfsMount
from sandbox.runtime.syscalls import (
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
)

if TYPE_CHECKING:
    from pathlib import Path

SPEC = ContainerSpec("c" * 64, ProcessSpec(("true",), ()), "/root-of-it", "box")


def _targets(plan: tuple[Operation, ...]) -> list[str]:
    return [operation.target for operation in plan if not isinstance(operation, ReadOnlyRoot)]


def test_proc_is_first_and_the_read_only_root_last() -> None:
    plan = plan_root(SPEC._replace(read_only_root=True, masked_paths=("/proc/kcore",)))
    assert isinstance(plan[0], MountFilesystem)
    assert (plan[0].kind, plan[0].target) == ("proc", "/proc")
    assert plan[-2:] == (Mask("/proc/kcore"), ReadOnlyRoot())


def test_shallow_mounts_come_before_those_below_them() -> None:
    mounts = (BindMount("/x", "/a/b/c"), TmpfsMount("/a"), BindMount("/y", "/a/b/"))
    assert _targets(plan_root(SPEC._replace(mounts=mounts)))[-3:] == ["/a", "/a/b", "/a/b/c"]


def test_a_mount_of_ones_own_takes_the_place_of_a_default() -> None:
    plan = plan_root(SPEC._replace(mounts=(TmpfsMount("/dev/shm", "size=1m"),)))
    assert _targets(plan).count("/dev/shm") == 1
    plan = plan_root(SPEC._replace(mounts=(BindMount("/dev", "/dev"),)))
    assert [target for target in _targets(plan) if target.startswith("/dev")] == ["/dev"]


@pytest.mark.parametrize("target", ["/", "//", "/x/..", "/proc", "/proc/", "/proc/1", "/a/../proc/x", "relative"])
def test_refused_targets(target: str) -> None:
    with pytest.raises(UsageError):
        plan_root(SPEC._replace(mounts=(BindMount("/x", target),)))


def test_proc_alike_names_are_not_proc() -> None:
    plan_root(SPEC._replace(mounts=(BindMount("/x", "/process"), BindMount("/x", "/srv/proc"))))


def test_devices_are_binds() -> None:
    plan = plan_root(SPEC._replace(devices=(DeviceNode("/dev/fuse", "/dev/fuse"),)))
    assert BindDevice("/dev/fuse", "/dev/fuse") in plan


def test_the_hosts_network_shows_the_hosts_sysfs_read_only_and_not_its_cgroups() -> None:
    plan = plan_root(SPEC._replace(network="host"), unified_cgroups=True)
    bind = Bind("/sys", "/sys", read_only=True, by_request=False)
    assert _targets(plan[plan.index(bind) :])[1] == "/sys/fs/cgroup"


def test_tmpfs_words() -> None:
    operation = parse_tmpfs(TmpfsMount("/t", "size=64m,exec,ro,uid=5", noexec=True))
    assert operation.options == ("size=64m", "uid=5", "mode=1777")
    assert operation.attributes == MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV
    assert not operation.attributes & MOUNT_ATTR_NOEXEC
    # no file system has an option for these
    times = parse_tmpfs(TmpfsMount("/t", "strictatime,noatime,nodiratime,nosuid"))
    assert times.options == ("mode=1777",)
    plain = parse_tmpfs(TmpfsMount("/t", "nosuid")).attributes
    assert times.attributes == plain | MOUNT_ATTR_NOATIME | MOUNT_ATTR_NODIRATIME
    assert parse_tmpfs(TmpfsMount("/t", "noatime,relatime,nodiratime,diratime,nosuid")).attributes == plain


def test_heat_of_each_processor_is_masked_where_the_machine_tells_it(tmp_path: Path) -> None:
    assert default_masked_paths(str(tmp_path)) == DEFAULT_MASKED_PATHS
    for name in ("cpu0/thermal_throttle", "cpu1/thermal_throttle", "cpufreq"):
        (tmp_path / "devices/system/cpu" / name).mkdir(parents=True)
    masked = default_masked_paths(str(tmp_path))
    assert masked[len(DEFAULT_MASKED_PATHS) :] == tuple(
        f"/sys/devices/system/cpu/cpu{number}/thermal_throttle" for number in (0, 1)
    )
