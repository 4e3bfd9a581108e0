"""Waiting for a child in some kilobytes, as machine code in a sealed memfd; `wait_stub.c` is its source.

A process that only waits needs no interpreter: it becomes this program, and an interpreter again when there is
something to tell.
"""

from __future__ import annotations

import os

from sandbox.runtime.exec_stub import make_elf, seal_program

_CODE = {
    "x86_64": bytes.fromhex(
        "4889e74883e4f0e80000000041554989f941544531e45553488b07488b5710488d04c510000000488b6c07f0488d1c07"
        "0fbe0284c074114d6be40a83e83048ffc248984901c4ebe831c0498b71084531d24531c0894424fcbf0f000000b89d00"
        "000031d20f0541bd3d000000488d7424fc4531d24531c031d24c89e84c89e70f054883f8fc74ea8b5424fc0fb6c683e2"
        "7f74068d8280000000b902000000be0a00000099f7fe83c23088540d004883e90173f0498d7118498b79184531d24531"
        "c0b83b0000004889da0f0541b9e7000000bf7f00000031d24531d24531c04c89c84889d60f05ebee"
    ),
    "aarch64": bytes.fromhex(
        "e003009101000094060040f9ff4300d1010840f9c6080091e50300aa070080d2060c068b420180d2c9005ff820004039"
        "a0050035a10440f9e81480d2e00180d2020080d2030080d2040080d2ff0f00b9010000d4e1330091e00307aa882080d2"
        "020080d2030080d2040080d2010000d41f1000b120ffff54e30f40b9420180526018007201000211633c48d36300811a"
        "400080d26108c21a238c021b63c0001123692038000400d1e303012a1f0400b121ffff54e10305aae20306aaa81b80d2"
        "208c41f8030080d2040080d2010000d4c80b80d2e00f80d2010080d2020080d2f9ffff1700c0005121040091007c4093"
        "e700029bceffff17"
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
