"""A monitor with a plain child process in place of a container: streams, exit codes, restarts, clients that misbehave.

The monitor runs in a forked process, as it does for real, and the test is its client.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sandbox.container.model.claims import own_claim, to_start
from sandbox.container.model.store import insert_container, load_container, update_state
from sandbox.container.monitor.journal import DatabaseJournal
from sandbox.container.monitor.monitor import Monitor
from sandbox.container.monitor.pause import NoFreezer
from sandbox.container.monitor.plan import Attachment, Started
from sandbox.container.view.logs import LogSelection, read_log
from sandbox.protocol.channel import Channel
from sandbox.protocol.frames import EXIT, MESSAGE, STDERR, STDIN, STDIN_END, STDOUT, encode
from sandbox.protocol.local_sockets import connect_to, listen_at
from sandbox.runtime.reactor import Reactor
from sandbox.state import connect_state
from sandbox.values import LogConfig, RestartPolicy
from tests.sandbox.container.conftest import a_container

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sandbox.container.model.record import Container, ContainerState
    from sandbox.container.model.transitions import MountLost
    from sandbox.container.monitor.roles import Freezer, Note
    from sandbox.container.monitor.stdio import ContainerEnds
    from sandbox.paths import Paths
    from sandbox.runtime.enter import BegunExec
    from sandbox.values import PublishedPort
    from storage.waits import Steps


class PlainEngine:
    """Runs a shell command without any isolation."""

    def __init__(self, script: str) -> None:
        self._script = script
        self._gate = -1
        self._started: Started | None = None

    def start_steps(self, ends: ContainerEnds | None) -> Steps[None]:
        yield from ()
        if ends is None:
            pid, master = os.forkpty()
            gate_read = gate_write = -1
        else:
            gate_read, gate_write = os.pipe()
            pid, master = os.fork(), -1
        if pid == 0:
            if ends is not None:
                os.close(gate_write)
                os.read(gate_read, 1)
                for number, fd in enumerate(ends):
                    os.dup2(fd, number)
            os.execv("/bin/sh", ["sh", "-c", self._script])
        if gate_read >= 0:
            os.close(gate_read)
        self._gate = gate_write
        self._started = Started(pid, os.pidfd_open(pid), master)

    def release_steps(self) -> Steps[Started]:
        yield from ()
        if self._gate >= 0:
            os.close(self._gate)
        assert self._started is not None
        return self._started

    def abandon(self) -> None:
        pass

    def freezer(self, process: Started) -> Freezer:
        return NoFreezer("the test")

    def after_exit(self) -> bool:
        return False

    @property
    def cgroup(self) -> str:
        return ""

    @property
    def network_pidfd(self) -> int:
        return -1

    def network_event(self, _refused: Callable[[str], None]) -> bool:
        raise AssertionError("it has no network")

    def change_networks_steps(self) -> Steps[None]:
        raise AssertionError("it has no network")

    def set_healthy(self, is_healthy: bool) -> None:
        """It has no network."""

    def withdraw(self) -> None:
        raise AssertionError("it has no network")

    def revive_network(self, ports: Sequence[PublishedPort]) -> Steps[None]:
        raise AssertionError("it has no network")

    def publish_steps(
        self, ports: Sequence[PublishedPort], present: Sequence[PublishedPort]
    ) -> Steps[tuple[PublishedPort, ...]]:
        raise AssertionError("it has no network")

    def unpublish_steps(self, ports: Sequence[PublishedPort], kept: Sequence[PublishedPort]) -> Steps[None]:
        raise AssertionError("it has no network")

    @property
    def mount_pidfds(self) -> tuple[int, ...]:
        return ()

    def begin_probe(self, pid: int, words: tuple[str, ...], output_fd: int) -> BegunExec:
        raise AssertionError("it has no health check")

    def lost_mount(self, pidfd: int) -> MountLost:
        raise AssertionError(pidfd)

    def break_mounts(self) -> None:
        pass

    def close_steps(self) -> Steps[None]:
        yield from ()


class NetworkEngine(PlainEngine):
    """Its network ends, and its ports are published, when the test says so by a pipe; `told` hears what is asked."""

    def __init__(self, script: str, network_fd: int, publishing_fd: int, told: int) -> None:
        super().__init__(script)
        self._network_fd = network_fd
        self._publishing_fd = publishing_fd
        self._told = told

    @property
    def network_pidfd(self) -> int:
        return self._network_fd

    def network_event(self, _refused: Callable[[str], None]) -> bool:
        return True

    def revive_network(self, ports: Sequence[PublishedPort]) -> Steps[None]:
        self._network_fd = -1
        os.write(self._told, b"r")
        yield self._publishing_fd, None
        os.write(self._told, b"f")


class FullDisk(DatabaseJournal):
    """Refuses the first writes after the start, as SQLite does where there is no room."""

    def __init__(self, paths: Paths, container_id: str) -> None:
        super().__init__(paths, container_id)
        self._writes = 0

    def update(self, *notes: Note) -> ContainerState | None:
        self._refuse()
        return super().update(*notes)

    def end(self, *notes: Note) -> ContainerState | None:
        self._refuse()
        return super().end(*notes)

    def remove_steps(self, *notes: Note) -> Steps[None]:
        self._refuse()
        yield from super().remove_steps(*notes)

    def _refuse(self) -> None:
        self._writes += 1
        if self._writes in (2, 3):
            raise sqlite3.OperationalError("database or disk is full")


@contextmanager
def monitored(
    paths: Paths,
    container: Container,
    script: str,
    attachment: Attachment,
    journal: Callable[[Paths, str], DatabaseJournal] = DatabaseJournal,
    engine: Callable[[str], PlainEngine] = PlainEngine,
) -> Iterator[tuple[Channel, Container]]:
    """A running monitor; gives the starter's channel and the record. The monitor must end by itself."""
    connection = connect_state(paths)
    kept = insert_container(connection, container)
    connection.close()
    data, runtime = paths.container_data(kept.id), paths.container_runtime(kept.id)
    os.makedirs(data)
    os.makedirs(runtime)
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            claim = connect_state(paths)
            update_state(claim, kept.id, to_start(own_claim()))
            claim.close()
            reactor = Reactor()
            monitor = Monitor(kept, engine(script), journal(paths, kept.id), reactor, data)
            monitor.start_to_gate()
            monitor.go()
            monitor.serve(listen_at(runtime, "monitor.sock"), Channel(theirs), attachment)
            os._exit(0)
        finally:
            os._exit(70)
    theirs.close()
    channel = Channel(ours)
    message = channel.receive_message()
    assert message == {"type": "started"}
    yield channel, kept
    channel.close()
    _pid, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def collect(channel: Channel) -> tuple[bytes, bytes, int | None]:
    """Output apart, and the exit code, until the monitor hangs up."""
    output = {STDOUT: b"", STDERR: b""}
    code = None
    while (frame := channel.receive()) is not None:
        if frame.kind == EXIT:
            code = frame.exit_code
        elif frame.kind != MESSAGE:
            output[frame.kind] += frame.payload
    return output[STDOUT], output[STDERR], code


