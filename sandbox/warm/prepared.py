"""The prepared process: one thread, its imports done, no database open; it forks a worker for each call.

The owner holds the other end of its `door`, a SOCK_SEQPACKET pair. A call is one datagram there: a byte that says
whether it lasts, and two sockets. One leads from the owner to the worker, and this process has it only to close it
when the worker has ended, whoever else may have inherited it. The other, `fate`, leads here:

    BEGUN              prepared -> owner   a worker is being forked: from here on the call may have had an effect
    FAILED + errno     prepared -> owner   there could be no worker
    ENDED + status     prepared -> owner   the worker has ended: its exit status, or below 0 its signal
    the owner's end    owner -> prepared   closed or shut down: the call is cancelled

So a cancelled worker is ended by SIGINT, as a command by ctrl-C, and after a grace by SIGKILL. When the owner is gone,
by the end of the door or of its process, every worker is ended so, and then this process ends. When it is killed itself
the kernel kills its workers.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from importlib import import_module

from sandbox.interrupts import keep_exception
from sandbox.runtime.reactor import READ, Reactor
from sandbox.warm.registry import INTERRUPTED_STATUS
from sandbox.warm.worker import run_worker
from storage.inherited_state import settle_inherited_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.warm.registry import Operation

BEGUN = b"b"
FATE = struct.Struct(">ci")
FAILED = b"f"
ENDED = b"e"
LASTS = b"l"
SHORT = b"s"

PROCESS_NAME = "sandbox-warm"
_CANCEL = (signal.SIGINT,)
#: of the calls that end by themselves so many are on at once; the others wait in order
SHORT_MAX = 32
#: what a cancelled worker has for putting back what it began
GRACE_SECONDS = 10.0
#: descriptors for each call; what is left is for everything else
_DESCRIPTORS_EACH = 3
_DESCRIPTORS_SPARE = 32
#: objects made and not freed before a worker's collector looks at them
_COLLECTED_AT = 50_000
#: of the traceback that is left on the door
_LAST_WORDS_BYTES = 4096


class _Call:
    """A call from its datagram to the end of its worker."""

    def __init__(self, kind: bytes, talk: socket.socket, fate: socket.socket) -> None:
        self.lasts = kind == LASTS
        self.talk = talk
        self.fate = fate
        self.pid = 0
        self.pidfd = -1
        self.is_cancelled = False

    def tell(self, report: bytes) -> None:
        with suppress(OSError):
            # the owner may be gone, or not wait for it
            self.fate.send(report, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def close(self) -> None:
        self.talk.close()
        self.fate.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)


class PreparedProcess:
    """The calls that wait and those that are on."""

    def __init__(self, door: socket.socket, owner: int, operations: Mapping[str, Operation]) -> None:
        self._door = door
        #: a pidfd
        self._owner = owner
        self._operations = operations
        self._reactor = Reactor()
        self._waiting: deque[_Call] = deque()
        self._running: set[_Call] = set()
        self._open_max = _calls_max()
        self._ends = False

    def run(self) -> None:
        """Serve until the owner is gone and the last worker has ended."""
        self._reactor.watch(self._owner, READ, lambda _events: self._end())
        self._reactor.watch(self._door.fileno(), READ, self._answer_door)
        self._reactor.run()

    def _answer_door(self, events: int) -> None:
        if not events & READ:
            # the end, while no more calls are taken
            self._end()
            return
        space = socket.CMSG_SPACE(2 * 4)
        kind, ancillary, _flags, _address = self._door.recvmsg(1, space, socket.MSG_CMSG_CLOEXEC)
        sockets = [
            socket.socket(fileno=number)
            for _level, _kind, data in ancillary
            for number in memoryview(data[: len(data) // 4 * 4]).cast("i")
        ]
        if not kind:
            self._end()
        elif len(sockets) == 2:
            call = _Call(kind, *sockets)
            self._waiting.append(call)
            self._reactor.watch(call.fate.fileno(), READ, lambda _events: self._answer_fate(call))
            self._begin_next()
        else:
            # too many files were open: the owner sees the end of both
            for each in sockets:
                each.close()
        self._watch_door()

    def _watch_door(self) -> None:
        """Take no more calls than there are descriptors for."""
        is_full = len(self._waiting) + len(self._running) >= self._open_max
        if not self._ends:
            self._reactor.watch(self._door.fileno(), 0 if is_full else READ, self._answer_door)

    def _begin_next(self) -> None:
        short = sum(not call.lasts for call in self._running)
        for call in tuple(self._waiting):
            if call.lasts or short < SHORT_MAX:
                short += not call.lasts
                self._waiting.remove(call)
                self._begin(call)

    def _begin(self, call: _Call) -> None:
        call.tell(BEGUN)
        parent = os.getpid()
        # a signal that comes to the child before os.fork has returned there is forgotten by Python: its cancel waits
        signal.pthread_sigmask(signal.SIG_BLOCK, _CANCEL)
        try:
            pid = os.fork()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _CANCEL)
            if pid == 0:
                self._leave_to_worker(call)
                run_worker(call.talk, self._operations, parent)
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _CANCEL)
            call.tell(FATE.pack(FAILED, error.errno or 0))
            self._forget(call)
            return
        finally:
            if os.getpid() != parent:
                # a cancel came before the worker's first step
                os._exit(INTERRUPTED_STATUS)
        call.pid = pid
        # it is not reaped before we do: the number is still its own
        call.pidfd = os.pidfd_open(pid)
        self._running.add(call)
        self._reactor.watch(call.pidfd, READ, lambda _events: self._reap(call))

    def _leave_to_worker(self, own: _Call) -> None:
        """In the child: close everything but the socket that leads to its owner."""
        self._reactor.close()
        self._door.close()
        os.close(self._owner)
        for call in (*self._waiting, *self._running):
            call.close()
        own.fate.close()

    def _reap(self, call: _Call) -> None:
        pid, status = os.waitpid(call.pid, os.WNOHANG)
        if not pid:
            return  # meant was one that had this number before, in the same round of events
        self._running.remove(call)
        call.tell(FATE.pack(ENDED, os.waitstatus_to_exitcode(status)))
        with suppress(OSError):
            # the end is seen by the owner now, also where something that the worker left behind holds the other copy
            call.talk.shutdown(socket.SHUT_RDWR)
        self._forget(call)
        self._begin_next()
        self._watch_door()
        self._stop_if_done()

    def _answer_fate(self, call: _Call) -> None:
        try:
            call.fate.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
        except BlockingIOError:
            return  # see _reap
        except OSError:
            pass  # it was closed with a report in it
        self._cancel(call)

    def _cancel(self, call: _Call) -> None:
        self._reactor.forget(call.fate.fileno())
        if call not in self._running:
            self._waiting.remove(call)
            self._forget(call)
            self._watch_door()
        elif not call.is_cancelled:
            call.is_cancelled = True
            os.kill(call.pid, signal.SIGINT)
            self._reactor.after(GRACE_SECONDS, lambda: self._kill(call))

    def _kill(self, call: _Call) -> None:
        if call in self._running:
            os.kill(call.pid, signal.SIGKILL)

    def _forget(self, call: _Call) -> None:
        self._reactor.forget(call.fate.fileno())
        if call.pidfd >= 0:
            self._reactor.forget(call.pidfd)
        call.close()

    def _end(self) -> None:
        self._ends = True
        self._reactor.forget(self._owner)
        self._reactor.forget(self._door.fileno())
        for call in self._waiting:
            call.tell(FATE.pack(ENDED, INTERRUPTED_STATUS))
            self._forget(call)
        self._waiting.clear()
        for call in self._running:
            self._cancel(call)
        self._stop_if_done()

    def _stop_if_done(self) -> None:
        if self._ends and not self._running:
            self._reactor.stop()


def _calls_max() -> int:
    import resource

    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, (min(soft, 1 << 20) - _DESCRIPTORS_SPARE) // _DESCRIPTORS_EACH)


def main(door_number: int, registry: str) -> None:
    """The program: `door_number` is inherited, `registry` the module whose OPERATIONS may be asked for.

    It is started in a session of its own, so that no terminal's signals reach it.
    """
    settle_inherited_state()
    door = socket.socket(fileno=door_number)
    door.set_inheritable(False)
    owner = os.pidfd_open(os.getppid())
    if os.getppid() != _owner_of(door):
        return  # it was gone before we came
    with open("/proc/self/comm", "w") as file:
        file.write(PROCESS_NAME)
    operations = import_operations(registry)
    _settle_for_workers()
    # up to here the owner's standard error has what goes wrong
    os.dup2(1, 2)
    try:
        PreparedProcess(door, owner, operations).run()
    except Exception:
        from traceback import format_exc  # for a fault only

        door.send(format_exc().encode()[-_LAST_WORDS_BYTES:], socket.MSG_DONTWAIT)
        raise


def _settle_for_workers() -> None:
    """What each worker would have to do first: what a process writes to after a fork must be copied."""
    # nobody sends it to this process, which has a session of its own; this process sends it to workers
    keep_exception(KeyboardInterrupt, signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # a request brings its own, and its zone
    os.environ.clear()
    time.tzset()


def import_operations(registry: str) -> Mapping[str, Operation]:
    """The table of the module `registry`, with what its operations need imported."""
    # imports make thousands of objects that live on; what is left of a worker's calls goes with it
    gc.set_threshold(_COLLECTED_AT)
    table = import_module(registry)
    for operation in table.OPERATIONS.values():
        import_module(operation.module)
    for name in table.PRELOADED:
        import_module(name)
    # what was imported stays: the collector of a worker need not look at it, which would write to each of its pages
    gc.collect()
    gc.freeze()
    operations: Mapping[str, Operation] = table.OPERATIONS
    return operations


def _owner_of(door: socket.socket) -> int:
    """The process that made the door."""
    form = struct.Struct("3i")
    pid: int = form.unpack(door.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, form.size))[0]
    return pid
