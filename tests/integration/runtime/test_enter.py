"""`exec` beside a running container, terminals, and calls in a user namespace."""

from __future__ import annotations

import os
import select
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox.errors import CommandNotFoundError, ConflictError, SandboxError, StartError
from sandbox.runtime.capabilities import DEFAULT_CAPABILITIES
from sandbox.runtime.enter import begin_exec, set_up_exec
from sandbox.runtime.id_maps import find_id_map
from sandbox.runtime.process import Stdio
from sandbox.runtime.terminal import WindowSize, set_window_size
from sandbox.runtime.user_namespace import UserNamespaceWorkers, call_in_user_namespace
from storage.errors import StorageError
from tests.integration.runtime.containers import container, process, run, running, shell

if TYPE_CHECKING:
    import socket

    from sandbox.runtime.spec import ProcessSpec

pytestmark = pytest.mark.requires("userns", "subids", "busybox")


def _execute(pid: int, spec: ProcessSpec) -> tuple[int, str]:
    out = os.memfd_create("output")
    try:
        started = set_up_exec(pid, spec, Stdio(None, out, out)).release()
        _pid, status = os.waitpid(started.pid, 0)
        os.close(started.pidfd)
        return os.waitstatus_to_exitcode(status), os.pread(out, 1 << 20, 0).decode()
    finally:
        os.close(out)


def _read_to_end(master: int) -> str:
    parts = []
    while True:
        assert select.select([master], [], [], 20)[0]
        try:
            part = os.read(master, 4096)
        except OSError:  # EIO: the last one closed the other end
            break
        if not part:
            break
        parts.append(part)
    os.close(master)
    return b"".join(parts).decode()


def test_same_namespaces_root_and_rules(root: Path) -> None:
    (root / "marker").write_text("inside\n")
    script = "cat /marker; hostname; grep -E 'Cap(Inh|Bnd|Amb)' /proc/self/status; ls /proc/self/fd; pwd; exit 5"
    with running(container(root, "sleep", "1000")) as pid:
        status, output = _execute(pid, process("sh", "-c", script)._replace(working_directory="/etc"))
        namespaces = {
            name: os.readlink(f"/proc/{pid}/ns/{name}") for name in ("user", "net", "pid", "mnt", "ipc", "uts")
        }
        seen = _execute(
            pid, process("sh", "-c", f"cd /proc/self/ns; for n in {' '.join(namespaces)}; do readlink $n; done")
        )
    assert status == 5
    assert output.split() == [
        *("inside", "box", "CapInh:", "0" * 16, "CapBnd:", "00000000a80425fb", "CapAmb:", "0" * 16),
        *("0", "1", "2", "3", "/etc"),
    ]
    assert seen[1].split() == list(namespaces.values())


@pytest.mark.parametrize(
    ("user", "command", "becomes"),
    [
        pytest.param("1000", "sleep 1000", ("sleep", 1000), id="from the start"),
        pytest.param("12345:54321", "sleep 1000", ("sleep", 12345), id="not in passwd"),
        pytest.param("1000", "/unreadable/sleep 1000", ("sleep", 1000), id="a file it may not read: undumpable"),
        pytest.param("0", "httpd -f -p 127.0.0.1:8080 -u 1000", ("httpd", 1000), id="later: undumpable"),
        pytest.param("0", "su web -s /bin/sh -c 'exec sleep 1000'", ("sleep", 33), id="later, then exec"),
    ],
)
def test_a_first_process_of_another_user(root: Path, user: str, command: str, becomes: tuple[str, int]) -> None:
    """Its directory in /proc belongs to its user, or to root of the host where it may not be dumped."""
    (root / "bin/su").symlink_to("busybox")
    (root / "unreadable").mkdir()
    shutil.copy(root / "bin/busybox", root / "unreadable/sleep")
    (root / "unreadable/sleep").chmod(0o711)
    spec = container(root, "sh", "-c", f"exec {command}")
    with running(spec._replace(process=spec.process._replace(user=user))) as pid:
        deadline = time.monotonic() + 60
        while _name_and_user(pid) != becomes:
            assert time.monotonic() < deadline
        as_root = _execute(pid, process("sh", "-c", "id -u; readlink /proc/self/ns/user"))
        as_user = _execute(pid, process("id", "-u")._replace(user="33"))
    assert as_root[1].splitlines()[0] == "0"
    assert as_root[1].splitlines()[1] != os.readlink("/proc/self/ns/user")
    assert as_user == (0, "33\n")


def _name_and_user(pid: int) -> tuple[str, int]:
    """What the process runs, and its effective user in a container's numbers."""
    fields = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    user = int(fields["Uid"].split()[1])
    lines = find_id_map().uid_lines
    return fields["Name"], next(inner + user - outer for inner, outer, size in lines if outer <= user < outer + size)


