"""What a command does that writes a stream, and that nobody reads any more."""

from __future__ import annotations

import select
from contextlib import contextmanager

from sandbox.errors import NotFoundError, SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def written_to(output_fd: int) -> Iterator[None]:
    """A stream is written to `output_fd`: where its reader goes, that ends the command as SIGPIPE ends others.

    `head` that has seen enough is no failure to tell of. Raises BrokenPipeError in place of the error that it made.
    """
    try:
        yield
    except NotFoundError:
        # nothing was written
        raise
    except SandboxError as error:
        if _has_lost_reader(output_fd):
            raise BrokenPipeError from error
        raise


def _has_lost_reader(output_fd: int) -> bool:
    poller = select.poll()
    poller.register(output_fd, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _fd, events in poller.poll(0))
