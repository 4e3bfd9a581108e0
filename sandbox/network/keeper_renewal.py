"""A keeper in an interpreter of its own.

It is forked from a monitor, which a command or a worker forked: with all that those had loaded it would have half as
much memory again, for as long as containers run. The process stays the same, and so does its code.
"""

from __future__ import annotations

from net.keeper_birth import PROCESS_NAME, forget_caller, serve
from net.router_link import LOG_NAME
from sandbox.runtime.rests import find_code_steps, go_on_anew
from storage.waits import carry_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from net.keeper_birth import KeeperStart


class _Renewed:
    """What a keeper needs to begin, and what is shown of it."""

    def __init__(self, start: KeeperStart, title: str) -> None:
        self._start, self._title = start, title

    def go_on(self) -> None:
        forget_caller(self._title)
        serve(self._start)


def renew_keeper(cache: str, start: KeeperStart, title: str) -> None:
    """Be the keeper in a new interpreter, with the code that is kept below `cache`. Returns where none is to be had."""
    code_fd = carry_out(find_code_steps(cache))
    if code_fd >= 0:
        go_on_anew(_Renewed(start, title), PROCESS_NAME, code_fd, f"{start.link.directory}/{LOG_NAME}")