def test_errors_come_back(root: Path) -> None:
    with running(container(root, "sleep", "1000")) as pid:
        with pytest.raises(CommandNotFoundError, match="executable file not found"):
            _execute(pid, process("nope"))
        with pytest.raises(StartError, match="unable to find user"):
            _execute(pid, process("true")._replace(user="nobody"))
        with pytest.raises(StartError, match="working directory"):
            _execute(pid, process("true")._replace(working_directory="/nowhere"))
        with pytest.raises(StartError, match="working directory"):
            _execute(pid, process("true")._replace(working_directory="/proc/self/fd/5"))


def test_ended_container_is_a_conflict(root: Path) -> None:
    with running(container(root, "sleep", "1000")) as pid:
        pass
    with pytest.raises(ConflictError, match="not running"):
        set_up_exec(pid, process("true"), Stdio()).release()


def test_a_child_whose_parent_is_gone_ends_and_does_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A monitor may be killed while a child of it enters the container; the child must not go on as the monitor."""
    reading, writing = os.pipe()
    parent = os.getpid()

    def fail(_adjust: int) -> None:
        os.close(writing)
        os.read(reading, 1)
        raise OSError

    monkeypatch.setattr("sandbox.runtime.enter.write_oom_score", fail)
    try:
        begun = begin_exec(parent, process("true"), Stdio())
    except BaseException:
        if os.getpid() != parent:
            os._exit(42)
        raise
    begun.pending.abandon()
    begun.entry.close()
    for fd in (reading, writing):
        os.close(fd)
    assert os.waitstatus_to_exitcode(os.waitpid(begun.between, 0)[1]) == 0


def test_terminal_of_exec(root: Path) -> None:
    with running(container(root, "sleep", "1000")) as pid:
        spec = process("sh", "-c", "tty; stat -c %u $(tty); test -t 0 && test -t 2 && echo terminals")
        stdio = Stdio(window_size=WindowSize(40, 100))
        started = set_up_exec(pid, spec._replace(terminal=True, user="33"), stdio).release()
        assert started.terminal_fd is not None
        output = _read_to_end(started.terminal_fd)
        os.waitpid(started.pid, 0)
        os.close(started.pidfd)
    assert output.split() == ["/dev/pts/0", "33", "terminals"]


def test_terminal_of_the_first_process(root: Path) -> None:
    """The pty is the container's own, is its /dev/console, and can be given another size."""

    def in_monitor() -> str:
        from sandbox.runtime.launch import Launcher

        spec = shell(root, "tty; echo on the console >/dev/console; stat -c %t,%T /dev/console")
        spec = spec._replace(process=spec.process._replace(terminal=True))
        launcher = Launcher()
        launcher.prepare(spec)
        started = launcher.start(spec, Stdio(window_size=WindowSize(24, 80)))
        assert started.terminal_fd is not None
        set_window_size(started.terminal_fd, WindowSize(50, 132))
        output = _read_to_end(started.terminal_fd)
        os.waitpid(started.pid, 0)
        return output

    assert str(call_in_user_namespace(in_monitor)).splitlines() == ["/dev/pts/0", "on the console", "88,0"]


def test_call_returns_and_raises(tmp_path: Path) -> None:
    assert call_in_user_namespace(lambda: [os.getuid(), os.getgid(), os.getgroups()]) == [0, 0, []]

    def fail_in_storage() -> None:
        raise StorageError("cannot do it", cause="because", mend="so")

    with pytest.raises(SandboxError) as caught:
        call_in_user_namespace(fail_in_storage)
    assert (caught.value.message, caught.value.cause, caught.value.mend) == ("cannot do it", "because", "so")
    with pytest.raises(SandboxError, match="died"):
        call_in_user_namespace(lambda: os._exit(3))
    with pytest.raises(SandboxError) as caught:
        call_in_user_namespace(os.mkdir, "/proc/nope")
    assert "/proc/nope" in caught.value.cause


def test_call_can_own_files_for_every_mapped_id(tmp_path: Path) -> None:
    def own() -> None:
        (tmp_path / "file").write_text("x")
        os.chown(tmp_path / "file", 1234, 65534)

    call_in_user_namespace(own)
    assert os.stat(tmp_path / "file").st_uid not in (os.getuid(), 1234)
    call_in_user_namespace(lambda: (tmp_path / "file").unlink())


def test_workers_answer_and_end_with_their_sockets() -> None:
    def serve(end: socket.socket) -> None:
        while text := end.recv(100):
            end.send(b"%s %d" % (text, os.getuid()))

    workers = UserNamespaceWorkers(3, serve)
    for number, end in enumerate(workers.sockets):
        end.send(b"%d" % number)
    assert [end.recv(100) for end in workers.sockets] == [b"0 0", b"1 0", b"2 0"]
    workers.close()
    workers.close()


def test_capabilities_of_exec_are_asked_for(root: Path) -> None:
    with running(container(root, "sleep", "1000")) as pid:
        spec = process("grep", "CapBnd", "/proc/self/status")._replace(capabilities=())
        assert _execute(pid, spec)[1].split()[1] == "0" * 16
    assert len(DEFAULT_CAPABILITIES) == 14
    assert run(container(root, "true")).status == 0
