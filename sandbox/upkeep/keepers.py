"""The keeper of the bridge networks in a check and a reset: one that does not answer, one that outlives containers."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from net.router_link import LOG_NAME, api_socket, dead_sockets
from sandbox.errors import HostError
from sandbox.live_processes import process_start
from sandbox.network.keeper import ask_keeper, find_keepers
from sandbox.upkeep.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.network.keeper import KeeperProcess
    from sandbox.paths import Paths
    from sandbox.upkeep.check_context import CheckContext

#: it stays for two seconds after the last container
_LINGER_SECONDS = 4.0
_KILL_SECONDS = 5.0


def check_keeper(context: CheckContext) -> None:
    """Report a keeper that does not answer or does not end, and what a killed one left."""
    paths = context.paths
    keepers = tuple(find_keepers(paths))
    try:
        info = ask_keeper(paths)
    except HostError as error:
        _report(context, keepers, f"{error.message}: {error.cause}", "keeper")
    else:
        if info is None:
            left = [keeper for keeper in keepers if not _ends(keeper, _LINGER_SECONDS)]
            if left:
                _report(context, left, "the keeper of the bridge networks runs, and no container is on one", "keeper")
    for path in dead_sockets(paths.runtime_root):
        problem = "a socket of slirp4netns, which was killed with all its containers"
        context.report(Finding("runtime", os.path.basename(path), problem, leftover=True), partial(_unlink, path))
    log = f"{paths.runtime_root}/{LOG_NAME}"
    if os.path.exists(log):
        problem = "a keeper of the bridge networks ended by a fault of this program, which this file tells"
        context.report(Finding("runtime", log, problem, leftover=True), partial(_unlink, log))


def end_keepers(paths: Paths) -> None:
    """End those that are there, after all containers have ended, and remove what they leave."""
    for keeper in tuple(find_keepers(paths)):
        _kill(keeper)
        _unlink(api_socket(paths.runtime_root, keeper.router))
    for path in (*dead_sockets(paths.runtime_root), f"{paths.runtime_root}/{LOG_NAME}"):
        _unlink(path)


def _report(context: CheckContext, keepers: Iterable[KeeperProcess], problem: str, name: str) -> None:
    found = tuple(keepers)
    names = " ".join(str(keeper.pid) for keeper in found) or name

    def end() -> None:
        # monitors that are there start another one
        for keeper in found:
            _kill(keeper)

    context.report(Finding("process", names, problem), end if found else None)


def _kill(keeper: KeeperProcess) -> None:
    _ends(keeper, _KILL_SECONDS, signal.SIGKILL)


def _ends(keeper: KeeperProcess, seconds: float, number: int = 0) -> bool:
    """Whether it ends in that time, of itself or by a signal."""
    try:
        pidfd = os.pidfd_open(keeper.pid)
    except ProcessLookupError:
        return True
    try:
        # asked with the descriptor in hand: the number may have been given anew
        if process_start(keeper.pid) != keeper.start:
            return True
        if number:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, number)
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        return bool(poller.poll(seconds * 1000))
    finally:
        os.close(pidfd)


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