def _state(paths: Paths, container: Container) -> tuple[str, int, int]:
    connection = connect_state(paths)
    found = load_container(connection, container.id)
    connection.close()
    assert found is not None
    return found.state.status, found.state.exit_code, found.state.restart_count


def _connect(paths: Paths, container: Container) -> Channel:
    return Channel(connect_to(paths.container_runtime(container.id), "monitor.sock"))


ALL = Attachment(stdin=False, stdout=True, stderr=True)


def test_the_starter_gets_all_output_apart_and_the_exit_code(paths: Paths) -> None:
    with monitored(paths, a_container(), "echo out; echo err >&2; exit 7", ALL) as (channel, kept):
        assert collect(channel) == (b"out\n", b"err\n", 7)
        assert _state(paths, kept) == ("exited", 7, 0)
    log = read_log(paths.container_data(kept.id), LogSelection())
    assert {(entry.stream, entry.text) for entry in log} == {("stdout", "out\n"), ("stderr", "err\n")}


def test_a_process_killed_by_a_signal_is_128_and_its_number(paths: Paths) -> None:
    with monitored(paths, a_container(), "kill -TERM $$", ALL) as (channel, _kept):
        assert collect(channel)[2] == 128 + signal.SIGTERM


def test_much_output_to_a_reader_that_comes_late_is_not_lost(paths: Paths) -> None:
    script = "yes 0123456789abcdef | head -c 8000000"
    config = a_container().config._replace(log=LogConfig("none"))
    with monitored(paths, a_container()._replace(config=config), script, ALL) as (channel, _kept):
        # the buffers on the way hold less than this: the container has been made to wait
        while not channel.connection.recv(1, socket.MSG_PEEK):
            pass
        output, _errors, code = collect(channel)
    assert (len(output), code) == (8000000, 0)


def test_input_reaches_the_container_and_its_end_too(paths: Paths) -> None:
    plain = a_container()
    container = plain._replace(config=plain.config._replace(open_stdin=True, stdin_once=True))
    attachment = Attachment(stdin=True, stdout=True, stderr=True)
    with monitored(paths, container, "cat; echo done", attachment) as (channel, _kept):
        channel.send(encode(STDIN, b"x" * 300000))
        channel.send(encode(STDIN, b"tail\n"))
        channel.send(encode(STDIN_END))
        output, _errors, code = collect(channel)
    assert output == b"x" * 300000 + b"tail\ndone\n"
    assert code == 0


