"""A command run as root of the user namespace whose ids the store's files belong to: `sandbox unshare`."""

from __future__ import annotations

import os
import signal

from sandbox.errors import CommandNotFoundError, NotExecutableError
from sandbox.runtime.user_namespace import enter_user_namespace, make_peers, map_forked_child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from sandbox.runtime.user_namespace import PeerPair

#: a shell's statuses
_NOT_EXECUTABLE, _NOT_FOUND, _KILLED_BY = 126, 127, 128
#: by which the child says that it is not there as a command
_NO_NAMESPACE = 125


def run_in_namespace(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the command with the caller's streams, directory and terminal, and wait for it: its status, 128 and the
    signal's number where one ended it. Raises HostError, CommandNotFoundError, NotExecutableError.
    """
    peers = make_peers()
    pid = os.fork()
    if pid == 0:
        _become(peers, arguments, environment)
    # the terminal sends these to both, and they are the command's
    kept = [(number, signal.signal(number, signal.SIG_IGN)) for number in (signal.SIGINT, signal.SIGQUIT)]
    try:
        try:
            map_forked_child(peers, pid)
        finally:
            status = os.waitpid(pid, 0)[1]
    finally:
        for number, handler in kept:
            signal.signal(number, handler)
    if os.WIFSIGNALED(status):
        return _KILLED_BY + os.WTERMSIG(status)
    code = os.WEXITSTATUS(status)
    if code in (_NOT_FOUND, _NOT_EXECUTABLE):
        _refuse(arguments[0], environment)
    return code


def _become(peers: PeerPair, arguments: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    status = _NO_NAMESPACE
    try:
        enter_user_namespace(peers)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execvpe(arguments[0], list(arguments), dict(environment))
    except (FileNotFoundError, NotADirectoryError):
        status = _NOT_FOUND
    except OSError:
        status = _NOT_EXECUTABLE
    finally:
        os._exit(status)


def _refuse(name: str, environment: Mapping[str, str]) -> None:
    """Raise where the command itself could not be started; it may also have ended with such a status."""
    places = [""] if "/" in name else os.get_exec_path(dict(environment))
    found = [path for place in places if os.path.isfile(path := os.path.join(place, name))]
    if not found:
        raise CommandNotFoundError(
            f"{name} is not there", cause="no such program on this host", mend="sandbox unshare sh"
        )
    if not any(os.access(path, os.X_OK) for path in found):
        raise NotExecutableError(f"{name} cannot be executed", mend=f"ls -l {found[0]}")
