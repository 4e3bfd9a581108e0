"""What a caller may hand down: closed standard streams, ignored and blocked signals, a umask, a removed directory.

A command does the same whatever it is. `Caller` is one such state; a small number of them holds every value of each
kind beside different values of the others, and the mark `long` has all of them.
"""

from __future__ import annotations

import itertools
import os
import resource
import shlex
import signal
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.command import Finished
from tests.integration.container.conftest import monitor_pid, slirp_pid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Sandbox

_CATCHABLE = frozenset(range(1, 32)) - {signal.SIGKILL, signal.SIGSTOP}
_CLOSED = tuple(chosen for count in range(4) for chosen in itertools.combinations((0, 1, 2), count))
_SIGNALS: tuple[tuple[str, frozenset[int]], ...] = (
    ("ignored", frozenset({signal.SIGCHLD})),
    ("blocked", frozenset({signal.SIGCHLD})),
    ("ignored", _CATCHABLE),
    ("blocked", _CATCHABLE),
)
_UMASKS = (0o777, 0, 0o077, 0o022)


class Caller(NamedTuple):
    """What is handed down; `signals` is how they are and which."""

    closed: tuple[int, ...] = ()
    signals: tuple[str, frozenset[int]] = ("ignored", frozenset())
    umask: int = 0o022
    gone_directory: bool = False
    nice: int = 0
    #: RLIMIT_* and what it is
    limits: tuple[tuple[int, int], ...] = ()

    def __str__(self) -> str:
        how, numbers = self.signals
        where = "in a directory that is gone" if self.gone_directory else ""
        return f"closed {self.closed}, {len(numbers)} signals {how}, umask {self.umask:03o} {where}"