def test_input_ends_when_its_giver_dies(paths: Paths) -> None:
    plain = a_container()
    container = plain._replace(config=plain.config._replace(open_stdin=True, stdin_once=True))
    with monitored(paths, container, "cat >/dev/null; exit 3", Attachment(stdin=True)) as (channel, kept):
        waiter = _connect(paths, kept)
        waiter.send_message("wait")
        assert waiter.receive_message() == {"type": "ok"}
        channel.close()
        assert collect(waiter)[2] == 3


def test_attach_twice_wait_and_follow(paths: Paths) -> None:
    plain = a_container()
    container = plain._replace(config=plain.config._replace(open_stdin=True))
    with monitored(paths, container, "read line; echo got $line", Attachment()) as (_channel, kept):
        first, second, waiter = (_connect(paths, kept) for _ in range(3))
        first.send_message("attach", stdin=True, stdout=True, stderr=True)
        second.send_message("attach", stdout=True)
        waiter.send_message("wait")
        for client in (first, second, waiter):
            assert client.receive_message() == {"type": "ok"}
        first.send(encode(STDIN, b"hello\n"))
        assert collect(first) == (b"got hello\n", b"", 0)
        assert collect(second) == (b"got hello\n", b"", 0)
        assert collect(waiter) == (b"", b"", 0)


def test_a_terminal_carries_both_ways_and_knows_its_size(paths: Paths) -> None:
    plain = a_container()
    container = plain._replace(config=plain.config._replace(terminal=True, open_stdin=True))
    attachment = Attachment(stdin=True, stdout=True)
    with monitored(paths, container, "stty -echo; read line; stty size; exit 5", attachment) as (channel, _kept):
        from sandbox.protocol.frames import encode_resize

        channel.send(encode_resize(33, 77))
        channel.send(encode(STDIN, b"go\n"))
        output, _errors, code = collect(channel)
    assert b"33 77\r\n" in output
    assert code == 5


def test_stop_signals_then_kills(paths: Paths) -> None:
    with monitored(paths, a_container(), "trap '' TERM; echo up; while :; do sleep 0.05; done", ALL) as (channel, kept):
        frame = channel.receive()
        while frame is not None and frame.kind != STDOUT:
            frame = channel.receive()
        stopper = _connect(paths, kept)
        stopper.send_message("stop", signal=int(signal.SIGTERM), timeout=0.05)
        assert collect(stopper)[2] == 137
        assert _state(paths, kept)[:2] == ("exited", 137)


def test_restarts_on_failure_are_counted_and_end(paths: Paths) -> None:
    plain = a_container()
    container = plain._replace(config=plain.config._replace(restart=RestartPolicy("on-failure", 2)))
    with monitored(paths, container, "echo run; exit 4", Attachment()) as (_channel, kept):
        while True:
            try:
                client = _connect(paths, kept)
            except OSError:
                break
            client.send_message("wait")
            collect(client)
    # it stops listening before it writes the end down
    assert _state(paths, kept) == ("exited", 4, 2)
    assert [entry.text for entry in read_log(paths.container_data(kept.id), LogSelection())] == ["run\n"] * 3


def test_stop_between_restarts_ends_the_waiting(paths: Paths) -> None:
    plain = a_container()
    container = plain._replace(config=plain.config._replace(restart=RestartPolicy("always")))
    with monitored(paths, container, "exit 0", ALL) as (channel, kept):
        assert collect(channel)[2] == 0
        stopper = _connect(paths, kept)
        stopper.send_message("stop", signal=int(signal.SIGTERM), timeout=5)
        assert collect(stopper)[2] in (0, 143)
        assert _state(paths, kept)[0] == "exited"


def test_rm_leaves_neither_record_nor_files(paths: Paths) -> None:
    plain = a_container()
    container = plain._replace(config=plain.config._replace(auto_remove=True))
    with monitored(paths, container, "exit 9", ALL) as (channel, kept):
        assert collect(channel)[2] == 9
        connection = connect_state(paths)
        assert load_container(connection, kept.id) is None
        connection.close()
        assert not os.path.exists(paths.container_data(kept.id))


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n", b"\x07\xff\xff\xff\xff", encode(MESSAGE, b"[1]"), encode(3, b"x"), b"\x07",
        encode(MESSAGE, b"[" * 100_000), encode(MESSAGE, b"\xff{}"), encode(MESSAGE, b'{"type":"signal"}'),
        encode(MESSAGE, b'{"type":"signal","signal":Infinity}'),
        encode(MESSAGE, b'{"type":"stop","signal":0,"timeout":NaN}'),
        encode(MESSAGE, b'{"type":"stop","signal":0,"timeout":1e300}'),
        encode(MESSAGE, b'{"type":"stop","signal":0,"timeout":"soon"}'),
    ],
)  # fmt: skip
def test_a_client_that_talks_nonsense_is_dropped_and_nothing_else(paths: Paths, garbage: bytes) -> None:
    plain = a_container()
    container = plain._replace(config=plain.config._replace(open_stdin=True, stdin_once=True))
    with monitored(paths, container, "cat; exit 2", Attachment(stdin=True, stdout=True)) as (channel, kept):
        vandal = _connect(paths, kept)
        vandal.send(garbage)
        vandal.connection.shutdown(socket.SHUT_WR)
        assert collect(vandal)[2] is None
        channel.send(encode(STDIN_END))
        assert collect(channel)[2] == 2


