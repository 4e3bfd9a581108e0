"""What the host itself knows of names: its resolver's file and its hosts, read again whenever another file is there.

A look costs three stat(2); who replaces a symbolic link, renames a new file over the old one or mounts one is seen.
"""

from __future__ import annotations

import os
import socket

from net.resolver import HOST_FILE, RESOLVED_FILE, Resolver, is_loopback, parse_resolver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

HOSTS_FILE = "/etc/hosts"
#: octets of a file that are read
_LARGEST_FILE = 1 << 20
#: what resolv.conf(5) asks where no server is named
_NO_SERVER = "127.0.0.1"


class HostNames:
    """The host's files. `resolver()` is the same object until one of them changes."""

    def __init__(
        self,
        resolver_file: str = HOST_FILE,
        hosts_file: str = HOSTS_FILE,
        watched_files: Sequence[str] = (RESOLVED_FILE,),
    ) -> None:
        self._resolver_file = resolver_file
        self._hosts_file = hosts_file
        #: a change of them means that answers of before may be wrong now, as systemd-resolved's list of servers
        self._paths = (resolver_file, hosts_file, *watched_files)
        self._seen: tuple[object, ...] = ()
        self._resolver = Resolver()
        self._addresses: dict[str, list[bytes]] = {}
        self._names: dict[bytes, str] = {}

    def resolver(self) -> Resolver:
        """What resolv.conf says now, with the server that is meant where it names none."""
        self._look()
        return self._resolver

    def addresses(self, name: str) -> tuple[bytes, ...]:
        """The packed addresses of `name`, in lower case, in the host's hosts; none for a name that is not there.

        An address of the host's loopback is left out: to a container it would be the container itself.
        """
        self._look()
        return tuple(self._addresses.get(name, ()))

    def name_of(self, packed: bytes) -> str:
        """The first name of an address in the host's hosts, or ""."""
        self._look()
        return self._names.get(packed, "")

    def _look(self) -> None:
        seen = tuple(map(_identity, self._paths))
        if seen == self._seen:
            return
        self._seen = seen
        resolver = parse_resolver(_text_of(self._resolver_file))
        self._resolver = resolver._replace(servers=resolver.servers or (_NO_SERVER,))
        self._addresses, self._names = {}, {}
        for line in _text_of(self._hosts_file).splitlines():
            words = line.partition("#")[0].split()
            packed = packed_address(words[0]) if len(words) > 1 else b""
            if packed and not is_loopback(words[0]):
                self._names.setdefault(packed, words[1].lower())
                for word in words[1:]:
                    self._addresses.setdefault(word.lower().rstrip("."), []).append(packed)


def _identity(path: str) -> object:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)


def _text_of(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read(_LARGEST_FILE)
    except OSError:
        return ""


def packed_address(address: str) -> bytes:
    """The 4 or 16 octets of an address, b"" for a text that is none."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except (OSError, ValueError):
        return b""
