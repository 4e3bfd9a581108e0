"""The device by which a program such as slirp4netns has a network interface, tun(4): whether it can be used."""

from __future__ import annotations

import errno
import os

from net.errors import NetError

TUN_DEVICE = "/dev/net/tun"


def check_tun(device: str = TUN_DEVICE, proc: str = "/proc") -> None:
    """Raise NetError unless this process can open the tap device; `proc` is procfs, or a stand-in of tests."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        if _has_tun_driver(f"{proc}/misc"):
            raise NetError(
                f"there is no {device}",
                cause="the kernel has tun, but the device node was not made",
                mend=f"sudo sh -c 'mkdir -p {os.path.dirname(device)} && mknod -m 0666 {device} c 10 200'; "
                f"in a container: start it with --device {device}",
            ) from None
        raise NetError(
            f"there is no {device}", cause="the kernel module tun is not loaded", mend="sudo modprobe tun"
        ) from None
    except OSError as error:
        raise _refused_tun(device, error) from None


def _refused_tun(device: str, error: OSError) -> NetError:
    message, cause = f"{device} cannot be opened", error.strerror or str(error)
    if error.errno == errno.EPERM:
        return NetError(
            message,
            cause=f"{cause}: the container around us was not given the device",
            mend=f"start that container with --device {device}",
        )
    if error.errno == errno.EACCES:
        mode = os.stat(device).st_mode & 0o777
        return NetError(message, cause=f"its mode is {mode:04o}", mend=f"sudo chmod 0666 {device}")
    return NetError(message, cause=cause, mend="sudo modprobe tun")


def _has_tun_driver(misc: str) -> bool:
    """Whether the kernel knows the device of number 10:200; proc(5): /proc/misc has a row for each driver there is."""
    try:
        with open(misc) as file:
            return any(row.split()[1:] == ["tun"] for row in file)
    except OSError:
        return False
