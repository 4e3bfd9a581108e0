"""Calls a function in a child that is uid 0 of a mapped user namespace, with a mount namespace of its own."""

from __future__ import annotations

import ctypes
import functools
import os
import pickle
import subprocess
import traceback
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_libc = ctypes.CDLL(None, use_errno=True)


@functools.cache
def can_map() -> str:
    """Empty where a mapped user namespace can be made, else what is missing."""
    try:
        call_in_namespace(os.getuid)
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        return str(error)
    return ""


def subordinate_range() -> tuple[int, int]:
    """First id and count of this user's range in /etc/subuid."""
    import getpass

    with open("/etc/subuid", encoding="ascii") as file:
        for line in file:
            name, first, count = line.strip().split(":")
            if name in (getpass.getuser(), str(os.getuid())):
                return int(first), int(count)
    raise RuntimeError("no line for this user in /etc/subuid")


def call_in_namespace(function: Callable[..., T], *args: Any) -> T:
    """What `function` returns in there (it must pickle); what it raises is raised here."""
    ready_read, ready_write = os.pipe()
    mapped_read, mapped_write = os.pipe()
    result_read, result_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(mapped_write)
        os._exit(_child(ready_write, mapped_read, result_write, function, args))
    for fd in (ready_write, mapped_read, result_write):
        os.close(fd)
    try:
        if os.read(ready_read, 1):
            _map(child)
            os.write(mapped_write, b"m")
    finally:
        os.close(mapped_write)
        os.close(ready_read)
        with open(result_read, "rb") as pipe:
            data = pipe.read()
        _, status = os.waitpid(child, 0)
    if not data:
        raise RuntimeError(f"the child in the namespace ended with status {status}")
    outcome, value = pickle.loads(data)
    if outcome == "raised":
        raise value
    if outcome == "failed":
        raise RuntimeError(value)
    return value  # type: ignore[no-any-return]  # what came through the pipe


def _child(ready: int, mapped: int, result: int, function: Callable[..., Any], args: tuple[Any, ...]) -> int:
    try:
        if _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        os.write(ready, b"r")
        if not os.read(mapped, 1):
            return 1
        os.setgid(0)
        os.setuid(0)
        outcome: tuple[str, Any] = ("returned", function(*args))
    except Exception as error:  # noqa: BLE001  a process boundary: it is raised again on the other side
        try:
            pickle.loads(pickle.dumps(error))
            outcome = ("raised", error)
        except Exception:  # noqa: BLE001  whatever a class does when pickled
            outcome = ("failed", traceback.format_exc())
    with open(result, "wb") as pipe:
        pipe.write(pickle.dumps(outcome))
    return 0


def _map(child: int) -> None:
    first, count = subordinate_range()
    for tool, own in (("newuidmap", os.getuid()), ("newgidmap", os.getgid())):
        line = [str(child), "0", str(own), "1", "1", str(first), str(count - 1)]
        subprocess.run([tool, *line], check=True, capture_output=True)
