"""The addresses of the network namespace that a test is in."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from typing import NamedTuple

#: <linux/sockios.h>
_SIOCGIFADDR = 0x8915
_IFREQ_BYTES = 40


class InterfaceAddress(NamedTuple):
    interface: str
    address: str


def list_addresses() -> tuple[InterfaceAddress, ...]:
    """The addresses of the current namespace, loopback included; IPv4 ones first."""
    return (*_ipv4_addresses(), *_ipv6_addresses())


def has_ipv6() -> bool:
    """Whether the kernel speaks IPv6 at all in this namespace."""
    return os.path.exists("/proc/net/if_inet6")


def _ipv4_addresses() -> tuple[InterfaceAddress, ...]:
    found = []
    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        for name in _interface_names():
            try:
                reply = fcntl.ioctl(control.fileno(), _SIOCGIFADDR, name.encode().ljust(_IFREQ_BYTES, b"\0"))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.ENODEV):
                    raise
                continue
            # struct sockaddr_in: family, port, then the address
            found.append(InterfaceAddress(name, socket.inet_ntop(socket.AF_INET, reply[20:24])))
    finally:
        control.close()
    return tuple(found)


def _ipv6_addresses() -> tuple[InterfaceAddress, ...]:
    try:
        with open("/proc/net/if_inet6") as file:
            rows = [line.split() for line in file]
    except FileNotFoundError:
        return ()
    return tuple(InterfaceAddress(row[5], socket.inet_ntop(socket.AF_INET6, bytes.fromhex(row[0]))) for row in rows)


def _interface_names() -> list[str]:
    # not socket.if_nameindex or /sys: /proc/net follows the namespace of the process, a mounted sysfs does not
    with open("/proc/net/dev") as file:
        return [line.partition(":")[0].strip() for line in file if ":" in line]
