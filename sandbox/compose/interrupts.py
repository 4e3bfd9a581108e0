"""A ctrl-C through trio: nurseries make groups of exceptions, and the command line wants the one interrupt."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeVar

    Value = TypeVar("Value")


def run_interruptible(function: Callable[[], Awaitable[Value]]) -> Value:
    """Run it in trio. Raises what it raises; KeyboardInterrupt alone where a group of exceptions holds one."""
    # trio only where there is something to do
    import trio

    try:
        return trio.run(function)
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is not None:
            raise KeyboardInterrupt from None
        raise
