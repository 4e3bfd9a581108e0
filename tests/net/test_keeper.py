"""The keeper for real: monitors that are processes, slirp4netns, and signals."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from net.keeper_birth import PROCESS_NAME
from tests.net.keeper_ground import HOST_ADDRESS, HOST_ADDRESS6, ground, names_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.net.keeper_ground import Ground, MonitorProcess

pytestmark = [pytest.mark.requires("userns", "tap", "slirp4netns"), pytest.mark.timeout(60)]

FORWARDED_PORT = 18080
#: of containers, which here are the router's own
ADDRESSES = {letter: f"172.30.0.{number}" for number, letter in enumerate("abcd", 2)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """For tests after which everything is as before."""
    directory = tmp_path_factory.mktemp("keeper")
    (directory / "cgroup").mkdir()
    with ground(directory) as made:
        for address in ADDRESSES.values():
            assert made.run("ip", "address", "add", address, "dev", "lo", router=True).returncode == 0
        yield made


@pytest.fixture(scope="module")
def monitors(place: Ground) -> Iterator[list[MonitorProcess]]:
    with _joined(place, "abc") as found:
        yield found


@pytest.fixture
def own_place(tmp_path: Path) -> Iterator[Ground]:
    with ground(tmp_path) as made:
        yield made


@contextmanager
def _joined(place: Ground, letters: str) -> Iterator[list[MonitorProcess]]:
    """Monitors that have joined, and a way out that serves."""
    with ExitStack() as stack:
        found = {letter: stack.enter_context(place.monitor(letter * 64)) for letter in letters}
        for letter, monitor in found.items():
            monitor.do("open", "open")
            monitor.join(f"name-{letter}", address=ADDRESSES[letter])
            monitor.hear_state("ready")
        yield list(found.values())


def _end(pid: int, number: int = signal.SIGKILL) -> None:
    """Signal a process, and wait until it is gone."""
    pidfd = os.pidfd_open(pid)
    signal.pidfd_send_signal(pidfd, number)
    _wait_gone(pidfd)


def _wait_gone(pidfd: int) -> None:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    assert poller.poll(20_000), "it does not end"
    os.close(pidfd)


def _children_named(name: str) -> list[int]:
    """Processes of this user with that name, that have not ended."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            continue
        head, _, rest = stat.rpartition(")")
        if head.partition("(")[2] == name and rest.split()[0] != "Z" and os.stat(f"/proc/{pid}").st_uid == os.getuid():
            found.append(int(pid))
    return found


def _keepers(place: Ground) -> list[int]:
    """The keepers that hold this ground's router."""
    inode = os.stat(f"/proc/{place.pid}/fd/{place.router_fd}").st_ino
    return [
        pid
        for pid in _children_named(PROCESS_NAME)
        if any(_inode(f"/proc/{pid}/fd/{fd}") == inode for fd in _descriptors(pid))
    ]


