"""Descriptors for programs that serve many clients, which the processes they start are not to inherit."""

from __future__ import annotations

import resource
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: more than any server of ours has clients
_WANTED = 65536


@contextmanager
def more_descriptors() -> Iterator[tuple[int, int]]:
    """Raise this process's soft limit of open files for the block; (soft, hard) as they were, for its children."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else min(_WANTED, hard)
    raises = soft != resource.RLIM_INFINITY and soft < wanted
    if raises:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        yield soft, hard
    finally:
        if raises:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
