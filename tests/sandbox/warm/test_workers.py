"""Calls from a program that blocks, to real workers of a real prepared process."""

from __future__ import annotations

import ast
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.errors import CommandNotFoundError, NotFoundError, SandboxError, UsageError
from sandbox.values import RestartPolicy
from sandbox.warm.failures import (
    OperationCancelledError,
    OperationFaultError,
    PreparedProcessError,
    WorkerDiedError,
)
from sandbox.warm.line import ATTEMPTS, REPORT_BYTES, Fate, open_line
from sandbox.warm.prepared import SHORT_MAX
from sandbox.warm.registry import INTERRUPTED_STATUS
from sandbox.warm.values import Descriptor
from sandbox.warm.worker import run_worker
from sandbox.warm.workers import Request, Workers
from tests import leaks
from tests.needs import REPOSITORY
from tests.sandbox.warm.conftest import REGISTRY, children_of, is_there

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.sandbox.warm.conftest import Pipe

_HERE = {"HOME": "/tmp", "LANG": "C.UTF-8"}


def _describe(workers: Workers, environment: dict[str, str] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = workers.call(Request("describe", environment=environment or _HERE))
    return found


def test_values_go_there_and_back(workers: Workers) -> None:
    value = {"a": (1, b"\0\xff", [None, True, 1.5]), "names": {"x", "y"}, 3: "\udcff"}
    assert workers.call(Request("echo", (value,))) == value
    assert workers.call(Request("restart_policy", named={"policy": RestartPolicy("always", 3)})) == RestartPolicy(
        "always", 4
    )


def test_a_value_may_be_large(workers: Workers) -> None:
    # as it is sent it is longer than a frame, there and back
    value = [bytes(13 << 20), "é"]
    assert workers.call(Request("echo", (value,))) == value


def test_a_worker_has_what_the_request_brings_and_nothing_else(workers: Workers, tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        found = workers.call(Request("describe", environment={"A": "1", "TZ": "XYZ3"}, directory=directory))
    finally:
        os.close(directory)
    assert found["environment"] == {"A": "1", "TZ": "XYZ3"}
    assert found["zone"][0] == "XYZ"
    assert found["directory"] == str(tmp_path)
    assert found["descriptors"] == dict.fromkeys("012", "/dev/null")
    # besides these only the socket to us
    assert found["open"] == 4
    assert found["threads"] == 1
    assert found["blocked"] == []
    assert not found["database"]
    assert found["session"] != os.getsid(0)
    assert workers.call(Request("describe"))["environment"] == dict(os.environ)


def test_nothing_of_one_request_is_seen_by_the_next(workers: Workers) -> None:
    before = _describe(workers)
    workers.call(Request("spoil", environment={**_HERE, "TZ": "XYZ3"}))
    after = _describe(workers)
    for found in (before, after):
        del found["pid"]
    assert before.pop("random") != after.pop("random")
    assert before == after


def test_a_descriptor_is_the_files_and_stays_the_callers(workers: Workers) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b"through a pipe")
    os.close(write_end)
    try:
        assert workers.call(Request("read", (Descriptor(read_end),))) == "through a pipe"
        assert os.read(read_end, 1) == b""
    finally:
        os.close(read_end)


def test_too_many_descriptors_are_refused(workers: Workers) -> None:
    with pytest.raises(UsageError, match="254 descriptors"):
        workers.call(Request("echo", ([Descriptor(0)] * 254,)))
    assert workers.call(Request("count_open", ([Descriptor(0)] * 253,))) == 253 + 4


def test_a_descriptor_may_be_a_result(workers: Workers, make_pipe: Callable[[], Pipe]) -> None:
    pipe = make_pipe()
    (copy,) = workers.call(Request("echo", ((Descriptor(pipe.writes),),)))
    try:
        assert not os.get_inheritable(copy)
        os.write(copy, b"through the copy")
        assert pipe.read() == b"through the copy"
    finally:
        os.close(copy)


def test_an_error_of_ours_arrives_as_what_it_is(workers: Workers) -> None:
    with pytest.raises(NotFoundError) as not_found:
        workers.call(Request("fail", ("not-found",)))
    assert (not_found.value.message, not_found.value.word, not_found.value.mend, not_found.value.code) == (
        "No such container: x", "x", "sandbox ps -a", "E1",
    )  # fmt: skip
    assert not_found.value.cause == "the nearest name here is y"
    with pytest.raises(CommandNotFoundError) as programs:
        workers.call(Request("fail", ("programs",)))
    assert (programs.value.programs, programs.value.code) == (("sh", "ls"), "E99")
    assert programs.value.__notes__ == ["of the image"]


@pytest.mark.parametrize(
    ("kind", "message", "cause", "mend"),
    [
        ("storage", "cannot write", "the disk is full", ""),
        ("os", "No such file or directory: /nowhere", "", ""),
        ("limit", "Too many open files", "a limit of this shell is reached: ulimit -n", "ulimit -Sn hard"),
        ("database", "the database could not be used", "disk I/O error", "sandbox doctor"),
    ],
)
def test_what_others_raise_arrives_as_an_error_of_ours(
    workers: Workers, tmp_path: Path, kind: str, message: str, cause: str, mend: str
) -> None:
    with pytest.raises(SandboxError) as error:
        workers.call(Request("fail", (kind,), environment={"HOME": str(tmp_path)}))
    assert not isinstance(error.value, OperationFaultError)
    assert (error.value.message, error.value.cause, error.value.mend) == (message, cause, mend)


def test_an_error_may_hold_what_cannot_be_sent(workers: Workers) -> None:
    with pytest.raises(NotFoundError, match="unsent"):
        workers.call(Request("fail", ("value",)))


def test_a_fault_is_told_with_its_traceback(workers: Workers) -> None:
    with pytest.raises(OperationFaultError) as fault:
        workers.call(Request("fail", ("fault",)))
    assert fault.value.cause == "ZeroDivisionError: division by zero"
    assert "operations.py" in fault.value.__notes__[0]


def test_only_what_the_registry_names_is_done(workers: Workers) -> None:
    for name in ("os.getpid", "tests.sandbox.warm.operations:describe", "_open_descriptors"):
        with pytest.raises(UsageError, match="there is no operation"):
            workers.call(Request(name))


def test_progress_comes_in_order_and_before_the_result(workers: Workers) -> None:
    told: list[object] = []
    assert workers.call(Request("count", (300,)), told.append) == 300
    assert told == list(range(300))
    call = workers.begin(Request("count", (3,)))
    assert list(call) == [0, 1, 2]
    assert call.result() == 3


def test_what_an_operation_yields_is_told_as_progress(workers: Workers) -> None:
    call = workers.begin(Request("count_up", (3,)))
    assert list(call) == [0, 1, 2]
    assert call.result() is None


def test_who_listens_to_progress_may_stop_it(workers: Workers) -> None:
    def stop(value: object) -> None:
        raise ValueError(value)

    with pytest.raises(ValueError, match="0"):
        workers.call(Request("count", (1 << 30,)), stop)
    call = workers.begin(Request("count", (1 << 30,)))
    for value in call:
        if value == 5:
            break
    call.close()
    assert children_of(workers.pid) == set()


@pytest.mark.parametrize(("number", "name"), [(9, "SIGKILL"), (11, "SIGSEGV"), (15, "SIGTERM")])
def test_a_worker_that_a_signal_ends_is_a_typed_error(workers: Workers, number: int, name: str) -> None:
    with pytest.raises(WorkerDiedError) as died:
        workers.call(Request("end", (number,)))
    assert died.value.exit_code == -number
    assert name in died.value.cause
    assert workers.call(Request("echo", (1,))) == 1


def test_a_worker_that_exits_by_itself_is_a_typed_error(workers: Workers) -> None:
    with pytest.raises(WorkerDiedError, match="leave died") as died:
        workers.call(Request("leave", (3,)))
    assert died.value.exit_code == 3


def test_a_worker_that_dies_is_not_seen_by_others(workers: Workers, make_pipe: Callable[[], Pipe]) -> None:
    arrived, go, prepared = make_pipe(), make_pipe(), 0
    meeting = workers.begin(Request("meet", (Descriptor(arrived.writes), Descriptor(go.reads))))
    arrived.read(1)
    prepared = workers.pid
    with pytest.raises(WorkerDiedError):
        workers.call(Request("end", (9,)))
    os.write(go.writes, b"x")
    assert meeting.result() > 0
    assert workers.pid == prepared


def test_a_cancelled_worker_is_interrupted_and_waited_for(workers: Workers, make_pipe: Callable[[], Pipe]) -> None:
    arrived, tidied = make_pipe(), make_pipe()
    call = workers.begin(Request("hold", (Descriptor(arrived.writes), Descriptor(tidied.writes))))
    pid = int(arrived.read())
    call.cancel()
    with pytest.raises(OperationCancelledError):
        call.result()
    assert tidied.read() == b"tidied"
    assert not is_there(pid)
    assert workers.call(Request("echo", (1,))) == 1


def test_one_that_does_not_end_is_killed(make_pipe: Callable[[], Pipe]) -> None:
    arrived = make_pipe()
    with Workers("tests.sandbox.warm.stubborn_operations") as workers:
        call = workers.begin(Request("stay", (Descriptor(arrived.writes),)))
        pid = int(arrived.read())
        call.cancel()
        with pytest.raises(OperationCancelledError):
            call.result()
        assert not is_there(pid)


def test_a_cancel_that_comes_with_the_fork_is_not_lost() -> None:
    """No request is sent: a worker that was not told would wait for one, and be killed."""
    with Workers("tests.sandbox.warm.stubborn_operations") as workers:
        codes = set()
        for _ in range(30):
            line = open_line(workers.present().door, lasts=True)
            line.cancel()
            fate = Fate()
            while report := line.fate.recv(REPORT_BYTES):
                fate.take(report)
            codes.add(fate.exit_code)
            line.close()
    assert codes == {INTERRUPTED_STATUS}


def test_a_call_that_waits_can_be_cancelled(workers: Workers, make_pipe: Callable[[], Pipe]) -> None:
    arrived, go = make_pipe(), make_pipe()
    meet = Request("meet", (Descriptor(arrived.writes), Descriptor(go.reads)))
    meetings = [workers.begin(meet) for _ in range(SHORT_MAX)]
    waits = workers.begin(meet)
    waits.cancel()
    with pytest.raises(OperationCancelledError):
        waits.result()
    os.write(go.writes, b"x" * SHORT_MAX)
    assert len({meeting.result() for meeting in meetings}) == SHORT_MAX


def test_so_many_are_on_at_once_and_those_that_last_do_not_count(
    workers: Workers, make_pipe: Callable[[], Pipe]
) -> None:
    arrived, go, held, tidied = make_pipe(), make_pipe(), make_pipe(), make_pipe()
    meet = Request("meet", (Descriptor(arrived.writes), Descriptor(go.reads)))
    meetings = [workers.begin(meet) for _ in range(SHORT_MAX + 3)]
    # a later one that lasts does not wait for them
    lasting = workers.begin(Request("hold", (Descriptor(held.writes), Descriptor(tidied.writes))))
    assert held.read()
    there = 0
    while there < SHORT_MAX:
        there += len(arrived.read())
    # the prepared process has taken all calls before the last one, and three of them wait
    assert len(children_of(workers.pid)) == SHORT_MAX + 1
    os.write(go.writes, b"x" * len(meetings))
    assert len({meeting.result() for meeting in meetings}) == len(meetings)
    assert there + len(arrived.read()) == len(meetings)
    lasting.close()
    assert children_of(workers.pid) == set()


def test_eight_threads_call_at_once(workers: Workers) -> None:
    def run(number: int) -> None:
        try:
            for turn in range(4):
                told: list[object] = []
                assert workers.call(Request("echo", ((number, turn),))) == (number, turn)
                assert workers.call(Request("count", (turn,)), told.append) == turn
                assert told == list(range(turn))
                with pytest.raises(NotFoundError):
                    workers.call(Request("fail", ("not-found",)))
                # its end may come at any moment, and must not be taken for another one's
                given_up = workers.begin(Request("echo", (1,)))
                if turn % 2:
                    next(iter(workers.begin(Request("count", (1,)))))
                given_up.close()
            with pytest.raises(WorkerDiedError):
                workers.call(Request("end", (9,)))
        except BaseException as error:  # noqa: BLE001  # told in the thread of the test
            failures.append(error)

    failures: list[BaseException] = []
    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert children_of(workers.pid) == set()


def test_a_prepared_process_that_was_killed_is_started_again(workers: Workers) -> None:
    others = leaks.children()
    workers.start()
    first = workers.pid
    os.kill(first, signal.SIGKILL)
    assert workers.call(Request("echo", (1,))) == 1
    assert workers.pid != first
    assert leaks.children() - others == {workers.pid}


def test_a_call_that_was_on_then_fails_and_its_worker_ends(workers: Workers, make_pipe: Callable[[], Pipe]) -> None:
    arrived, tidied = make_pipe(), make_pipe()
    call = workers.begin(Request("hold", (Descriptor(arrived.writes), Descriptor(tidied.writes))))
    pid = int(arrived.read())
    os.kill(workers.pid, signal.SIGKILL)
    with pytest.raises(PreparedProcessError, match="died during hold"):
        call.result()
    leaks.wait_ended(pid)
    assert workers.call(Request("echo", (1,))) == 1


def test_one_that_was_not_begun_is_made_again(workers: Workers) -> None:
    workers.start()
    os.kill(workers.pid, signal.SIGSTOP)
    call = workers.begin(Request("echo", ("again",)))
    os.kill(workers.pid, signal.SIGKILL)
    assert call.result() == "again"


def test_one_that_never_starts_is_an_error() -> None:
    with Workers(REGISTRY) as broken:
        broken._registry = "tests.sandbox.warm.nowhere"
        with pytest.raises(PreparedProcessError):
            broken.call(Request("echo", (1,)))
        assert ATTEMPTS > 1


def test_the_end_of_the_workers_ends_calls(make_pipe: Callable[[], Pipe]) -> None:
    workers = Workers(REGISTRY)
    arrived, tidied = make_pipe(), make_pipe()
    call = workers.begin(Request("hold", (Descriptor(arrived.writes), Descriptor(tidied.writes))))
    pid = int(arrived.read())
    workers.close()
    workers.close()
    assert tidied.read() == b"tidied"
    assert not is_there(pid)
    with pytest.raises(OperationCancelledError):
        call.result()
    with pytest.raises(PreparedProcessError, match="closed"):
        workers.call(Request("echo", (1,)))


_OWNER = f"""
import os, signal, sys, threading
from sandbox.warm.values import Descriptor
from sandbox.warm.workers import Request, Workers
workers = Workers("{REGISTRY}")
def begin():
    # the thread ends, and nothing with it
    global call
    call = workers.begin(Request("hold", (Descriptor(1), Descriptor(2))))
thread = threading.Thread(target=begin)
thread.start()
thread.join()
sys.stdout.write(f"{{workers.pid}}\\n")
sys.stdout.flush()
if sys.argv[1] == "fork" and os.fork() == 0:
    # holds a copy of each socket
    sys.stdin.read()
    os._exit(0)
signal.pause()
"""


@pytest.mark.parametrize("way", ["alone", "fork"])
def test_it_ends_with_an_owner_that_was_killed(way: str) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, way], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    with owner:
        assert owner.stdin is not None
        assert owner.stdout is not None
        assert owner.stderr is not None
        pids = [int(owner.stdout.readline()) for _ in range(2)]
        owner.kill()
        owner.wait()
        for pid in pids:
            leaks.wait_ended(pid)
        assert os.read(owner.stderr.fileno(), 100) == b"tidied"
        owner.stdin.close()


