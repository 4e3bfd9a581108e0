"""A monitor's side of the keeper: reaches it or starts it, tells it of one container, and hears from it.

    client = KeeperClient(link, become)     open() connects; where no keeper listens it binds the address and forks one
    client.join(member, dns_fds)            at once, whether the keeper is ready for it or not: the message waits there
    client.ready_steps()                    until slirp4netns serves, for a container that has a way out
    client.started()                        the container runs: a keeper that this one forked may take its time now
    client.receive()                        when `fileno()` is readable; `is_lost` then says whether to `open` again
    client.close()                          the container is gone

No trio, and nothing that waits: a monitor's loop calls this between other things. Only who binds the address forks, so
of many monitors that lose their keeper at once one starts the next, and the others find it.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from contextlib import suppress

from net.errors import NetError
from net.keeper_protocol import (
    KEEPER_ADDRESS,
    WayOut,
    decode_message,
    decode_way_out,
    member_message,
    peer_of,
    receive_message,
    send_message,
)
from net.router import call_in_thread
from net.router_link import LOG_NAME
from net.slirp import SlirpProcess, close_slirp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from typing import Any

    from net.keeper_birth import Become, Renew
    from net.keeper_protocol import KeeperMember
    from net.router_link import RouterLink

    Sockets = tuple[socket.socket, socket.socket]

_BACKLOG = 4096
#: between the bind and the listen of another process lie microseconds
_RACE_SECONDS = 5.0
#: a keeper that ended sooner is not started again at once, or a fault of it would keep the machine busy
_SHORT_LIFE_SECONDS = 2.0
_LONGEST_DELAY_SECONDS = 10.0


class KeeperClient:
    """One monitor's connection to the keeper of the network namespace behind `link`, whose descriptor stays open.

    `become` makes a forked child a process of its own, as `sandbox.runtime.own_process` does; `renew` gives it another
    interpreter. With `is_starting` a keeper that is forked from here serves only when `started` is called.
    """

    def __init__(
        self, link: RouterLink, become: Become, *, renew: Renew | None = None, is_starting: bool = False
    ) -> None:
        self._link, self._become, self._renew = link, become, renew
        self._is_starting = is_starting
        self._connection: socket.socket | None = None
        self._member: KeeperMember | None = None
        self._dns_fds: tuple[int, ...] = ()
        self._way_out = WayOut()
        self._slirp: SlirpProcess | None = None
        self._ready_fd = -1
        self._hold_fd = -1
        self._opened = 0.0
        self._delay = 0.0
        self._refusals: list[list[Any]] = []

    def fork_into(self, cgroup: str) -> None:
        """Have a keeper that is started from now on go to this cgroup's directory, as `RouterLink.cgroup` says."""
        self._link = self._link._replace(cgroup=cgroup)

    def open(self) -> None:
        """Connect, start a keeper where there is none, and join again what has joined. Raises NetError."""
        self._drop_connection()
        self._opened = time.monotonic()
        self._connection = self._connect()
        self._connection.setblocking(False)
        if self._member is not None:
            self._tell("join", self._dns_fds)

    def join(self, member: KeeperMember, dns_fds: Sequence[int] = ()) -> None:
        """Tell of the container; `dns_fds` are its name server's sockets, which stay open until `close`."""
        self._member, self._dns_fds = member, tuple(dns_fds)
        self._tell("join", self._dns_fds)
        if member.names.egress:
            # what is allowed is refused until the keeper has the rules
            self._hold_keeper_no_more()

    def started(self) -> None:
        """The container runs, or never will; harmless when called twice."""
        self._hold_keeper_no_more()
        self._drop_readiness()

    def update(self, member: KeeperMember) -> None:
        """Tell of it anew."""
        self._member = member
        self._tell("update", ())

    def fileno(self) -> int:
        """To be watched for reading; -1 while nothing is connected. It changes with `open`."""
        return self._connection.fileno() if self._connection is not None else -1

    @property
    def is_lost(self) -> bool:
        """Whether the keeper is gone, and `open` is due when `delay_seconds` are over."""
        return self._connection is None

    @property
    def delay_seconds(self) -> float:
        """How long to wait before `open`: nothing, unless keepers end as soon as they are started."""
        return self._delay

    @property
    def way_out(self) -> WayOut:
        """What was last heard of slirp4netns."""
        return self._way_out

    def receive(self) -> list[list[Any]]:
        """Take in what the keeper has sent; the refusals among it, as rows of `net.egress`."""
        while self._connection is not None:
            try:
                data, fds = receive_message(self._connection)
            except BlockingIOError:
                break
            except OSError:
                data, fds = b"", []
            if not data:
                self._lose()
            else:
                self._take(data, fds)
        refusals, self._refusals = self._refusals, []
        return refusals

    def ready_steps(self, timeout_seconds: float = 15.0) -> Generator[tuple[int, float], bool, None]:
        """Wait until slirp4netns serves, as `net.slirp.ready_steps` does. Raises NetError where it does not come up."""
        deadline = time.monotonic() + timeout_seconds
        while self._way_out.state != "ready":
            left = max(deadline - time.monotonic(), 0.0)
            if self._ready_fd >= 0:
                readable = yield self._ready_fd, left
                self._take_readiness()
            elif self._is_serving():
                return
            elif self._way_out.state == "failed":
                raise NetError(self._way_out.message, cause=self._way_out.cause, mend=self._way_out.mend)
            else:
                readable = yield self.fileno(), left
                self._refusals = self.receive()
                if self.is_lost:
                    self.open()
            if not readable and time.monotonic() >= deadline:
                raise NetError("the containers' way out does not come up", cause=self._words(), mend="sandbox doctor")

    def close(self) -> None:
        """Leave; harmless when called twice. The caller closes the sockets it gave."""
        self.started()
        self._drop_connection()
        self._drop_slirp()

    def _hold_keeper_no_more(self) -> None:
        self._is_starting = False
        if self._hold_fd >= 0:
            os.close(self._hold_fd)
            self._hold_fd = -1

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + _RACE_SECONDS
        while True:
            connection, listener = call_in_thread(self._link.netns_fd, _make_sockets)
            try:
                if _is_connected(connection):
                    listener.close()
                    return connection
                if _is_bound(listener):
                    self._start(listener.fileno())
                    connection.connect(KEEPER_ADDRESS)
                    listener.close()
                    return connection
            except BaseException:
                connection.close()
                listener.close()
                raise
            connection.close()
            listener.close()
            if time.monotonic() > deadline:
                raise NetError("the keeper of the containers' names does not answer", mend="sandbox doctor")
            os.sched_yield()

    def _start(self, listener_fd: int) -> None:
        from net.keeper_birth import Birth, fork_keeper  # the first monitor alone is in need of it

        self._drop_readiness()
        birth = Birth(self._become, self._renew, self._is_starting)
        self._ready_fd = fork_keeper(self._link, listener_fd, self._slirp, birth)
        if self._is_starting and self._hold_fd < 0:
            self._hold_fd = os.dup(self._ready_fd)

    def _tell(self, kind: str, fds: Sequence[int]) -> None:
        if self._connection is None or self._member is None:
            return
        try:
            send_message(self._connection, member_message(kind, self._member), fds)
        except OSError:
            # it has ended, or reads so slowly that it must be told all anew: who watches sees the end of the stream
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)

    def _lose(self) -> None:
        short = time.monotonic() - self._opened < _SHORT_LIFE_SECONDS
        self._delay = min(max(self._delay * 2, 0.1), _LONGEST_DELAY_SECONDS) if short else 0.0
        self._drop_connection()

    def _take(self, data: bytes, fds: list[int]) -> None:
        try:
            document = decode_message(data)
            kind = document["type"]
            if kind == "way_out":
                self._take_way_out(decode_way_out(document), fds)
                fds = []
            elif kind == "refusals":
                self._refusals += document["rows"]
            elif kind == "successor":
                self._succeed(decode_way_out(document), fds)
                fds = []
        except (ValueError, KeyError):
            self._lose()
        finally:
            _close_all(fds)

    def _take_way_out(self, way_out: WayOut, fds: list[int]) -> None:
        self._way_out = way_out
        if len(fds) == 3:
            self._drop_slirp()
            pidfd, exit_fd, log_fd = fds
            self._slirp = SlirpProcess(way_out.pid, pidfd, exit_fd, log_fd, -1, way_out.notes)
        else:
            _close_all(fds)

    def _succeed(self, way_out: WayOut, fds: list[int]) -> None:
        """The keeper is an older one and ends: start ours over its socket."""
        listener_fd, *of_slirp = fds
        try:
            self._take_way_out(way_out, of_slirp)
            self._start(listener_fd)
        finally:
            os.close(listener_fd)
        self.open()

    def _take_readiness(self) -> None:
        told = os.read(self._ready_fd, 65536)
        self._drop_readiness()
        if told == b"1":
            self._way_out = WayOut("ready")
        elif told:
            message, cause, mend = ([*told.decode(errors="replace").split("\0"), "", ""])[:3]
            self._way_out = WayOut("failed", message=message, cause=cause, mend=mend)

    def _is_serving(self) -> bool:
        """Whether slirp4netns listens: it does so when its tap is up, whoever started it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as stream:
            # a full queue is one too
            return stream.connect_ex(self._link.api_socket) in (0, errno.EAGAIN)

    def _words(self) -> str:
        return self._way_out.cause or f"the keeper ends; {self._link.directory}/{LOG_NAME} may say why"

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _drop_readiness(self) -> None:
        if self._ready_fd >= 0:
            os.close(self._ready_fd)
            self._ready_fd = -1

    def _drop_slirp(self) -> None:
        if self._slirp is not None:
            close_slirp(self._slirp)
            self._slirp = None


def _make_sockets() -> Sockets:
    kind = socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC
    return socket.socket(socket.AF_UNIX, kind), socket.socket(socket.AF_UNIX, kind)


def _is_connected(connection: socket.socket) -> bool:
    try:
        connection.connect(KEEPER_ADDRESS)
    except ConnectionRefusedError:
        return False
    if peer_of(connection)[1] != os.geteuid():
        raise NetError("the keeper of the containers' names is another user's")
    return True


def _is_bound(listener: socket.socket) -> bool:
    try:
        listener.bind(KEEPER_ADDRESS)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise
    listener.listen(_BACKLOG)
    return True


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
