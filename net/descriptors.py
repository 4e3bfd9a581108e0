"""What a forked child of ours has open."""

from __future__ import annotations

import os
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection


def keep_only(fds: Collection[int]) -> None:
    """Close every descriptor but the standard ones and `fds`: a pipe must not stay open because a child has it too."""
    # not os.closerange: without close_range(2) it would try every number up to a limit that can be 10^9
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in fds:
            with suppress(OSError):  # the listing's own
                os.close(int(name))
