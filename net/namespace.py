"""The network namespace this process is in: loopback up, its sysctls.

Writing wants CAP_NET_ADMIN in the user namespace that owns it. Used between fork and exec, so imports are few.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from _socket import AF_INET, SOCK_CLOEXEC, SOCK_DGRAM, socket

from net.errors import NetError

# <linux/sockios.h>, <linux/if.h>
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1
#: struct ifreq: a name of 16 bytes and a union of 24
_IFREQ_SIZE = 40

#: Docker lets every container bind low ports and ping, whatever its user
UNPRIVILEGED_PORTS = ("net.ipv4.ip_unprivileged_port_start", "0")


def set_interface_up(name: str) -> None:
    """Bring an interface of the current namespace up; twice is no error. Raises NetError."""
    control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC)
    try:
        request = fcntl.ioctl(control.fileno(), SIOCGIFFLAGS, _ifreq(name))
        (flags,) = struct.unpack_from("=H", request, 16)
        fcntl.ioctl(control.fileno(), SIOCSIFFLAGS, _ifreq(name, struct.pack("=H", flags | IFF_UP)))
    except OSError as error:
        raise NetError(f"cannot bring the interface {name} up", cause=error.strerror or str(error)) from error
    finally:
        control.close()


def prepare_namespace() -> None:
    """Make the current, new network namespace a container's: loopback up, low ports and ping for every user.

    Ping for those groups that the user namespace maps; a kernel that refuses it leaves ping to NET_RAW.
    """
    set_interface_up("lo")
    write_sysctl(*UNPRIVILEGED_PORTS)
    last = _last_mapped_group()
    if last >= 0:
        write_sysctl("net.ipv4.ping_group_range", f"0 {last}")


def prepare_bridged_namespace() -> None:
    """As `prepare_namespace`, for a namespace on bridges: it has the addresses that it is given at once, and no others.

    A neighbour that plays a router would give it IPv6 addresses and a way out.
    """
    prepare_namespace()
    if kernel_has_ipv6():
        # a host that has IPv6 off may have namespaces begin so (net.core.devconf_inherit_init_net)
        write_sysctl("net.ipv6.conf.default.disable_ipv6", "0")
        write_sysctl("net.ipv6.conf.default.accept_ra", "0")
        # who looks for another owner of its address first, cannot be reached for two seconds
        write_sysctl("net.ipv6.conf.default.accept_dad", "0")


def kernel_has_ipv6() -> bool:
    """Whether a network namespace can have IPv6: not where the kernel was made or started without it."""
    return os.path.exists("/proc/sys/net/ipv6")


def write_sysctl(name: str, value: str, proc: str = "/proc") -> None:
    """Write the net.* sysctl `name` of the current namespace. Raises NetError for any other and for a refused one."""
    parts = name.split(".")
    if parts[0] != "net" or any(part in ("", "..") or "/" in part for part in parts):
        raise NetError(f"{name} is not a sysctl of a network namespace", mend="only net.* can be set for a container")
    path = f"{proc}/sys/{'/'.join(parts)}"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise NetError(f"cannot set {name} to {value!r}", cause=_sysctl_cause(error)) from error


def _ifreq(name: str, data: bytes = b"") -> bytes:
    encoded = os.fsencode(name)
    if len(encoded) > 15:
        raise NetError(f"{name!r} is not an interface name", cause="it has more than 15 bytes")
    return encoded.ljust(16, b"\0") + data.ljust(_IFREQ_SIZE - 16, b"\0")


def _last_mapped_group() -> int:
    with open("/proc/self/gid_map") as file:
        ranges = sorted((int(inside), int(count)) for inside, _, count in (line.split() for line in file))
    last = -1
    for inside, count in ranges:
        if inside != last + 1:
            break
        last = inside + count - 1
    # the kernel takes no group above this one, ipv4_ping_group_range
    return min(last, 2**32 - 2)


def _sysctl_cause(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return "this kernel has no such setting"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "the kernel does not give it to a user's network namespace"
        case errno.EINVAL:
            return "the kernel refuses the value"
    return error.strerror or str(error)