def test_an_unknown_message_is_answered_with_an_error(paths: Paths) -> None:
    plain = a_container()
    container = plain._replace(config=plain.config._replace(open_stdin=True, stdin_once=True))
    with monitored(paths, container, "cat", Attachment(stdin=True)) as (channel, kept):
        client = _connect(paths, kept)
        client.send_message("explode")
        assert client.receive_message() == {"type": "error", "message": "unknown message"}
        client.close()
        channel.send(encode(STDIN_END))
        assert collect(channel)[2] == 0


@pytest.mark.parametrize("number", [10**30, -5, 1000])
def test_a_signal_that_is_none_is_an_error_for_who_asked(paths: Paths, number: int) -> None:
    plain = a_container()
    container = plain._replace(config=plain.config._replace(open_stdin=True, stdin_once=True))
    with monitored(paths, container, "cat; exit 3", Attachment(stdin=True)) as (channel, kept):
        client = _connect(paths, kept)
        client.send_message("signal", signal=number)
        answer = client.receive_message()
        assert answer is not None
        assert answer["type"] == "error"
        client.close()
        channel.send(encode(STDIN_END))
        assert collect(channel)[2] == 3


def test_a_time_longer_than_epoll_can_wait(paths: Paths) -> None:
    """`stop --time` of some weeks is more milliseconds than an int holds."""
    script = "trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done"
    with monitored(paths, a_container(), script, ALL) as (channel, kept):
        # before that the signal ends the shell itself
        while (frame := channel.receive()) is not None and frame.payload != b"ready\n":
            pass
        stopper = _connect(paths, kept)
        stopper.send_message("stop", signal=int(signal.SIGURG), timeout=10**12)
        assert stopper.receive_message() == {"type": "ok"}
        stopper.send_message("stop", signal=int(signal.SIGTERM), timeout=10**12)
        assert collect(channel)[2] == 4
        stopper.close()


def test_a_client_that_takes_no_answers_is_not_listened_to(paths: Paths) -> None:
    plain = a_container()
    container = plain._replace(config=plain.config._replace(open_stdin=True, stdin_once=True))
    with monitored(paths, container, "cat", Attachment(stdin=True)) as (channel, kept):
        flood = _connect(paths, kept)
        flood.connection.settimeout(1)
        questions = encode(MESSAGE, b'{"type":"x"}') * 1_000_000
        with pytest.raises(TimeoutError):
            flood.connection.sendall(questions)
        flood.close()
        channel.send(encode(STDIN_END))
        assert collect(channel)[2] == 0


@pytest.mark.parametrize("auto_remove", [False, True])
def test_the_exit_code_outlives_a_full_disk(paths: Paths, auto_remove: bool) -> None:
    """The end cannot be written at once: who waits is told, and the record follows when there is room."""
    plain = a_container()
    container = plain._replace(config=plain.config._replace(auto_remove=auto_remove))
    with monitored(paths, container, "exit 7", ALL, FullDisk) as (channel, kept):
        assert collect(channel)[2] == 7
    if not auto_remove:
        assert _state(paths, kept) == ("exited", 7, 0)
    else:
        connection = connect_state(paths)
        assert load_container(connection, kept.id) is None
        connection.close()


def test_who_is_attached_does_not_wait_while_ports_are_published_again(paths: Paths) -> None:
    plain = a_container()
    container = plain._replace(config=plain.config._replace(open_stdin=True, stdin_once=True))
    network, publishing, told = os.pipe(), os.pipe(), os.pipe()

    def engine(script: str) -> PlainEngine:
        return NetworkEngine(script, network[0], publishing[0], told[1])

    with monitored(paths, container, "cat", Attachment(stdin=True, stdout=True), engine=engine) as (channel, _kept):
        os.write(network[1], b"x")
        assert os.read(told[0], 1) == b"r"
        channel.send(encode(STDIN, b"meanwhile"))
        while (frame := channel.receive()) is not None and frame.kind != STDOUT:
            pass
        assert frame is not None
        assert frame.payload == b"meanwhile"
        os.write(publishing[1], b"x")
        assert os.read(told[0], 1) == b"f"
        channel.send(encode(STDIN_END))
        assert collect(channel)[2] == 0
    for fd in (*network, *publishing, *told):
        os.close(fd)
