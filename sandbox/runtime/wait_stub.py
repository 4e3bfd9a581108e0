"""Waiting for a child in some kilobytes, as machine code in a sealed memfd; `wait_stub.c` is its source.

A process that only waits needs no interpreter: it becomes this program, and an interpreter again when there is
something to tell.
"""

from __future__ import annotations

import os

from sandbox.runtime.exec_stub import make_elf, seal_program

_CODE = {
    "x86_64": bytes.fromhex(
        "4889e74883e4f0e80000000041544989f85531ed53488b07488b5710488d04c510000000488b5c07f04c8d0c0731c089"
        "4424fc0fbe0284c07411486bed0a83e83048ffc248984801c5ebe8498b70084531d2b89d00000031d2bf0f0000000f05"
        "41bc3d000000488d7424fc4531d231d24c89e04889ef0f054883f8fc74ed8b5424fc0fb6c683e27f74068d8280000000"
        "b902000000be0a00000099f7fe83c23088140b4883e90173f1498d7018498b78184531d2b83b0000004c89ca0f0541b8"
        "e7000000bf7f00000031d24531d24c89c04889d60f05ebf1"
    ),
    "aarch64": bytes.fromhex(
        "e003009101000094050040f9ff4300d1010840f9a5080091e40300aa060080d2050c058b420180d2ff0f00b9a7005ff8"
        "2000403920050035810440f9e81480d2e00180d2020080d2030080d2010000d4e1330091e00306aa882080d2020080d2"
        "030080d2010000d41f1000b140ffff54e30f40b9420180526018007201000211633c48d36300811a400080d26108c21a"
        "238c021b63c00011e3682038000400d1e303012a1f0400b121ffff54e10304aae20305aaa81b80d2208c41f8030080d2"
        "010000d4c80b80d2e00f80d2010080d2020080d2faffff1700c0005121040091007c4093c600029bd2ffff17"
    ),
}
#: as many digits as an exit code can have, over which it is written
_CODE_TEXT = "000"


def wait_then_execute(name: str, pid: int, words: tuple[str, ...]) -> None:
    """Become a small process called `name` that waits for the child `pid` and then executes `words`, of which the first
    is a path, with the exit code as one more argument: 128 and the signal's number of what was killed.

    Returns where that cannot be: on another machine, or one that is short of memory.
    """
    machine = os.uname().machine
    if machine not in _CODE:
        return
    try:
        fd = seal_program(name, make_elf(machine, _CODE[machine]))
        os.execve(fd, (name, str(pid), *words, _CODE_TEXT), os.environ)
    except OSError:
        return
