"""Checks of the place where images and containers lie, and of what can be mounted there."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from sandbox.doctor.check import Check, Machine, from_error, passed
from sandbox.errors import SandboxError
from sandbox.runtime.mount_table import find_mount
from sandbox.runtime.user_namespace import call_in_user_namespace
from storage.overlay.fuse.driver import is_installed
from storage.overlay.fuse.serving.installing import INSTALL

if TYPE_CHECKING:
    from sandbox.doctor.check import Status

#: below the first a small image does not fit, below the second a usual one may not
_NO_SPACE_BYTES = 100 << 20
_LITTLE_SPACE_BYTES = 2 << 30
_NETWORK_FILESYSTEMS = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "coda", "gpfs", "lustre", "beegfs", "panfs"),
        *("orangefs", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone"),
    )
)
_ELSEWHERE = "export XDG_DATA_HOME=/var/tmp/$USER-data   # any directory on a local disk"


def check_ownership(machine: Machine) -> Check:
    """Gives a file in the data root to a subordinate id, with an extended attribute: layers need both."""
    try:
        call_in_user_namespace(_own_a_file, machine.paths.data_root)
    except SandboxError as error:
        filesystem = find_mount(machine.paths.data_root).filesystem
        return Check(
            "ownership",
            "failure",
            f"files in {machine.paths.data_root} cannot belong to subordinate ids",
            f"{error.cause or error.message} (on {filesystem})",
            _ELSEWHERE,
        )
    return passed("ownership", f"files in {machine.paths.data_root} can belong to subordinate ids")


def check_overlay(machine: Machine) -> Check:
    """Mounts the kernel's overlay in the data root."""
    try:
        call_in_user_namespace(_probe_overlay, machine.paths.data_root)
    except SandboxError as error:
        filesystem = find_mount(machine.paths.data_root).filesystem
        instead = "the slower one on FUSE is used" if is_installed() else "images are copied, slowly and at full size"
        cause = f"{error.cause or error.message} (on {filesystem}); {instead}"
        return Check("overlay", "warning", "the kernel's overlay does not work here", cause, _ELSEWHERE)
    return passed("overlay", "the kernel's overlay mounts in the data root")


def check_space(machine: Machine) -> Check:
    """Free space for this user."""
    usage = os.statvfs(machine.paths.data_root)
    free = usage.f_bavail * usage.f_frsize
    where = f"{free / 1e9:.1f} GB free in {machine.paths.data_root}"
    if usage.f_files and not usage.f_favail:
        return Check("space", "failure", f"no inodes are free in {machine.paths.data_root}", mend=_ELSEWHERE)
    if free >= _LITTLE_SPACE_BYTES:
        return passed("space", where)
    status: Status = "failure" if free < _NO_SPACE_BYTES else "warning"
    return Check("space", status, where, "images take from megabytes to gigabytes", "sandbox system prune -a")


def check_local_disk(machine: Machine) -> Check:
    """Whether the data root is on a file system of the network."""
    mount = find_mount(machine.paths.data_root)
    if mount.filesystem in _NETWORK_FILESYSTEMS:
        return Check(
            "local-disk",
            "warning",
            f"{machine.paths.data_root} is on a network file system ({mount.filesystem})",
            "its server knows no subordinate ids, and overlay does not mount on it",
            _ELSEWHERE,
        )
    return passed("local-disk", f"{machine.paths.data_root} is on {mount.filesystem}")


def check_mount_options(machine: Machine) -> Check:
    """`noexec` and `nosuid` on the data root reach containers whose tree is a copy."""
    mount = find_mount(machine.paths.data_root)
    bad = sorted(mount.options & {"noexec", "nosuid", "ro"})
    if not bad:
        return passed("mount-options", f"{mount.mount_point} is mounted without restrictions")
    status: Status = "failure" if "ro" in bad else "warning"
    return Check(
        "mount-options",
        status,
        f"{mount.mount_point} is mounted {', '.join(bad)}",
        "programs in containers, or those with the set-user-id bit, do not run without overlay",
        _ELSEWHERE,
    )


def check_runtime_directory(machine: Machine) -> Check:
    """Where sockets lie, and that it is the log-in session's."""
    base = machine.env.get("XDG_RUNTIME_DIR", "")
    root = machine.paths.runtime_root
    if base and root.startswith(f"{base}/"):
        return passed("runtime-directory", root)
    why = f"XDG_RUNTIME_DIR ({base}) is not this user's" if base else "XDG_RUNTIME_DIR is not set"
    return passed("runtime-directory", f"{root}, since {why}")


def check_fuse(machine: Machine) -> Check:
    """Opens /dev/fuse and mounts with it."""
    try:
        call_in_user_namespace(_mount_fuse, machine.paths.runtime_root)
    except SandboxError as error:
        return from_error("fuse", error, "warning")
    needs = "" if is_installed() else f"; the storage driver fuse needs pyfuse3 as well: {INSTALL}"
    return passed("fuse", f"/dev/fuse opens, and a FUSE file system mounts{needs}")


# the rest runs in the forked process, inside


def _own_a_file(directory: str) -> None:
    with tempfile.NamedTemporaryFile(prefix=".probe-", dir=directory) as file:
        try:
            os.chown(file.fileno(), 1000, 1000)
            os.setxattr(file.fileno(), "user.sandbox.probe", b"1")
        except OSError as error:
            raise SandboxError(error.strerror or str(error)) from error


def _probe_overlay(directory: str) -> None:
    from storage.driver_choice import probe_kernel_overlay

    probe_kernel_overlay(directory)


def _mount_fuse(directory: str) -> None:
    from storage.overlay.fuse.serving.mounting import FuseOptions, device_error, mount_device, open_device

    try:
        fd = open_device()
    except OSError as error:
        raise device_error(error) from error
    try:
        mount_device(fd, directory, FuseOptions("fuse", "none"))
    except OSError as error:
        raise SandboxError("a FUSE file system does not mount", cause=error.strerror or str(error)) from error
    finally:
        os.close(fd)