def test_it_ends_with_an_owner_that_was_gone_before_it_was_ready() -> None:
    code = (
        "import os, signal; from sandbox.warm.workers import Workers; "
        f"workers = Workers('{REGISTRY}'); workers.start(); print(workers.pid, flush=True); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, check=False)
    assert done.returncode == -signal.SIGKILL
    leaks.wait_ended(int(done.stdout))


def test_a_worker_whose_parent_was_gone_at_once_does_nothing() -> None:
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        # as where the prepared process died between the fork and the worker's first instruction
        run_worker(theirs, {}, os.getppid() + 1)
    theirs.close()
    with ours:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        assert ours.recv(1) == b""


def test_it_ends_with_an_owner_that_exits() -> None:
    code = (
        "from sandbox.warm.workers import Request, Workers; "
        f"workers = Workers('{REGISTRY}'); print(workers.call(Request('echo', (1,))), workers.pid)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    result, pid = done.stdout.split()
    assert (result, done.stderr) == ("1", "")
    leaks.wait_ended(int(pid))


_ODD_OWNER = f"""
import os, signal, sys
from sandbox.warm.failures import OperationCancelledError
from sandbox.warm.values import Descriptor
from sandbox.warm.workers import Request, Workers
report, (reads, writes) = os.open(sys.argv[1], os.O_WRONLY), os.pipe()
for number in (0, 1, 2):
    os.close(number)
for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGUSR1):
    signal.signal(number, signal.SIG_IGN)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.umask(0o777)
with Workers("{REGISTRY}") as workers:
    found = workers.call(Request("describe"))
    call = workers.begin(Request("hold", (Descriptor(writes), Descriptor(writes))))
    os.read(reads, 100)
    call.cancel()
    try:
        call.result()
    except OperationCancelledError:
        found["tidied"] = os.read(reads, 100)
    os.kill(workers.pid, signal.SIGKILL)
    found["again"] = workers.call(Request("echo", (1,)))
os.write(report, repr(found).encode())
"""


def test_an_owner_may_be_in_any_state(tmp_path: Path) -> None:
    """Closed standard streams, which give their numbers to sockets, and signals that are blocked or ignored."""
    (tmp_path / "report").touch()
    subprocess.run([sys.executable, "-c", _ODD_OWNER, str(tmp_path / "report")], cwd=REPOSITORY, check=True)
    found = ast.literal_eval((tmp_path / "report").read_text())
    assert (found["tidied"], found["again"]) == (b"tidied", 1)
    assert found["blocked"] == []
    assert found["descriptors"] == dict.fromkeys("012", "/dev/null")
    assert found["open"] == 4
    # what is ignored stays so, as with a command, where it means nothing to us
    assert "SIGUSR1" in found["handled"]
    assert "SIGCHLD" not in found["handled"]
    assert found["umask"] == 0o077


_FRUGAL_OWNER = f"""
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from sandbox.errors import HostError
from sandbox.warm.values import Descriptor
from sandbox.warm.workers import Request, Workers
arrived, tidied = os.pipe(), os.pipe()
with Workers("{REGISTRY}") as workers:
    # more than the prepared process takes: the others stay on its door
    hold = Request("hold", (Descriptor(arrived[1]), Descriptor(tidied[1])))
    calls = [workers.begin(hold) for _ in range(14)]
    there = 0
    while there < 8:
        there += os.read(arrived[0], 4096).count(b"\\n")
    calls[-1].cancel()
    try:
        while True:
            calls.append(workers.begin(hold))
    except HostError as error:
        print(error.mend)
    while calls:
        calls.pop(0).close()
    print(workers.call(Request("echo", (1,))))
"""


def test_no_more_calls_are_taken_than_there_are_descriptors_for() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FRUGAL_OWNER], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert (done.returncode, done.stdout) == (0, "ulimit -Sn hard\n1\n")


def test_a_fork_of_the_owner_has_a_process_of_its_own(workers: Workers) -> None:
    assert workers.call(Request("echo", (1,))) == 1
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            before = workers.pid
            assert workers.call(Request("echo", (2,))) == 2
            assert workers.pid != before
            workers.close()
            os.write(write_end, b"done")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as told:
        assert told.read() == b"done"
    assert workers.call(Request("echo", (3,))) == 3


def test_the_random_state_of_this_process_is_its_own(workers: Workers) -> None:
    random.seed(7)
    assert len({_describe(workers)["random"] for _ in range(3)}) == 3
