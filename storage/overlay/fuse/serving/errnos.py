"""What every handler does with a failure: the kernel is told an errno, and the server goes on."""

from __future__ import annotations

import errno
import functools
import logging
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from pyfuse3 import FUSEError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger(__name__)


def failure(error: Exception) -> FUSEError:
    """The answer to a request that failed; what nobody foresaw is EIO, and a line in the log."""
    if isinstance(error, OSError):
        return FUSEError(error.errno or errno.EIO)
    if isinstance(error, FUSEError):
        return error
    if isinstance(error, KeyError):
        # a number or a handle that is gone
        return FUSEError(errno.ESTALE)
    _log.error("a request failed", exc_info=error)
    return FUSEError(errno.EIO)


def answered(handler: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """The handler, with whatever it raises turned into the answer. Hot handlers do that themselves: a call less."""

    @functools.wraps(handler)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await handler(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  # a request's boundary: one that fails ends no other
            raise failure(error) from None

    return guarded
