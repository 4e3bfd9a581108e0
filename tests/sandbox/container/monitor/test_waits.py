"""A monitor answers whoever asks while something that it needs takes its time: the database, a start, an end.

What it waits for is held until it has answered, so a loop that stood still would answer nobody before the deadline.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from sandbox.container.life.stop import send_signal, stop_container
from sandbox.container.model.claims import own_claim, to_start
from sandbox.container.model.events import Tell
from sandbox.container.model.record import ContainerState
from sandbox.container.model.store import insert_container, load_container, update_state
from sandbox.container.monitor.journal import DatabaseJournal
from sandbox.container.monitor.log_writer import LogWriter
from sandbox.container.monitor.plan import Attachment
from sandbox.container.monitor.record_writer import RecordWriter
from sandbox.container.monitor.stdio import Stdio, make_pipes
from sandbox.errors import SandboxError
from sandbox.protocol.channel import Channel
from sandbox.protocol.frames import EXIT, encode_resize
from sandbox.protocol.local_sockets import connect_to
from sandbox.runtime.reactor import Reactor
from sandbox.state import connect_state
from sandbox.values import LogOptions, RestartPolicy
from storage.locks import lock_directory, unlock
from tests.sandbox.container.conftest import a_container
from tests.sandbox.container.monitor.test_monitor import ALL, PlainEngine, collect, monitored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sandbox.container.model.record import Container
    from sandbox.container.monitor.roles import Note
    from sandbox.container.monitor.stdio import ContainerEnds
    from sandbox.paths import Paths
    from storage.waits import Steps

#: less than a command waits for another writer
_DEADLINE_SECONDS = 20


class SlowEngine(PlainEngine):
    """Its second start, and its end, are told and last until the test says so, by pipes."""

    def __init__(self, script: str, told: int, *, start_fd: int = -1, close_fd: int = -1) -> None:
        super().__init__(script)
        self._told = told
        self._start_fd = start_fd
        self._close_fd = close_fd
        self._starts = 0

    def start_steps(self, ends: ContainerEnds | None) -> Steps[None]:
        self._starts += 1
        if self._starts == 2 and self._start_fd >= 0:
            os.write(self._told, b"s")
            yield self._start_fd, None
        yield from super().start_steps(ends)

    def close_steps(self) -> Steps[None]:
        if self._close_fd >= 0:
            os.write(self._told, b"c")
            yield self._close_fd, None


@contextmanager
def _locked(paths: Paths) -> Iterator[None]:
    """Another process is writing."""
    told, tell = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            connection = sqlite3.connect(paths.database, isolation_level=None)
            connection.execute("BEGIN EXCLUSIVE")
            os.write(told[1], b"l")
            os.close(tell[1])
            os.read(tell[0], 1)
            connection.execute("COMMIT")
            os._exit(0)
        finally:
            os._exit(1)
    assert os.read(told[0], 1) == b"l"
    try:
        yield
    finally:
        for fd in (*told, *tell):
            os.close(fd)
        assert os.waitpid(pid, 0)[1] == 0


def _ask(paths: Paths, container: Container) -> Channel:
    channel = Channel(connect_to(paths.container_runtime(container.id), "monitor.sock"))
    channel.connection.settimeout(_DEADLINE_SECONDS)
    return channel


def _answers(paths: Paths, container: Container, *, runs: bool) -> None:
    """The monitor answers each thing that can be asked."""
    client = _ask(paths, container)
    client.send_message("attach", stdout=True)
    assert client.receive_message() == {"type": "ok"}
    client.send(encode_resize(30, 90))
    client.send_message("signal", signal=int(signal.SIGCONT))
    answer = client.receive_message()
    assert answer is not None
    assert answer["type"] == ("ok" if runs else "error")
    client.send_message("follow")
    assert client.receive_message() == {"type": "ok"}
    client.close()


def _waiter(paths: Paths, container: Container) -> Channel:
    client = _ask(paths, container)
    client.send_message("wait")
    assert client.receive_message() == {"type": "ok"}
    return client


def _ended(channel: Channel) -> int | None:
    """What is told of the end that is next."""
    while (frame := channel.receive()) is not None:
        if frame.kind == EXIT:
            return frame.exit_code
    return None


def _answers_until_over(paths: Paths, container: Container) -> None:
    """As long as it runs, as far as the loop has seen, and after that."""
    client = _ask(paths, container)
    answer: dict[str, object] | None = {"type": "ok"}
    while answer == {"type": "ok"}:
        client.send_message("signal", signal=0)
        answer = client.receive_message()
    client.close()
    _answers(paths, container, runs=False)


def _with(restart: RestartPolicy) -> Container:
    # with a stop signal that was configured, others end no restarts
    container = a_container()
    return container._replace(config=container.config._replace(restart=restart, open_stdin=True, stop_signal="TERM"))


def _state(paths: Paths, container: Container) -> ContainerState:
    connection = connect_state(paths)
    found = load_container(connection, container.id)
    connection.close()
    assert found is not None
    return found.state


def test_while_the_database_is_locked_between_two_runs(paths: Paths) -> None:
    container = _with(RestartPolicy("on-failure", 1))
    with monitored(paths, container, "read line; exit 3", Attachment(stdin=True)) as (channel, kept):
        channel.connection.settimeout(_DEADLINE_SECONDS)
        waiter = _waiter(paths, kept)
        with _locked(paths):
            channel.close()
            _answers(paths, kept, runs=True)
            stopper = _ask(paths, kept)
            stopper.send_message("signal", signal=int(signal.SIGUSR1))
            assert stopper.receive_message() == {"type": "ok"}
            stopper.close()
            _answers_until_over(paths, kept)
        # nobody is told of an end that the record does not know
        assert _ended(waiter) == 128 + signal.SIGUSR1
        waiter.close()
        assert _state(paths, kept).status in ("exited", "restarting", "running")
        stopper = _ask(paths, kept)
        stopper.send_message("stop", signal=int(signal.SIGKILL), timeout=0)
        _ended(stopper)
        stopper.close()


def test_the_end_is_told_when_a_locked_database_has_it(paths: Paths) -> None:
    with monitored(paths, _with(RestartPolicy("no")), "exec sleep 1000", ALL) as (channel, kept):
        channel.connection.settimeout(_DEADLINE_SECONDS)
        with _locked(paths):
            channel.send_message("signal", signal=int(signal.SIGKILL))
            assert channel.receive_message() == {"type": "ok"}
            waiter = _waiter(paths, kept)
            _answers_until_over(paths, kept)
        assert _ended(waiter) == 137
        waiter.close()
        state = _state(paths, kept)
        assert (state.status, state.exit_code) == ("exited", 137)
        assert _ended(channel) == 137


def test_while_the_files_are_locked(paths: Paths) -> None:
    """What is locked by who makes a database, a repair, and by who ends what a killed monitor has left."""
    container = _with(RestartPolicy("no"))
    with monitored(paths, container, "exec sleep 1000", ALL) as (channel, kept):
        channel.connection.settimeout(_DEADLINE_SECONDS)
        places = (paths.data_root, paths.container_data(kept.id), paths.container_runtime(kept.id))
        held = [lock_directory(place) for place in places]
        _answers(paths, kept, runs=True)
        channel.send_message("stop", signal=int(signal.SIGKILL), timeout=0)
        assert collect(channel)[2] == 137
        assert _state(paths, kept).status == "exited"
        for fd in held:
            unlock(fd)


def test_while_a_start_hangs_and_it_can_be_stopped(paths: Paths) -> None:
    hanging, told = os.pipe(), os.pipe()

    def engine(script: str) -> PlainEngine:
        return SlowEngine(script, told[1], start_fd=hanging[0])

    container = _with(RestartPolicy("always"))
    with monitored(paths, container, "exit 5", ALL, engine=engine) as (channel, kept):
        assert collect(channel)[2] == 5
        assert os.read(told[0], 1) == b"s"
        _answers(paths, kept, runs=False)
        waiter, stopper = _waiter(paths, kept), _ask(paths, kept)
        stopper.send_message("stop", signal=int(signal.SIGTERM), timeout=1000)
        for client in (stopper, waiter):
            assert _ended(client) == 5
            client.close()
        assert _state(paths, kept).status == "exited"
    for fd in (*hanging, *told):
        os.close(fd)


def test_a_start_that_took_its_time(paths: Paths) -> None:
    hanging, told = os.pipe(), os.pipe()

    def engine(script: str) -> PlainEngine:
        return SlowEngine(script, told[1], start_fd=hanging[0])

    container = _with(RestartPolicy("on-failure", 1))
    with monitored(paths, container, "exit 6", ALL, engine=engine) as (channel, kept):
        assert collect(channel)[2] == 6
        waiter = _waiter(paths, kept)
        assert os.read(told[0], 1) == b"s"
        os.write(hanging[1], b"x")
        assert _ended(waiter) == 6
        waiter.close()
    assert (_state(paths, kept).status, _state(paths, kept).restart_count) == ("exited", 1)
    for fd in (*hanging, *told):
        os.close(fd)


def test_while_its_mounts_take_their_time_to_go(paths: Paths) -> None:
    hanging, told = os.pipe(), os.pipe()

    def engine(script: str) -> PlainEngine:
        return SlowEngine(script, told[1], close_fd=hanging[0])

    with monitored(paths, a_container(), "exit 4", ALL, engine=engine) as (channel, kept):
        channel.connection.settimeout(_DEADLINE_SECONDS)
        assert os.read(told[0], 1) == b"c"
        _answers(paths, kept, runs=False)
        # asked once more, it goes on with the one end
        waiter, stopper = _waiter(paths, kept), _ask(paths, kept)
        stopper.send_message("stop", signal=int(signal.SIGTERM), timeout=0)
        assert stopper.receive_message() == {"type": "ok"}
        os.write(hanging[1], b"x")
        for client in (waiter, stopper, channel):
            assert _ended(client) == 4
            client.close()
    for fd in (*hanging, *told):
        os.close(fd)


def test_the_last_output_of_who_never_ends(tmp_path: Path) -> None:
    """Processes of another container, whose pids are shared, may have the pipe and write for ever."""
    theirs, ours = make_pipes(open_stdin=False)
    pid = os.posix_spawn("/usr/bin/yes", ["yes"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, theirs.stdout_fd, 1)])
    reactor = Reactor()
    got = bytearray()
    stdio = Stdio(reactor, ours, lambda _kind, data: got.extend(data))
    theirs.close()
    stdio.drain()
    stdio.close()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    reactor.close()


def test_what_is_left_to_compress_is_compressed_bit_by_bit(tmp_path: Path) -> None:
    (tmp_path / "log.json.1").write_bytes(b'{"log":"x\\n","stream":"stdout","time":"t"}\n' * 100_000)
    steps = LogWriter(str(tmp_path), LogOptions(10 << 20, 3, compress=True)).close_steps()
    assert sum(1 for _step in steps) > 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.json", "log.json.1.gz"]


class _BusyJournal:
    """Another process writes at the first tries; then the container is ours, or not."""

    def __init__(self, refusals: int, *, ours: bool) -> None:
        self._refusals = refusals
        self._ours = ours
        self.state = ContainerState()

    def restart_policy(self) -> RestartPolicy | None:
        return None

    def update(self, *notes: Note) -> ContainerState | None:
        if self._refusals > 0:
            self._refusals -= 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        if not self._ours:
            return None
        for note in notes:
            self.state = note(self.state) if callable(note) else self.state
        return self.state

    end = update

    def remove_steps(self, *notes: Note) -> Steps[None]:
        self.update(*notes)
        yield from ()

    def hurry(self) -> None:
        pass


def _with_code(number: int, state: ContainerState) -> ContainerState:
    return state._replace(exit_code=number)


def _exit_code(number: int) -> Callable[[ContainerState], ContainerState]:
    return lambda state: state._replace(exit_code=state.exit_code * 10 + number)


def test_changes_that_had_to_wait_are_written_in_order() -> None:
    reactor, journal, told = Reactor(), _BusyJournal(3, ours=True), list[int]()
    writer = RecordWriter(journal, reactor, lambda: told.append(-1))
    assert writer.write(_exit_code(1), lambda: told.append(1))
    assert writer.write(_exit_code(2), lambda: told.append(2))
    writer.end((_exit_code(3),), lambda: told.append(3))
    assert told == []
    reactor.run()
    assert (journal.state.exit_code, told, writer.is_done) == (123, [1, 2, 3], True)
    reactor.close()


def test_who_lost_the_container_meanwhile_hears_of_it() -> None:
    reactor, told = Reactor(), list[str]()
    writer = RecordWriter(_BusyJournal(2, ours=False), reactor, lambda: told.append("lost"))
    assert writer.write(_exit_code(1))
    reactor.run()
    assert told == ["lost"]
    reactor.close()


def test_a_removal_is_tried_again() -> None:
    reactor, told = Reactor(), list[str]()
    writer = RecordWriter(_BusyJournal(2, ours=True), reactor, lambda: None)
    writer.remove((_exit_code(1),), lambda: told.append("removed"))
    assert (told, writer.is_done) == ([], False)
    reactor.run()
    assert (told, writer.is_done) == (["removed"], True)
    reactor.close()


def test_what_had_to_wait_is_written_with_the_removal_and_nothing_after_it() -> None:
    reactor, journal, told = Reactor(), _BusyJournal(1, ours=True), list[str]()
    writer = RecordWriter(journal, reactor, lambda: told.append("lost"))
    assert writer.write(_exit_code(1))
    writer.remove((_exit_code(2), Tell("stop")), lambda: told.append("removed"))
    assert not writer.write(_exit_code(3))
    reactor.run()
    assert (journal.state.exit_code, told, writer.is_done) == (12, ["removed"], True)
    reactor.close()


def test_a_monitor_that_was_stopped_as_a_process_is_told_at_once(paths: Paths) -> None:
    with monitored(paths, _with(RestartPolicy("no")), "exec sleep 1000", ALL) as (channel, kept):
        found = kept._replace(state=_state(paths, kept))
        monitor = found.state.monitor_pid
        os.kill(monitor, signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(monitor, os.WUNTRACED)[1])
        with pytest.raises(SandboxError) as caught:
            send_signal(paths, found, signal.SIGTERM)
        assert caught.value.mend == f"kill -CONT {monitor}"
        with pytest.raises(SandboxError, match="does not answer"):
            stop_container(paths, found)
        os.kill(monitor, signal.SIGCONT)
        stop_container(paths, found)
        assert collect(channel)[2] == 143


def test_a_database_that_only_monitors_write_is_checkpointed(paths: Paths) -> None:
    """Without one in the loop, which waits for the disk; the log begins anew, and does not grow."""
    connection = connect_state(paths)
    kept = insert_container(connection, a_container())
    update_state(connection, kept.id, to_start(own_claim()))
    connection.close()
    journal = DatabaseJournal(paths, kept.id)
    journal.hurry()
    (automatic,) = journal.connection.execute("PRAGMA wal_autocheckpoint").fetchone()
    assert automatic == 0
    sizes = []
    for _round in range(3):
        for number in range(100, 164):
            assert journal.update(partial(_with_code, number)) is not None
        assert journal.checkpoints is not None
        while not journal.checkpoints.is_idle():
            pass
        sizes.append(os.stat(f"{paths.database}-wal").st_size)
    assert sizes[2] < 2 * sizes[0]
    journal.connection.close()
