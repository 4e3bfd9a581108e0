"""The program between our interpreter and the container's: a static ELF file of some 260 bytes in a sealed memfd.

execve(2) of a script reads its interpreter's name while the process still is what it was before. Were that Python,
`#!/proc/self/exe` in a hostile image would name the host's interpreter, and a process of the container could open it
for writing later (CVE-2019-5736). So the last program of ours is this one: it lives in a file that nobody can change,
and executes the container's program. `exec_stub.S` is its source, with the commands that made these bytes.
"""

from __future__ import annotations

import fcntl
import os
import struct

from sandbox.errors import HostError
from sandbox.runtime.syscalls import MFD_EXEC

#: the descriptor on which the stub reports
REPORT_FD = 3

_CODE = {
    "x86_64": bytes.fromhex(
        "b848000000bf03000000be02000000ba010000000f05488b0c24488d54cc10488b7c2408488d742410b83b0000000f05"
        "f7d850b801000000bf030000004889e6ba040000000f05b8e7000000bf7f0000000f05"
    ),
    "aarch64": bytes.fromhex(
        "280380d2600080d2410080d2220080d2010000d4e30340f9e26f238b42400091e00740f9e1430091a81b80d2010000d4"
        "e00300cbe00f1ff8080880d2600080d2e1030091820080d2010000d4c80b80d2e00f80d2010000d4"
    ),
}
_ELF_MACHINE = {"x86_64": 62, "aarch64": 183}
_BASE_ADDRESS = 0x400000
_HEADERS_BYTES = 64 + 2 * 56


def make_stub() -> int:
    """A sealed, executable, close-on-exec memfd with the stub for this machine. Raises HostError on others."""
    machine = os.uname().machine
    if machine not in _CODE:
        raise HostError(f"sandbox does not run containers on {machine} yet", cause="there is no exec stub for it")
    return seal_program("sandbox-exec", make_elf(machine, _CODE[machine]))


def make_elf(machine: str, code: bytes) -> bytes:
    """A static ELF executable of one segment that begins with `code`."""
    size = _HEADERS_BYTES + len(code)
    entry = _BASE_ADDRESS + _HEADERS_BYTES
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<16sHHIQQQIHHHHHH", ident, 2, _ELF_MACHINE[machine], 1, entry, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE_ADDRESS, _BASE_ADDRESS, size, size, 0x1000)
    stack = struct.pack("<IIQQQQQQ", 0x6474E551, 6, 0, 0, 0, 0, 0, 16)  # PT_GNU_STACK: not executable
    return header + load + stack + code


def seal_program(name: str, image: bytes) -> int:
    """A memfd that holds `image` and can be executed but never changed again."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        fd = os.memfd_create(name, flags | MFD_EXEC)
    except OSError:  # before Linux 6.3 every memfd is executable, and the flag unknown
        fd = os.memfd_create(name, flags)
    os.write(fd, image)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    return fd