def _descriptors(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except (FileNotFoundError, PermissionError):
        # one of another ground that is just ending: its files are root's when its memory is gone
        return []


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return -1


def _info(monitor: MonitorProcess) -> dict[str, object]:
    info: dict[str, object] = monitor.do("info", "info")["info"]
    return info


def _slirp_pid(monitor: MonitorProcess) -> int:
    pid = _info(monitor)["way_out"]["pid"]  # type: ignore[index]
    assert isinstance(pid, int)
    return pid


ECHO = """
import socket, sys, threading
server = socket.create_server((sys.argv[1], 7000), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
print("up", flush=True)
while True:
    peer, _ = server.accept()
    def serve(peer=peer):
        while data := peer.recv(100):
            peer.sendall(data)
    threading.Thread(target=serve, daemon=True).start()
"""

#: keeps one connection, and says a word on it for each line it reads
CLIENT = """
import socket, sys
peer = socket.create_connection((sys.argv[1], 7000), timeout=20)
print("up", flush=True)
for line in sys.stdin:
    try:
        peer.sendall(b"hello")
        print(peer.recv(100).decode() or "closed", flush=True)
    except OSError as error:
        print("broken", flush=True)
"""


class _Program:
    def __init__(self, place: Ground, code: str, address: str, *, router: bool) -> None:
        command = place.enter(sys.executable, "-c", code, address, router=router)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._read() == "up"

    def __enter__(self) -> _Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def say(self) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


def _gets_out(place: Ground, address: str = HOST_ADDRESS) -> bool:
    with _Program(place, ECHO, address, router=False), _Program(place, CLIENT, address, router=True) as client:
        return client.say() == "hello"


def _asks(place: Ground, asker: str, name: str) -> str:
    """What the container of that letter hears of a name."""
    command = ("dig", "+short", "+tries=1", "+time=20", "-b", ADDRESSES[asker], f"@{ADDRESSES['d']}", name)
    return place.run(*command, router=True).stdout.strip()


#: asks for the name argv[2] from the address argv[1], and only then lets what holds the fifo argv[3] go on
_ASK_AND_RELEASE = """
import socket, sys
source, name, fifo = sys.argv[1:]
question = b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + bytes([len(name)]) + name.encode() + b"\\0\\0\\1\\0\\1"
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.bind((source, 0))
asking.connect((source, 53))
asking.send(question)
with open(fifo, "w"):
    print(len(asking.recv(512)) > len(question))
"""


def test_a_question_waits_for_a_keeper_that_is_slow_to_begin(own_place: Ground, tmp_path: Path) -> None:
    fifo, address = tmp_path / "fifo", ADDRESSES["a"]
    os.mkfifo(fifo)
    own_place.run("ip", "address", "add", address, "dev", "lo", router=True)
    with own_place.monitor("a" * 64) as monitor:
        monitor.do("wait before import", "slow", module="net.keeper", fifo=str(fifo))
        monitor.do("open", "open")
        monitor.join("name-a", address=address)
        # now a container's program starts
        monitor.do("ready", "ready")
        asked = own_place.run(sys.executable, "-c", _ASK_AND_RELEASE, address, "name-a", str(fifo), router=True)
        assert (asked.stdout, asked.stderr) == ("True\n", "")


@pytest.mark.parametrize("way", ["started", "killed", "restricted"])
def test_a_keeper_serves_when_what_it_was_forked_for_runs_or_never_will(own_place: Ground, way: str) -> None:
    with own_place.monitor("a" * 64) as starting, own_place.monitor("b" * 64) as other:
        starting.do("start", "starts")
        starting.do("open", "open")
        starting.join("name-a", egress=["deny"] if way == "restricted" else [])
        # slirp4netns is waited for, and nothing else
        assert starting.do("ready", "ready")["state"] == "ready"
        other.do("open", "open")
        if way == "started":
            starting.do("started", "started")
        elif way == "killed":
            _end(starting.process.pid)
        other.join("name-b")
        assert _info(other)["pid"]


def test_monitors_share_one_keeper_and_one_way_out(place: Ground, monitors: list[MonitorProcess]) -> None:
    (keeper,) = _keepers(place)
    info = _info(monitors[0])
    assert info["pid"] == keeper
    assert sorted(container for container, _pid in info["members"]) == ["a" * 64, "b" * 64, "c" * 64]  # type: ignore[attr-defined]
    assert {_slirp_pid(monitor) for monitor in monitors} == {_slirp_pid(monitors[0])}
    assert _gets_out(place)
    assert _gets_out(place, HOST_ADDRESS6)
    assert _asks(place, "a", "name-b") == ADDRESSES["b"]


def test_the_keeper_has_nothing_of_who_forked_it(place: Ground, monitors: list[MonitorProcess]) -> None:
    (keeper,) = _keepers(place)
    first = monitors[0].process.pid
    assert Path(f"/proc/{keeper}/environ").read_bytes().strip(b"\0") == b""
    assert Path(f"/proc/{keeper}/cmdline").read_bytes().strip(b"\0 ") == f"{PROCESS_NAME} label".encode()
    for kind, same in (("net", True), ("user", True), ("mnt", False)):
        assert (os.readlink(f"/proc/{keeper}/ns/{kind}") == os.readlink(f"/proc/{first}/ns/{kind}")) is same
    assert os.readlink(f"/proc/{keeper}/cwd") == "/"
    assert [os.readlink(f"/proc/{keeper}/fd/{fd}") for fd in (0, 1, 2)] == ["/dev/null"] * 3
    assert os.getsid(keeper) != os.getsid(first)
    # itself, to the cgroup that it is told of
    assert (place.directory / "cgroup/cgroup.procs").read_text() == "0"
    pipes = {os.readlink(f"/proc/{first}/fd/{fd}") for fd in (0, 1)}
    assert pipes.isdisjoint(os.readlink(f"/proc/{keeper}/fd/{fd}") for fd in os.listdir(f"/proc/{keeper}/fd"))


def test_a_killed_keeper_is_replaced_once_and_connections_go_on(place: Ground, monitors: list[MonitorProcess]) -> None:
    (keeper,) = _keepers(place)
    slirp = _slirp_pid(monitors[0])
    with (
        _Program(place, ECHO, HOST_ADDRESS, router=False),
        _Program(place, CLIENT, HOST_ADDRESS, router=True) as client,
    ):
        assert client.say() == "hello"
        _end(keeper)
        for monitor in monitors:
            monitor.hear("lost")
            monitor.hear("open")
            monitor.hear_state("ready")
        assert client.say() == "hello"
    (successor,) = _keepers(place)
    assert successor != keeper
    assert _asks(place, "a", "name-c") == ADDRESSES["c"]
    assert len(_info(monitors[0])["members"]) == len(monitors)  # type: ignore[arg-type]
    assert _slirp_pid(monitors[0]) == slirp


def test_what_is_told_to_a_killed_keeper_is_told_to_the_next(place: Ground, monitors: list[MonitorProcess]) -> None:
    """Before its end was seen: what is watched must not be closed, or nobody would see it."""
    (keeper,) = _keepers(place)
    first = monitors[0]
    os.kill(first.process.pid, signal.SIGSTOP)
    _end(keeper)
    assert first.process.stdin is not None
    command = {"do": "update", "names": names_of("renamed", address=ADDRESSES["a"]), "forwards": (), "target": ""}
    first.process.stdin.write(json.dumps(command) + "\n")
    first.process.stdin.flush()
    os.kill(first.process.pid, signal.SIGCONT)
    assert first.hear("joined")["is_lost"] is False
    for monitor in monitors:
        monitor.hear("lost")
        monitor.hear("open")
        monitor.hear_state("ready")
    assert _asks(place, "b", "renamed") == ADDRESSES["a"]


def test_a_killed_slirp4netns_is_started_again(place: Ground, monitors: list[MonitorProcess]) -> None:
    (keeper,) = _keepers(place)
    slirp = _slirp_pid(monitors[0])
    _end(slirp)
    for monitor in monitors:
        said = monitor.hear_state("ready")
        assert said["restarts"] > 0
        assert said["pid"] != slirp
    assert _keepers(place) == [keeper]
    assert _gets_out(place)
    assert _gets_out(place, HOST_ADDRESS6)
    assert any(f"slirp4netns {slirp} ended" in text for _, text in _info(monitors[0])["log"])  # type: ignore[attr-defined]


def test_both_killed_come_back(place: Ground, monitors: list[MonitorProcess]) -> None:
    (keeper,) = _keepers(place)
    slirp = _slirp_pid(monitors[0])
    os.kill(keeper, signal.SIGSTOP)
    _end(slirp)
    _end(keeper)
    for monitor in monitors:
        monitor.hear("lost")
        monitor.hear("open")
        assert monitor.hear_state("ready")["pid"] != slirp
    assert len(_keepers(place)) == 1
    assert _gets_out(place)


def test_a_slirp4netns_that_nobody_knows_of_gives_way(own_place: Ground) -> None:
    """Keeper and monitors are killed at once, and something else holds the pipe by whose end it would end."""
    with _joined(own_place, "a") as (monitor,):
        (keeper,) = _keepers(own_place)
        stray = _slirp_pid(monitor)
        pipes = [os.open(path, os.O_RDWR | os.O_CLOEXEC) for path in _pipes(keeper)]
    _end(keeper)
    with own_place.monitor("d" * 64) as monitor:
        monitor.do("open", "open")
        monitor.do("ready", "ready")
        assert _slirp_pid(monitor) != stray
        assert stray not in _children_named("slirp4netns")
        assert _gets_out(own_place)
    for fd in pipes:
        os.close(fd)


def _pipes(pid: int) -> list[str]:
    paths = [f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd")]
    return [path for path in paths if _target(path).startswith("pipe:")]


def _target(path: str) -> str:
    # what the process has open for a moment may be closed by now
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""


def test_nothing_is_left_after_the_last_monitor(own_place: Ground) -> None:
    dead = own_place.directory / "slirp-1.sock"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(dead))
    os.utime(dead, (0, 0))
    with _joined(own_place, "ab") as (first, second):
        (keeper,) = _keepers(own_place)
        gone = [os.pidfd_open(pid) for pid in (keeper, _slirp_pid(first))]
        first.do("close", "closed")
        assert _gets_out(own_place)
        second.process.kill()
        for pidfd in gone:
            _wait_gone(pidfd)
    assert list(own_place.directory.iterdir()) == []


def test_a_newer_program_replaces_the_keeper_and_serves_the_older(
    place: Ground, monitors: list[MonitorProcess]
) -> None:
    (keeper,) = _keepers(place)
    slirp = _slirp_pid(monitors[0])
    with place.monitor("d" * 64) as newer:
        newer.do("version", "version", version=1000)
        newer.do("open", "open")
        newer.join("name-d")
        newer.hear_state("ready")
        for monitor in monitors:
            monitor.hear("open")
            monitor.hear_state("ready")
        info = _info(newer)
        assert (info["version"], len(info["members"])) == (1000, 4)  # type: ignore[arg-type]
        assert info["pid"] != keeper
        assert _keepers(place) == [info["pid"]]
        assert _slirp_pid(newer) == slirp
        assert _asks(place, "a", "name-b") == ADDRESSES["b"]


def test_forwards_of_slirp4netns_are_opened_again(own_place: Ground) -> None:
    with own_place.monitor("a" * 64) as monitor:
        monitor.do("open", "open")
        monitor.do("ready", "ready")
        monitor.join(forwards=[[HOST_ADDRESS, FORWARDED_PORT, 80]], target=ADDRESSES["a"])
        _end(monitor.hear_state("ready")["pid"])
        monitor.hear_state("ready")
        listening = own_place.run("ss", "-Hltn").stdout
        assert f"{HOST_ADDRESS}:{FORWARDED_PORT}" in listening


def test_a_container_is_answered_on_its_own_sockets_until_it_goes(
    place: Ground, monitors: list[MonitorProcess]
) -> None:
    (keeper,) = _keepers(place)
    before = len(os.listdir(f"/proc/{keeper}/fd"))
    with place.monitor("e" * 64) as monitor:
        inside = f"--net=/proc/{monitor.process.pid}/fd/{monitor.do('make own names', 'made')['fd']}"
        ask = place.enter("dig", "+short", "+tries=1", "+time=20", "@127.0.0.11", "name-b")
        ask[ask.index("--net")] = inside
        monitor.do("open", "open")
        monitor.join("name-e", address="172.30.0.77")
        assert subprocess.check_output(ask, text=True).strip() == ADDRESSES["b"]
        assert subprocess.check_output([*ask, "+tcp"], text=True).strip() == ADDRESSES["b"]
        _end(keeper)
        monitor.hear("open")
        assert subprocess.check_output(ask, text=True).strip() == ADDRESSES["b"]
        monitor.process.kill()
        monitor.process.wait()
    (keeper,) = _keepers(place)
    while any(name.startswith("e") for name, _ in _info(monitors[0])["members"]):  # type: ignore[attr-defined]
        pass
    _wait_for_descriptors(keeper, before)


def test_egress_of_a_container_is_held_and_its_refusals_are_told(place: Ground, monitors: list[MonitorProcess]) -> None:
    with place.monitor("d" * 64) as monitor:
        monitor.do("open", "open")
        monitor.join("name-d", address=ADDRESSES["d"], egress=["allow=example.org"])
        assert _asks(place, "d", "evil.example") == ""
        _time, kind, what = monitor.hear("refusal")["row"]
        assert (kind, what) == ("name", "evil.example")
        assert "v1" in place.run("nft", "list", "ruleset", router=True).stdout


def test_a_keeper_holds_no_mount_of_a_container_and_takes_none_away(own_place: Ground) -> None:
    target = own_place.directory / "mounts/a container/a tree"
    with own_place.monitor("a" * 64) as monitor:
        monitor.do("mount", "mounted", place=str(target))
        monitor.do("open", "open")
        monitor.do("ready", "ready")
        (keeper,) = _keepers(own_place)
        assert "private" not in Path(f"/proc/{keeper}/mountinfo").read_text()
        assert Path(f"/proc/{monitor.process.pid}/mountinfo").read_text().count("private") == 2


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_keeper_does_without_a_runtime_directory(own_place: Ground, is_allowed: bool) -> None:
    """A log-out takes it away, and what it was in."""
    gone = own_place._replace(directory=own_place.directory / "gone")
    if not is_allowed:
        gone.directory.write_text("a file")
    with _joined(gone, "a") as (monitor,):
        assert _gets_out(gone)
        _end(_slirp_pid(monitor))
        monitor.hear_state("ready")
        assert _gets_out(gone)
        assert gone.directory.is_dir() is is_allowed


def test_who_says_nonsense_is_let_go(place: Ground, monitors: list[MonitorProcess]) -> None:
    for nonsense in ("not json", '"text"', '{"type": 7}', '{"type": "join", "version": 1}', '{"type": "join"}'):
        assert monitors[0].do("raw", "answered", data=nonsense)["length"] == 0
    assert _info(monitors[0])["pid"] == _keepers(place)[0]
    assert len(_info(monitors[0])["members"]) == len(monitors)  # type: ignore[arg-type]


def test_a_way_out_that_cannot_be_is_an_error_with_a_mend(own_place: Ground) -> None:
    with own_place.monitor("a" * 64) as monitor:
        monitor.do("without slirp4netns", "without")
        monitor.do("open", "open")
        failed = monitor.do("ready", "failed")
        assert failed["message"] == "slirp4netns is not installed"
        assert "slirp4netns" in failed["mend"]
        monitor.join("name-a")
        # it is there for names all the same, and tries again for who comes
        assert monitor.hear_state("failed")["message"] == failed["message"]
        while len(_info(monitor)["log"]) < 2:  # type: ignore[arg-type]
            pass


@pytest.mark.parametrize(
    ("warm", "rounds", "egress"),
    [
        (20, 20, ()),
        # libnftables takes some megabytes more with each of the first hundred runs
        pytest.param(
            200, 1000, ("allow=example.org,198.51.100.7:80",), marks=[pytest.mark.long, pytest.mark.timeout(600)]
        ),
    ],
)
def test_containers_that_come_and_go_leave_nothing(
    place: Ground, monitors: list[MonitorProcess], warm: int, rounds: int, egress: tuple[str, ...]
) -> None:
    (keeper,) = _keepers(place)
    monitor = monitors[2]
    names = names_of("passing", address=ADDRESSES["d"], egress=egress)
    found = []
    # what is made once, and kept, is made by the first
    for count in (warm, rounds):
        monitor.do("rounds", "lived", count=count, names=names)
        while len(_info(monitor)["members"]) > len(monitors):  # type: ignore[arg-type]
            pass
        found.append(_Holdings.of(place, keeper))
    before, after = found
    assert after.rules == before.rules
    assert after.kib < before.kib + 512
    _wait_for_descriptors(keeper, before.descriptors)
    assert _keepers(place) == [keeper]


class _Holdings(NamedTuple):
    """What a keeper has."""

    descriptors: int
    rules: str
    kib: int

    @classmethod
    def of(cls, place: Ground, pid: int) -> _Holdings:
        rules = place.run("nft", "list", "ruleset", router=True).stdout
        return cls(len(os.listdir(f"/proc/{pid}/fd")), rules, _own_kib(pid))


def _wait_for_descriptors(pid: int, most: int) -> None:
    """Until it has no more than so many: the connection of a question may be there a moment longer than the answer."""
    while len(os.listdir(f"/proc/{pid}/fd")) > most:
        pass


def _own_kib(pid: int) -> int:
    """Memory that is no file's, whoever has it too: what is its alone changes with who forked it."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("Anonymous:")]
    return int(line.split()[1])
