"""Waiting with a few pages of memory, as machine code in a sealed memfd; `rest_stub.c` is its source.

A process that waits for days need not be an interpreter meanwhile: it becomes this program, and an interpreter again
when something has happened.
"""

from __future__ import annotations

import os

from sandbox.named_tuple import NamedTuple
from sandbox.runtime.exec_stub import make_elf, seal_program

_CODE = {
    "x86_64": bytes.fromhex(
        "4889e74883e4f0e80000000041564989f9415541545553488b07488b4f20488d5cc71031c00fbe1184d27412486bc00a"
        "83ea3048ffc14863d24801d0ebe7498b711031c90fbe1684d27412486bc90a83ea3048ffc64863d24801d1ebe7c74424"
        "f401000000498b7118894c24f031c90fbe1684d27412486bc90a83ea3048ffc64863d24801d1ebe7894c24f84899b9e8"
        "030000498b7108c74424fc010000004531d24531c0bf0f00000048f7f94869d240420f0048894424e0b89d0000004889"
        "5424e831d20f05498b4120488d6c24e0488d7c24f041b808000000be0200000080382db80f010000480f45d50f0541bd"
        "3b0000004d8d712841bc0f010000498b79284531d24531c04c89e84c89f64889da0f0531c031f641b8080000004889ea"
        "48894424e84889f74c89e048c74424e0010000000f05ebc6"
    ),
    "aarch64": bytes.fromhex(
        "e003009101000094060040f9ff8300d1021040f9c6080091e50300aa010080d2060c068b430180d24000403960010035"
        "a30840f9020080d2440180d2600040396001003400c0005163040091007c40934200049bfaffff1700c0005142040091"
        "007c40932100039bf0ffff17a30c40f920008052440180d2e2030029020080d260004039c000003400c0005163040091"
        "007c40934200049bfaffff1720008052e2030129027d80d2e81480d2030080d2040080d2200cc29ae00b00f90084029b"
        "014888d2020080d2e101a0f2007c019ba10440f9e00f00f9e00180d2010000d4a01040f9e7430091280980d2410080d2"
        "040180d2000040391fb40071e0030091e2109f9a010000d4aaa00091290080d2a01440f9e1030aaae20306aaa81b80d2"
        "030080d2040080d2010000d4280980d2e20307aa000080d2010080d2040180d2e97f01a9010000d4f2ffff17"
    ),
}
_FOR_EVER = "-"


class Rest(NamedTuple):
    """How to wait: under which name in lists of processes, for which two descriptors, and for how long at most."""

    name: str
    first_fd: int
    second_fd: int
    seconds: float | None


def can_rest() -> bool:
    """Whether there is such a program for this machine."""
    return os.uname().machine in _CODE


def rest_then_execute(rest: Rest, words: tuple[str, ...]) -> None:
    """Become a small process that waits until a descriptor is readable, or the time is over, and then executes `words`,
    of which the first is a path. Descriptors are handed on as they are inheritable, signals as they are blocked.

    Returns where that cannot be: on another machine, or one that is short of memory.
    """
    machine = os.uname().machine
    if machine not in _CODE:
        return
    longest = _FOR_EVER if rest.seconds is None else str(max(0, int(rest.seconds * 1000)))
    try:
        fd = seal_program(rest.name, make_elf(machine, _CODE[machine]))
        try:
            os.execve(fd, (rest.name, str(rest.first_fd), str(rest.second_fd), longest, *words), os.environ)
        finally:
            os.close(fd)
    except OSError:
        return
