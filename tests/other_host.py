"""A machine that lacks something, for the real command: this one, with files of it covered in a mount namespace.

Nobody but root may cover a file where set-user-id programs go on working, so the tests' user becomes root of a user
namespace that holds all it has: uid 0 is its first subordinate id, its own id is itself, and the other subordinate
ids are what the namespace's /etc/subuid gives it. newuidmap is copied to a tmpfs of that namespace, whose root owns
it there. Commands enter as the user, without any capability: for them this is just a machine. It has this machine's
network, or one of its own with nothing but a loopback and the kernel's own settings.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.command import Sandbox
from tests.subordinate import map_ids, subordinate_range

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.command import Home

#: where the user's subordinate ids begin in there; above every id of a person
_FIRST = 1 << 20
#: what the namespace's root leaves of the 65,536 ids
_COUNT = 65535
_GATE = 'echo made; read -r _; exec setpriv --reuid 0 --regid 0 --clear-groups sh -ec "$0" sh "$@"'
_LISTEN = """
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
socket.send_fds(socket.socket(fileno=int(sys.argv[3])), [b"listener"], [listener.fileno()])
"""
#: $1: a directory to work in; $2: 1 where IPv6 is off, and $3: addresses of the loopback, in a network of its own; then
#: pairs of a path and a file whose copy, root's, is put there ("": an empty directory)
_COVER = """
place=$1
if [ "$2" = 1 ]; then
    for which in all default lo; do
        echo 1 >/proc/sys/net/ipv6/conf/$which/disable_ipv6
    done
fi
for address in $3; do
    ip address add "$address" dev lo
    ip link set lo up
done
shift 3
mount -t tmpfs -o mode=755 tmpfs "$place"
for program in newuidmap newgidmap; do
    cp "$(command -v $program)" "$place/$program"
    chmod 4755 "$place/$program"
    mount --bind "$place/$program" "$(command -v $program)"
done
while [ $# -gt 0 ]; do
    if [ -n "$2" ]; then
        cp -p "$2" "$place"
        chown 0:0 "$place/${2##*/}"
        mount --bind "$place/${2##*/}" "$1"
    else
        mount -t tmpfs tmpfs "$1"
    fi
    shift 2
done
echo ready
read -r _ || :
"""


class OtherHost:
    """What the machine lacks, until `enter` starts it; each is a file or directory that this one has."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._name = pwd.getpwuid(os.getuid()).pw_name
        self._files: dict[str, tuple[str, int]] = {}
        self._hidden: list[str] = []
        self._addresses: list[str] = []
        self._ipv6_off = "0"
        for kind in ("uid", "gid"):
            self.has_file(f"/etc/sub{kind}", f"{self._name}:{_FIRST}:{_COUNT}\n")

    def has_file(self, path: str, text: str, mode: int = 0o644) -> None:
        """The file has this text and mode, and belongs to root."""
        self._files[path] = (text, mode)

    def lacks_program(self, name: str) -> None:
        """Nobody can execute it: for who looks for a program, it is not there."""
        self.has_file(shutil.which(name) or f"/usr/bin/{name}", "", 0o644)

    def has_empty_directory(self, path: str) -> None:
        self._hidden.append(path)

    def has_no_ipv6(self) -> None:
        """Its network is a loopback, on which IPv6 is off as an administrator switches it off."""
        self.has_network()
        self._ipv6_off = "1"

    def has_network(self, *addresses: str) -> None:
        """Its network is a loopback with these addresses besides its own; users may listen from port 1024 on."""
        self._addresses = ["127.0.0.1/8", *(f"{address}/32" for address in addresses)]

    @contextmanager
    def enter(self) -> Iterator[SandboxThere]:
        """The command, on that machine."""
        place = self.home.root / "host"
        (place / "tmpfs").mkdir(parents=True)
        words = [str(place / "tmpfs"), self._ipv6_off, " ".join(self._addresses)]
        for number, (path, (text, mode)) in enumerate(self._files.items()):
            file = place / f"file-{number}"
            file.write_text(text)
            file.chmod(mode)
            words += [path, str(file)]
        for path in self._hidden:
            words += [path, ""]
        kinds = ("--user", "--mount", *(["--net"] if self._addresses else []))
        with _namespace(kinds, words) as holder:
            yield SandboxThere(self.home, ["nsenter", f"--target={holder}", *kinds])


class SandboxThere(Sandbox):
    """The command on such a machine."""

    def __init__(self, home: Home, enter: list[str]) -> None:
        super().__init__(home)
        self._enter = enter
        self._words = [*self.enter_words(), *self._words]

    def enter_words(self) -> list[str]:
        """What makes the words behind it a command of the user there."""
        return [*self._enter, f"--setuid={os.getuid()}", f"--setgid={os.getgid()}", "--"]

    def listen(self, address: str, port: int) -> socket.socket:
        """A socket that is bound there, for a server here. The port may be any: root binds it."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            words = [*self._enter, "--", sys.executable, "-c", _LISTEN, address, str(port), str(theirs.fileno())]
            subprocess.run(words, pass_fds=[theirs.fileno()], check=True)
            _data, fds, _flags, _address = socket.recv_fds(ours, 16, 1)
        return socket.socket(fileno=fds[0])

    @contextmanager
    def neighbour(self, *wires: tuple[str, str]) -> Iterator[list[str]]:
        """A machine at the other end of a wire, for the length of the block: what makes the words behind it a command
        of its root. Each of `wires` is this machine's address and the other's, with the prefix of their network.
        """
        command = [*self._enter, "--", "unshare", "--net", "sh", "-c", "echo made; read -r _"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdin is not None
            assert other.stdout is not None
            try:
                assert other.stdout.readline() == "made\n"
                there = ["nsenter", f"--target={other.pid}", "--user", "--net", "--mount", "--"]
                add = ["ip", "link", "add", "wire", "type", "veth", "peer", "name", "eth0", "netns", str(other.pid)]
                subprocess.run([*self._enter, "--", *add], check=True)
                for words, name, own in (([*self._enter, "--"], "wire", 0), (there, "eth0", 1)):
                    for pair in wires:
                        # nobody else has it: a look for another owner would keep an address of IPv6 back for a second
                        at_once = ["nodad"] if ":" in pair[own] else []
                        subprocess.run([*words, "ip", "address", "add", pair[own], "dev", name, *at_once], check=True)
                    subprocess.run([*words, "ip", "link", "set", name, "up"], check=True)
                yield there
            finally:
                other.stdin.close()


@contextmanager
def _namespace(kinds: Sequence[str], words: Sequence[str]) -> Iterator[int]:
    """A process, by its pid, that holds the namespaces for the length of the block."""
    holder = subprocess.Popen(
        ["unshare", *kinds, "--propagation=private", "--keep-caps", "sh", "-c", _GATE, _COVER, *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == "made\n"
            for kind, own in (("uid", os.getuid()), ("gid", os.getgid())):
                first, count = subordinate_range(kind)
                assert count > _COUNT, "the tests' user has 65,536 subordinate ids"
                map_ids(f"new{kind}map", holder.pid, (0, first, 1), (own, own, 1), (_FIRST, first + 1, _COUNT))
            print("go", file=holder.stdin, flush=True)
            assert holder.stdout.readline() == "ready\n"
            yield holder.pid
        finally:
            holder.stdin.close()
