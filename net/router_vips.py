"""The single addresses of services in one router: kept as a file and the members say, by rules and on bridges."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from net.errors import NetError
from net.link_messages import IFA_ADDRESS, delete_address, get_addresses, new_address
from net.netlink import Rtnetlink, attributes, open_rtnetlink
from net.networks import bridge_name
from net.router import call_in_thread
from net.vips import read_vips, vip_rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from net.name_table import NameTable

_ADDRESS = struct.Struct("=BBBBI")
_HOST_BITS = 32
#: between two tries of what the kernel has refused
_AGAIN_SECONDS = 1.0


class RouterVips:
    """Keeps those of `table` in the router whose network namespace is `net_fd`, by what the file at `path` says."""

    def __init__(self, net_fd: int, path: str, table: NameTable, run_nft: Callable[[str], None]) -> None:
        self._net_fd, self._path, self._table, self._run_nft = net_fd, path, table, run_nft
        self._seen: tuple[int, int, int] | None = None
        self._due = trio.Event()
        self._rules = ""
        self._netlink: Rtnetlink | None = None

    def look(self) -> bool:
        """Read the file anew where it is another one; whether it was."""
        if not self._path:
            return False
        try:
            status = os.stat(self._path)
            seen = status.st_ino, status.st_mtime_ns, status.st_size
        except OSError:
            seen = (0, 0, 0)
        if seen == (self._seen or (0, 0, 0)):
            return False
        self._seen = seen
        self._table.know_vips(read_vips(self._path))
        self._due.set()
        return True

    def changed(self) -> None:
        """Members have come or gone, or bridges have."""
        self.look()
        if self._seen is not None:
            self._due.set()

    async def run(self, note: Callable[[str], None]) -> None:
        """Do what is due, what comes at once in one go; `note` is told what cannot be done."""
        try:
            while True:
                await self._due.wait()
                self._due = trio.Event()
                try:
                    self._keep()
                except NetError as error:
                    note(f"{error.message}: {error.cause}")
                    self._rules = ""
                    with trio.move_on_after(_AGAIN_SECONDS):
                        await self._due.wait()
                    self._due.set()
        finally:
            if self._netlink is not None:
                self._netlink.close()

    def _keep(self) -> None:
        services = self._table.services
        rules = vip_rules(services.members())
        if rules != self._rules:
            self._run_nft(rules)
            self._rules = rules
        self._keep_addresses({bridge_name(network): vips for network, vips in services.networks().items()})

    def _keep_addresses(self, wanted: dict[str, set[str]]) -> None:
        """Have bridges have these addresses, and no others beside their own."""
        if self._netlink is None:
            self._netlink = call_in_thread(self._net_fd, open_rtnetlink)
        indexes = call_in_thread(self._net_fd, lambda: _bridge_indexes(wanted))
        there = {(index, address) for index, address in _single_addresses(self._netlink)}
        due = {(indexes[bridge], address) for bridge, vips in wanted.items() if bridge in indexes for address in vips}
        self._netlink.send(
            *(delete_address(index, address, _HOST_BITS) for index, address in sorted(there - due)),
            *(new_address(index, address, _HOST_BITS) for index, address in sorted(due - there)),
        )


def _bridge_indexes(names: dict[str, set[str]]) -> dict[str, int]:
    import socket

    found = {}
    for name in names:
        # a network without a container has no bridge
        with suppress(OSError):
            found[name] = socket.if_nametoindex(name)
    return found


def _single_addresses(netlink: Rtnetlink) -> list[tuple[int, str]]:
    """(interface, address) of addresses of IPv4 without a subnet, but for the loopback's."""
    import socket

    found = []
    for body in netlink.ask(get_addresses()):
        family, prefix, _flags, _scope, index = _ADDRESS.unpack_from(body)
        address = attributes(body[_ADDRESS.size :]).get(IFA_ADDRESS, b"")
        if family == socket.AF_INET and prefix == _HOST_BITS and len(address) == 4:
            found.append((index, socket.inet_ntop(family, address)))
    return found