_FEW = tuple(
    Caller(closed, _SIGNALS[number % 4], _UMASKS[number // 2 % 4], number % 2 == 0)
    for number, closed in enumerate(_CLOSED)
)
_ALL = tuple(
    Caller(closed, signals, umask, gone)
    for closed, signals, (umask, gone) in itertools.product(_CLOSED, _SIGNALS, ((0o777, True), (0, False)))
)


def start(sandbox: Sandbox, caller: Caller, *words: str) -> subprocess.Popen[str]:
    """Start a command of that caller."""
    place = sandbox.home.root / "place"
    place.mkdir(exist_ok=True)

    def become_caller() -> None:
        how, numbers = caller.signals
        # as a shell has it, and not Python
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        for number in numbers:
            if how == "ignored":
                signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, numbers if how == "blocked" else ())
        os.umask(caller.umask)
        os.nice(caller.nice)
        if caller.gone_directory:
            os.rmdir(place)
        for descriptor in caller.closed:
            os.close(descriptor)
        for number, value in caller.limits:
            resource.setrlimit(number, (value, resource.getrlimit(number)[1]))

    return subprocess.Popen(
        sandbox.words(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=sandbox.env, cwd=place, preexec_fn=become_caller, restore_signals=False,
    )  # fmt: skip


def call(sandbox: Sandbox, caller: Caller, *words: str) -> Finished:
    """Run a command of that caller to its end."""
    with start(sandbox, caller, *words) as process:
        stdout, stderr = process.communicate(timeout=120)
    return Finished(process.returncode, stdout, stderr)


@pytest.fixture
def stand(sandbox: Sandbox, busybox: str, tmp_path: Path) -> Iterator[Sandbox]:
    """A container `up` that runs and has said something, one that has ended, a context, an archive."""
    sandbox.run("run", "-d", "--name", "up", busybox, "sh", "-c", "echo said; exec sleep 1000")
    sandbox.run("run", "--name", "ended", busybox, "sh", "-c", "exit 3", status=3)
    sandbox.wait_for_log("up", "said")
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo made > /made\n")
    sandbox.run("save", "-o", str(tmp_path / "saved.tar"), busybox)
    yield sandbox
    sandbox.run("kill", "up")


_SHOW = (
    "umask; grep -E '^Sig(Blk|Ign)' /proc/self/status; echo aside >&2; ls -l /proc/self/fd/ | grep -c /data/; exit 7"
)


def _commands(directory: Path) -> list[list[str]]:
    return [
        ["run", "--rm", "busybox", "sh", "-c", _SHOW],
        ["run", "--rm", "-i", "--network", "none", "busybox", "cat"],
        ["exec", "up", "sh", "-c", _SHOW],
        ["logs", "up"],
        ["ps", "-aq"],
        ["inspect", "up"],
        ["wait", "ended"],
        ["start", "-a", "ended"],
        ["stop", "nosuch"],
        ["images", "-q"],
        ["build", "-q", "--no-cache", "--network", "none", "--iidfile", str(directory / "id"), str(directory)],
        ["load", "-q", "-i", str(directory / "saved.tar")],
        ["save", "-o", str(directory / "other.tar"), "busybox"],
        ["export", "-o", str(directory / "export.tar"), "ended"],
        ["build", "-"],
        ["nosuch"],
        ["ps", "--nosuch"],
        ["--version"],
    ]


#: each is a new one in every build
_NEW_EACH_TIME = "build -q"


def _compare(sandbox: Sandbox, words: list[str], callers: tuple[Caller, ...]) -> None:
    plain = call(sandbox, Caller(), *words)
    assert "Traceback" not in plain.stderr
    for caller in callers:
        found = call(sandbox, caller, *words)
        what = f"{' '.join(words)}: {caller}: {found.stderr}"
        assert found.status == plain.status, what
        if _NEW_EACH_TIME not in " ".join(words):
            assert found.stdout == ("" if 1 in caller.closed else plain.stdout), what
            assert found.stderr == ("" if 2 in caller.closed else plain.stderr), what


@pytest.mark.slow
@pytest.mark.requires("subids", "overlay")
def test_a_command_does_the_same_for_every_caller(stand: Sandbox, tmp_path: Path) -> None:
    for number, words in enumerate(_commands(tmp_path)):
        # each command by two of the callers, each caller by a quarter of the commands
        _compare(stand, words, _FEW[number % 4 :: 4])


@pytest.mark.long
@pytest.mark.requires("subids", "overlay")
@pytest.mark.timeout(3600)
def test_a_command_does_the_same_for_all_callers(stand: Sandbox, tmp_path: Path) -> None:
    for words in _commands(tmp_path):
        _compare(stand, words, _ALL)


@pytest.mark.slow
@pytest.mark.requires("subids", "overlay")
@pytest.mark.parametrize("mode", ["w", "r"])
def test_talk_that_cannot_be_written_changes_no_status(stand: Sandbox, tmp_path: Path, mode: str) -> None:
    """A full disk, or a descriptor that is there to read from."""
    with open("/dev/full", mode) as full:
        for line, status in (
            ("nosuch", 1),
            ("ps --nosuch", 125),
            ("stop -t 0 nosuch up", 1),
            ("start up nosuch", 1),
            ("run --rm busybox sh -c 'exit 7'", 7),
            ("run --rm busybox nosuch", 127),
            (f"build --no-cache --network none {tmp_path}", 0),
        ):
            with stand.spawn(*shlex.split(line), stdout=subprocess.DEVNULL, stderr=full.fileno()) as process:
                assert process.wait(timeout=120) == status, line


_RELATIVE = (
    "run --rm -v .:/x busybox ls /x",
    "run --rm --mount type=bind,src=./x,dst=/x busybox true",
    "run --rm --cidfile id busybox true",
    "run --rm --env-file variables busybox true",
    "run --rm --label-file labels busybox true",
    "run --rm --security-opt seccomp=profile.json busybox true",
    "run --rm --trace-files trace busybox true",
    "create --cidfile id busybox",
    "exec --env-file variables up true",
    "save -o out.tar busybox",
    "load -i in.tar",
    "import in.tar",
    "export -o out.tar ended",
    "image slim-report --trace trace busybox",
    "builder parse",
    "build .",
    "build -f Dockerfile {directory}",
    "build --iidfile id {directory}",
    "build --metadata-file made {directory}",
    "build -o out {directory}",
    "build --secret id=x,src=x {directory}",
    "build --ssh default=key {directory}",
    "build --build-context other=. {directory}",
    "build --cache-from type=local,src=cache {directory}",
    "build --cache-to type=local,dest=cache {directory}",
)


@pytest.mark.slow
@pytest.mark.requires("subids", "overlay")
def test_a_relative_path_in_a_directory_that_is_gone(stand: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY --from=other x x\n")
    for line in _RELATIVE:
        found = call(stand, Caller(gone_directory=True), *line.format(directory=tmp_path).split())
        status = 125 if line.startswith("run") else 1
        told = "Error: cannot tell the current directory: it was removed\n  mend: cd\n"
        assert (found.status, found.stdout) == (status, ""), line
        assert found.stderr.endswith(told), f"{line}: {found.stderr}"
    assert stand.run("ps", "-aq").lines == stand.run("ps", "-aq", "--filter", "name=^(up|ended)$").lines


@pytest.mark.slow
@pytest.mark.requires("subids", "overlay")
def test_a_limit_of_the_caller_that_is_reached_is_named(stand: Sandbox, tmp_path: Path) -> None:
    for number, value, words, flag in (
        (resource.RLIMIT_FSIZE, 0, ("run", "--rm", "busybox", "true"), "-f"),
        (resource.RLIMIT_FSIZE, 0, ("tag", "busybox", "other"), "-f"),
        (resource.RLIMIT_NPROC, 1, ("exec", "up", "true"), "-u"),
    ):
        found = call(stand, Caller(limits=((number, value),)), *words)
        assert found.status in (1, 125)
        assert f"ulimit {flag}" in found.stderr.splitlines()[-2]
        assert found.stderr.endswith(f"\n  mend: ulimit -S{flag[1]} hard\n")
    # kept, for the container as well
    kept = Caller(limits=((resource.RLIMIT_NOFILE, 300), (resource.RLIMIT_CORE, 0)))
    show = ("sh", "-c", "ulimit -n; ulimit -c")
    assert call(stand, kept, "run", "--rm", "busybox", *show).stdout == "300\n0\n"
    assert call(stand, kept, "exec", "up", *show).stdout == "300\n0\n"


def _status(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/status") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}


def _bits(*numbers: int) -> int:
    return sum(1 << (number - 1) for number in numbers)


@pytest.mark.slow
@pytest.mark.requires("subids", "overlay", "slirp4netns", "tap")
@pytest.mark.parametrize("how", ["ignored", "blocked"])
def test_what_the_processes_of_a_container_inherit(sandbox: Sandbox, busybox: str, how: str) -> None:
    """Signals and the umask are everybody's own; niceness is the caller's."""
    caller = Caller((0,), (how, _CATCHABLE), 0o777, nice=3)
    private = ("--network", "slirp4netns")
    started = call(sandbox, caller, "run", "-d", "--name", "web", *private, busybox, "sleep", "1000")
    assert started.status == 0, started.stderr
    monitor = monitor_pid(sandbox, "web")
    first = int(sandbox.run("inspect", "--format", "{{.State.Pid}}", "web").stdout)
    expected = {
        monitor: _bits(signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE),
        first: 0,
        # which ignores SIGPIPE of its own accord
        slirp_pid(monitor): _bits(signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE),
    }
    for pid, ignored in expected.items():
        status = _status(pid)
        # less those that the C library keeps for itself
        assert int(status["SigIgn"], 16) & _bits(*_CATCHABLE) == ignored, status["Name"]
        assert int(status["SigBlk"], 16) == 0, status["Name"]
        assert os.getpriority(os.PRIO_PROCESS, pid) == os.nice(0) + 3
    assert [_status(pid)["Umask"] for pid in (monitor, first)] == ["0022", "0022"]


@pytest.mark.slow
@pytest.mark.requires("subids", "overlay")
def test_a_hang_up_that_the_caller_ignores_is_not_passed_on(sandbox: Sandbox, busybox: str) -> None:
    """nohup(1): the command stays, and the container hears of what is not ignored only."""
    script = "trap 'echo hang-up' HUP; trap 'exit 9' USR1; echo ready; while :; do sleep 0.1; done"
    caller = Caller(signals=("ignored", frozenset({signal.SIGHUP})))
    with start(sandbox, caller, "run", "--rm", busybox, "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGUSR1)
        assert process.communicate(timeout=120)[0] == ""
    assert process.returncode == 9


@pytest.mark.slow
@pytest.mark.requires("subids", "overlay")
@pytest.mark.parametrize(
    "variable", ["PYTHONFAULTHANDLER=1", "PYTHONWARNINGS=error", "PYTHONIOENCODING=ascii", "LC_ALL=C"]
)
def test_what_the_caller_wants_of_python_changes_no_status(sandbox: Sandbox, busybox: str, variable: str) -> None:
    name, _, value = variable.partition("=")
    words = ("run", "--rm", "--network", "none", busybox, "sh", "-c", "echo ä; exit 7")
    assert sandbox.run(*words, env={name: value}, status=7).lines == ["ä"]


@pytest.mark.slow
@pytest.mark.requires("subids", "overlay")
def test_a_signal_that_the_caller_blocks_ends_the_command(stand: Sandbox) -> None:
    caller = Caller(signals=("blocked", _CATCHABLE))
    with start(stand, caller, "logs", "-f", "up") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "said\n"
        process.terminate()
        assert process.wait(timeout=120) == -signal.SIGTERM
