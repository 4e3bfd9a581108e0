"""A process that rests: a few pages of memory in place of an interpreter, until something happens.

    interpreter                           stub (rest_stub.c)                      a new interpreter
    `rest`: writes down all it knows ───▶ something is readable, a signal is
                                          pending, the time is over ────────────▶ `wake`: reads it, calls its `go_on`

It stays the same process all the time: descriptors, children, namespaces, limits and cgroup are its own, and nobody
else is needed. What it knows is its objects, pickled to a memfd of its own; sockets and epoll sets are written down as
their descriptors. What cannot be (an open file, steps that are under way) is a reason not to rest. The new interpreter
has the code of the old one (`kept_code.py`).
"""

from __future__ import annotations

import _pickle
import os
import select
import signal
import sys
from _socket import socket
from functools import partial

from sandbox.named_tuple import NamedTuple
from sandbox.own_modules import module_places
from sandbox.runtime import syscalls as sc
from sandbox.runtime.bound_child import fork_bound
from sandbox.runtime.own_process import LOADED_NS, collect_sparingly, take_name
from sandbox.runtime.rest_stub import Rest, can_rest, rest_then_execute
from storage.waits import child_steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any, NoReturn, Protocol

    from sandbox.runtime.kept_code import KeptCode
    from storage.waits import Steps
else:
    Protocol = object

_CODE_NAME = "monitor-code"
#: of the process that makes the file; at most 15 bytes
_MAKER_NAME = "sandbox-code"


class Rests(Protocol):
    """What is written down: all that a process knows, and how it goes on."""

    def go_on(self) -> None:
        """In a new interpreter: to the end of the process."""


class RestPlan(NamedTuple):
    """How a process rests."""

    #: what it is called meanwhile; of that its name in lists of processes are 15 bytes
    title: str
    #: readable when something has happened
    epoll_fd: int
    #: what is to wake it too; they are blocked on return from `wake`
    signals: Collection[int]
    seconds: float | None
    #: of the file of `find_code`
    code_fd: int
    #: the file where word is left of what goes wrong when it is woken
    log_path: str


def rest(known: Rests, plan: RestPlan) -> None:
    """Rest, and go on as `known` in another interpreter. Returns where that cannot be."""
    try:
        written = write_down((module_places(), known))
    except (TypeError, AttributeError, _pickle.PicklingError, OSError):
        return  # something is under way, or descriptors are few
    # what comes from now on waits for the new interpreter
    signal.pthread_sigmask(signal.SIG_BLOCK, plan.signals)
    try:
        _become_stub(plan, written)
    except OSError:
        return  # descriptors are few
    finally:
        os.close(written)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, plan.signals)


def _become_stub(plan: RestPlan, written: int) -> None:
    """Returns where that cannot be. Raises OSError."""
    from sandbox.runtime.kept_code import words_to_go_on

    signal_fd = sc.signalfd(-1, plan.signals, os.O_CLOEXEC)
    try:
        arguments = (str(written), str(signal_fd), plan.title[:15], plan.log_path)
        words = words_to_go_on(plan.code_fd, __name__, wake.__name__, *arguments)
        _hand_on(is_handed_on=True)
        if words:
            rest_then_execute(Rest(plan.title, plan.epoll_fd, signal_fd, plan.seconds), words)
        _hand_on(is_handed_on=False)
    finally:
        os.close(signal_fd)


def go_on_anew(known: Rests, name: str, code_fd: int, log_path: str) -> None:
    """Go on as `known` in another interpreter at once, which has nothing of this one: `name` is what `ps -o comm` shows
    of it, `code_fd` of the file of `find_code_steps`. Returns where that cannot be.
    """
    from sandbox.runtime.kept_code import words_to_go_on

    try:
        written = write_down((module_places(), known))
    except (TypeError, AttributeError, _pickle.PicklingError, OSError):
        return  # descriptors are few
    try:
        signal_fd = sc.signalfd(-1, (), os.O_CLOEXEC)
        words = words_to_go_on(code_fd, __name__, wake.__name__, str(written), str(signal_fd), name, log_path)
        _hand_on(is_handed_on=True)
        if words:
            os.execv(words[0], words)
    except OSError:
        return
    finally:
        _hand_on(is_handed_on=False)
        os.close(written)


def wake(written: str, signal_fd: str, name: str, log_path: str) -> NoReturn:
    """What a new interpreter begins with: `written` is a descriptor of what the old one knew."""
    status = 1
    try:
        take_name(name)
        _hand_on(is_handed_on=False)
        os.close(int(signal_fd))
        known = read_back(int(written))
        collect_sparingly()
        known.go_on()
        status = 0
    except Exception:  # noqa: BLE001  # a process boundary: there is nobody else to be told
        leave_trace(log_path)
    finally:
        os._exit(status)


def leave_trace(log_path: str) -> None:
    """A fault of ours in a process without a terminal: its traceback goes to a file."""
    import traceback

    try:
        with open(log_path, "a") as file:
            traceback.print_exc(file=file)
    except OSError:
        pass


# -- what is written down ----------------------------------------------------------------------------------------------


class _Pickler(_pickle.Pickler):
    def reducer_override(self, value: object) -> Any:  # Any: pickle's own
        if isinstance(value, socket):
            return _socket_again, (type(value), value.fileno(), value.gettimeout())
        if isinstance(value, select.epoll):
            return select.epoll.fromfd, (value.fileno(),)
        return NotImplemented


def _socket_again(kind: type[socket], fd: int, timeout: float | None) -> socket:
    if fd < 0:
        closed = kind()
        closed.close()
        return closed
    opened = kind(fileno=fd)
    opened.settimeout(timeout)
    return opened


def write_down(known: object) -> int:
    """A memfd with the objects. Raises TypeError, AttributeError, PicklingError where one cannot be written down."""
    fd = os.memfd_create("rest", os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as file:
            _Pickler(file, 5).dump(known)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_back(written: int) -> Rests:
    """What was written down, with the modules found where they were; `written` is closed."""
    with open(written, "rb") as file:
        file.seek(0)
        places, known = _pickle.load(file)
    sys.path += [place for place in places if place not in sys.path]
    woken: Rests = known
    return woken


def _hand_on(*, is_handed_on: bool) -> None:
    """Have the program that is executed next have all descriptors, or none but the first three."""
    for entry in os.listdir("/proc/self/fd"):
        if int(entry) > 2:
            try:
                os.set_inheritable(int(entry), is_handed_on)
            except OSError:
                continue  # the descriptor of the listing itself


# -- the code ----------------------------------------------------------------------------------------------------------


def find_code_steps(cache: str) -> Steps[int]:
    """A descriptor of this program's code in a file below `cache`, which is made where it is not there; -1 where none
    is to be had, for another version was installed, or there is no room.
    """
    from sandbox.runtime.kept_code import KeptCode, SourcesChangedError

    if not can_rest():
        return -1
    code = KeptCode(f"{cache}/{_CODE_NAME}", LOADED_NS)
    try:
        fd = code.open()
        if fd < 0:
            # in a child, for that takes its time
            yield from child_steps(fork_bound(partial(_make, code)))
            fd = code.open()
    except (SourcesChangedError, OSError):
        return -1
    return fd


def _make(code: KeptCode) -> None:
    take_name(_MAKER_NAME)
    code.make()
