"""The forwarders of services on this machine: found by a socket of the user's own, started where there is none.

    RUNTIME/services/<data root><service id>    where it is spoken to
    RUNTIME/services/<data root>lock            held by who starts or ends one, or changes its ports
    RUNTIME/services/<data root>births          held by who starts one before its service is there, and by who ends
                                                those whose services are not; taken before the other

A forwarder that was killed is started again by whoever publishes next; its ports are not listened on meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
from contextlib import contextmanager, suppress

from net.service_protocol import ServiceDoor
from sandbox.errors import HostError, NotFoundError
from sandbox.live_processes import process_start
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from sandbox.paths import Paths

#: who does not answer in this time is no help to anybody
_PATIENCE_SECONDS = 10.0
_END_SECONDS = 10.0
_COMM = "sandbox-service"


class ForwarderProcess(NamedTuple):
    """A forwarder as its process shows it."""

    pid: int
    #: as records name a process
    start: int
    service_id: str
    service_name: str


def open_door(paths: Paths, service_id: str) -> ServiceDoor | None:
    """A connection to the forwarder of a service, which is the caller's to close; None where there is none.

    Raises HostError.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(_PATIENCE_SECONDS)
        with _directory(paths) as place:
            connection.connect(f"{place}/{_name(paths, service_id)}")
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except OSError as error:
        connection.close()
        raise HostError("cannot reach the forwarder of a service", cause=error.strerror or str(error)) from error
    return ServiceDoor(connection)


def start_forwarder(paths: Paths, service_id: str, service_name: str) -> ServiceDoor:
    """Start one, without a port and a member, and connect to it. `alone` is to be held. Raises HostError."""
    from net.service_forwarder import listen_for_control
    from sandbox.network.forwarder_birth import start_forwarder_process

    try:
        with _directory(paths) as place:
            control = listen_for_control(f"{place}/{_name(paths, service_id)}")
    except OSError as error:
        raise HostError("cannot start the forwarder of a service", cause=error.strerror or str(error)) from error
    with control:
        label = f"{paths.runtime_prefix} {service_id} {service_name}"
        start_forwarder_process(paths, control.fileno(), service_id, label)
    door = open_door(paths, service_id)
    if door is None:
        raise HostError(f"the forwarder of service {service_name} ended as soon as it was started")
    return door


def end_lost_forwarder(paths: Paths, service_id: str) -> None:
    """End one that nobody reaches, whose socket was swept away with the runtime directory: it has the ports still."""
    for lost in tuple(find_forwarders(paths)):
        if lost.service_id == service_id:
            kill_forwarder(lost)


def end_forwarder(paths: Paths, service_id: str) -> None:
    """End it, and take its socket away; no error where there is none. `alone` is to be held."""
    door = open_door(paths, service_id)
    if door is not None:
        with door.connection, suppress(OSError):
            pidfd = os.pidfd_open(door.info().pid)
            try:
                door.end()
                _wait_ended(pidfd)
            finally:
                os.close(pidfd)
    with _directory(paths) as place, suppress(FileNotFoundError):
        os.unlink(f"{place}/{_name(paths, service_id)}")


def find_forwarders(paths: Paths) -> Iterator[ForwarderProcess]:
    """Those of this data root that run, whether they are reached or not."""
    for name in os.listdir("/proc"):
        if name.isdecimal() and (found := forwarder_of(int(name))) and found[0] == paths.runtime_prefix:
            start = process_start(int(name))
            if start:
                yield ForwarderProcess(int(name), start, found[1], found[2])


def forwarder_of(pid: int) -> tuple[str, str, str] | None:
    """Of a process that is a service's forwarder: which data root's, the service's id and name."""
    try:
        if os.stat(f"/proc/{pid}").st_uid != os.getuid():
            return None
        with open(f"/proc/{pid}/comm") as file:
            if file.read().strip() != _COMM:
                return None
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            # what comes behind it is how it rests
            words = file.read().partition(b"\0")[0].strip(b" ").decode(errors="replace").split(" ")
    except OSError:
        return None
    return (words[1], words[2], words[3]) if len(words) == 4 and words[0] == _COMM else None


def kill_forwarder(process: ForwarderProcess) -> None:
    """End one that nobody reaches; its ports are free then. No error where it has ended."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        # asked with the descriptor in hand: the number may have been given anew
        if process_start(process.pid) == process.start:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            _wait_ended(pidfd)
    finally:
        os.close(pidfd)


def _wait_ended(pidfd: int) -> None:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.poll(_END_SECONDS * 1000)


def alone(paths: Paths) -> AbstractContextManager[None]:
    """Alone among those who start and end forwarders, and change their ports. Raises HostError."""
    return _locked(paths, "lock", fcntl.LOCK_EX)


def giving_birth(paths: Paths) -> AbstractContextManager[None]:
    """Meanwhile nobody takes a forwarder for one whose service is gone: it may be about to be. Raises HostError."""
    return _locked(paths, "births", fcntl.LOCK_SH)


def without_births(paths: Paths) -> AbstractContextManager[None]:
    """Meanwhile a forwarder of no service is nobody's. Raises HostError."""
    return _locked(paths, "births", fcntl.LOCK_EX)


@contextmanager
def _locked(paths: Paths, name: str, how: int) -> Iterator[None]:
    try:
        with _directory(paths) as place:
            fd = os.open(f"{place}/{paths.runtime_prefix}{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HostError(
            "cannot look for the forwarders of services", cause=f"{error.strerror}: {error.filename}"
        ) from error
    try:
        fcntl.flock(fd, how)
        yield
    finally:
        # by name: a child that was forked meanwhile holds a copy of the descriptor
        fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


@contextmanager
def _directory(paths: Paths) -> Iterator[str]:
    """A short path of the directory, for a socket's has 107 bytes at most, unix(7)."""
    directory = f"{paths.runtime_root}/services"
    os.makedirs(directory, mode=0o700, exist_ok=True)
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def _name(paths: Paths, service_id: str) -> str:
    if not (service_id.isascii() and service_id.isalnum()):
        raise NotFoundError(f"{service_id!r} is not the id of a service")
    return f"{paths.runtime_prefix}{service_id}"
