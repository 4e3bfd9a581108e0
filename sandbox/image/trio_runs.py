"""Trio, run for one task of an otherwise synchronous program."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sandbox.errors import (
    AuthenticationError,
    NotFoundError,
    RegistryError,
    SandboxError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


_T = TypeVar("_T")


def run_trio(main: Callable[[], Awaitable[_T]]) -> _T:
    """trio.run, with one error for a group of them: the first of ours, most telling class first.

    Raises what the task raises.
    """
    import trio

    try:
        return trio.run(main)
    except BaseExceptionGroup as group:
        leaves = list(_leaves(group))
        for kind in (KeyboardInterrupt, AuthenticationError, NotFoundError, RegistryError, SandboxError):
            for error in leaves:
                if isinstance(error, kind):
                    raise error from None
        if len(leaves) == 1:
            raise leaves[0] from None
        raise


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
