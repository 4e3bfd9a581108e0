"""The calls of the language on names and directories."""

from __future__ import annotations

import os
import socket
import stat
import subprocess

from tests.filesystem import kernel_calls
from tests.filesystem.calls import Answer, Caller, Calls, flags, number, path_name, shown

CALLS = Calls()
_KINDS = {
    "fifo": stat.S_IFIFO,
    "socket": stat.S_IFSOCK,
    "char": stat.S_IFCHR,
    "block": stat.S_IFBLK,
    "file": stat.S_IFREG,
}


@CALLS.add
def mkdir(_: Caller, path: str, mode: str = "0755") -> None:
    os.mkdir(path_name(path), number(mode))


@CALLS.add
def rmdir(_: Caller, path: str) -> None:
    os.rmdir(path_name(path))


@CALLS.add
def unlink(_: Caller, path: str) -> None:
    os.unlink(path_name(path))


@CALLS.add
def link(_: Caller, old: str, new: str) -> None:
    os.link(path_name(old), path_name(new), follow_symlinks=False)


@CALLS.add
def link_fd(caller: Caller, fd: str, new: str) -> None:
    """Give a name to a file that may have none, by /proc as an unprivileged process does, open(2) O_TMPFILE."""
    path = b"/proc/self/fd/%d" % caller.fd(fd)
    kernel_calls.linkat(kernel_calls.AT_FDCWD, path, path_name(new), kernel_calls.AT_SYMLINK_FOLLOW)


@CALLS.add
def symlink(_: Caller, target: str, path: str) -> None:
    os.symlink(path_name(target), path_name(path))


@CALLS.add
def readlink(_: Caller, path: str) -> Answer:
    return os.readlink(path)


@CALLS.add
def rename(_: Caller, old: str, new: str, words: str = "0") -> None:
    kernel_calls.renameat2(path_name(old), path_name(new), flags(words, kernel_calls.RENAME_FLAGS))


@CALLS.add
def mknod(_: Caller, path: str, kind: str, mode: str = "0644", major: str = "0", minor: str = "0") -> None:
    os.mknod(path_name(path), _KINDS[kind] | number(mode), os.makedev(int(major), int(minor)))


@CALLS.add
def bind(_: Caller, path: str) -> Answer:
    """Bind a unix socket to the path, and connect to it."""
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
    return None


@CALLS.add
def ls(_: Caller, path: str = ".") -> Answer:
    return ",".join(sorted(os.listdir(path))) or "empty"


@CALLS.add
def scan(caller: Caller, path: str, count: str) -> Answer:
    """Make `count` files; list with small buffers and remove every name seen; how many were, and how many differ."""
    for index in range(number(count)):
        os.close(os.open(f"{path}/scan-{index:05d}", os.O_CREAT | os.O_WRONLY, 0o644))
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    seen: list[str] = []
    try:
        while names := kernel_calls.getdents_names(fd, 1024):
            for name in names:
                if name.startswith("scan-"):
                    seen.append(name)
                    os.unlink(f"{path}/{name}")
    finally:
        os.close(fd)
    return f"{len(seen)},{len(set(seen))}"


@CALLS.add
def rewind(_: Caller, path: str, name: str) -> Answer:
    """Open a directory, make a file in it, rewind: whether the new name is seen."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while kernel_calls.getdents_names(fd, 4096):
            pass
        os.close(os.open(f"{path}/{name}", os.O_CREAT | os.O_WRONLY, 0o644))
        os.lseek(fd, 0, os.SEEK_SET)
        found: list[str] = []
        while names := kernel_calls.getdents_names(fd, 4096):
            found += names
        return "seen" if name in found else "unseen"
    finally:
        os.close(fd)


@CALLS.add
def deep(_: Caller, path: str, levels: str, length: str) -> Answer:
    """Directories far below PATH_MAX made, left a file and read back by openat; its content."""
    name = "q" * number(length)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    for _level in range(number(levels)):
        os.mkdir(name, 0o755, dir_fd=fd)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = below
    try:
        leaf = os.open("leaf", os.O_RDWR | os.O_CREAT, 0o644, dir_fd=fd)
        os.write(leaf, b"deep")
        os.close(leaf)
        leaf = os.open("leaf", os.O_RDONLY, dir_fd=fd)
        try:
            return shown(os.read(leaf, 10))
        finally:
            os.close(leaf)
    finally:
        os.close(fd)


@CALLS.add
def umask(_: Caller, mode: str) -> Answer:
    os.umask(number(mode))
    return None


@CALLS.add
def chdir(_: Caller, path: str) -> None:
    os.chdir(path_name(path))


@CALLS.add
def access(_: Caller, path: str, words: str) -> None:
    kernel_calls.access(path_name(path), flags(words, os))


@CALLS.add
def run(_: Caller, path: str) -> Answer:
    """Execute the file: its status."""
    return subprocess.run([f"./{path}"], check=False, stdin=subprocess.DEVNULL, capture_output=True).returncode
