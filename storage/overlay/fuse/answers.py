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


def answered(handler: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """The handler, with OSError turned into the answer; what nobody foresaw is EIO, and a line in the log."""

    @functools.wraps(handler)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await handler(*args, **kwargs)
        except OSError as error:
            raise FUSEError(error.errno or errno.EIO) from None
        except FUSEError:
            raise
        except Exception:  # noqa: BLE001  # a request's boundary: one that fails ends no other
            _log.exception("%s failed", handler.__name__)
            raise FUSEError(errno.EIO) from None

    return guarded
