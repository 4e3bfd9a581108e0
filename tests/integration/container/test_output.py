"""logs, attach and exec; terminals."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.integration.container.conftest import state_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
DETACHED = ("run", "-d", "--network", "none")


def test_logs_are_apart_selected_and_stamped(sandbox: Sandbox, busybox: str) -> None:
    script = "echo one; echo two >&2; echo three; printf four"
    sandbox.run("run", "--network", "none", "--name", "talk", busybox, "sh", "-c", script)
    whole = sandbox.run("logs", "talk")
    assert (whole.stdout, whole.stderr) == ("one\nthree\nfour", "two\n")
    assert sandbox.run("logs", "-n", "1", "talk").stdout == "four"
    assert sandbox.run("logs", "--tail", "0", "talk").stdout == ""
    stamped = sandbox.run("logs", "-t", "talk").lines[0]
    stamp, _, text = stamped.partition(" ")
    assert text == "one"
    assert stamp.endswith("Z")
    assert sandbox.run("logs", "--until", "2020-01-01", "talk").stdout == ""
    assert sandbox.run("logs", "--since", "1h", "talk").stdout == whole.stdout
    assert sandbox.run("logs", "--since", stamp, "talk").lines[0] == "one"


@pytest.mark.parametrize(
    ("arguments", "status"), [(("--tail", "x", "c"), 125), (("--since", "soon", "c"), 1), (("nobody",), 1)]
)
def test_bad_requests_for_logs_are_told(
    sandbox: Sandbox, busybox: str, arguments: tuple[str, ...], status: int
) -> None:
    sandbox.run("create", "--name", "cc", busybox, "true")
    words = [argument if argument != "c" else "cc" for argument in arguments]
    assert "Error: " in sandbox.run("logs", *words, status=status).stderr


def test_logs_follow_to_the_end(sandbox: Sandbox, busybox: str) -> None:
    script = "echo first; while [ ! -e /go ]; do sleep 0.05; done; echo last"
    sandbox.run(*DETACHED, "--name", "live", busybox, "sh", "-c", script)
    process = sandbox.spawn("logs", "-f", "live")
    assert process.stdout is not None
    assert process.stdout.readline() == b"first\n"
    sandbox.run("exec", "live", "touch", "/go")
    output, errors = process.communicate(timeout=60)
    assert (output, errors, process.returncode) == (b"last\n", b"", 0)


def test_logs_rotate(sandbox: Sandbox, busybox: str) -> None:
    options = ("--log-opt", "max-size=2k", "--log-opt", "max-file=3")
    script = "seq 1000 1999"
    sandbox.run("run", "--network", "none", "--name", "much", *options, busybox, "sh", "-c", script)
    lines = sandbox.run("logs", "much").lines
    assert lines[-1] == "1999"
    assert lines == [str(number) for number in range(int(lines[0]), 2000)]
    (data,) = (sandbox.home.data / "sandbox/containers").iterdir()
    assert sorted(path.name for path in data.glob("log.json*")) == ["log.json", "log.json.1", "log.json.2"]
    assert all(path.stat().st_size <= 2048 for path in data.glob("log.json*"))


def test_no_log_at_all(sandbox: Sandbox, busybox: str) -> None:
    done = sandbox.run("run", "--network", "none", "--name", "mute", "--log-driver", "none", busybox, "echo", "seen")
    assert done.stdout == "seen\n"
    assert "does not support reading" in sandbox.run("logs", "mute", status=1).stderr


def test_attach_sees_what_comes_and_gives_input(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*DETACHED, "-i", "--name", "echoes", busybox, "sh", "-c", "read x; echo got $x; read y; exit 4")
    process = sandbox.spawn("attach", "echoes", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"hello\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"got hello\n"
    second = sandbox.spawn("attach", "--no-stdin", "echoes")
    process.stdin.write(b"bye\n")
    process.communicate()
    second.communicate()
    assert process.returncode == 4
    assert second.returncode in (1, 4)
    assert "stopped container" in sandbox.run("attach", "echoes", status=1).stderr


def test_exec_carries_streams_environment_and_code(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*DETACHED, "-e", "A=container", "--name", "host", busybox, "sleep", "1000")
    done = sandbox.run("exec", "-e", "B=exec", "-w", "/tmp", "host", "sh", "-c",
                       "echo $A $B; pwd; echo e >&2; exit 6", status=6)  # fmt: skip
    assert (done.stdout, done.stderr) == ("container exec\n/tmp\n", "e\n")
    data = b"line\n" * 50000
    assert sandbox.run("exec", "-i", "host", "cat", input=data).stdout == data.decode()
    assert sandbox.run("exec", "-u", "user", "host", "id", "-un").stdout == "user\n"
    for command, status in (("nonesuch", 127), ("/etc/passwd", 126)):
        sandbox.run("exec", "host", command, status=status)
    sandbox.run("exec", "-d", "host", "sh", "-c", "echo x > /made")
    sandbox.run("exec", "host", "sh", "-c", "while [ ! -e /made ]; do sleep 0.05; done")
    sandbox.run("stop", "-t", "0", "host")
    assert "is not running" in sandbox.run("exec", "host", "true", status=1).stderr


def test_exec_reads_a_regular_file_as_input(sandbox: Sandbox, busybox: str) -> None:
    place = sandbox.home.root / "input"
    place.write_bytes(b"0123456789" * 100000)
    sandbox.run(*DETACHED, "--name", "host", busybox, "sleep", "1000")
    with open(place, "rb") as file:
        process = sandbox.spawn("exec", "-i", "host", "wc", "-c", stdin=file.fileno())
        output, _errors = process.communicate()
    assert output == b"1000000\n"


class Terminal:
    """The command on a pseudo-terminal; what it prints is read until an expected text."""

    def __init__(self, sandbox: Sandbox, *arguments: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 33, 77, 0, 0))
            words = sandbox.words(*arguments)
            os.execvpe(words[0], words, sandbox.env)
        self.seen = b""

    def expect(self, text: bytes) -> None:
        while text not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], 60)
            assert ready, f"waited for {text!r} in {self.seen!r}"
            # without what the container's terminal puts before a line break
            self.seen += os.read(self.fd, 4096).replace(b"\r", b"")
        self.seen = self.seen.partition(text)[2]

    def read_all(self) -> bytes:
        """All that comes until the command ends, byte by byte; the terminal is as it was before."""
        found = self.seen
        with suppress(OSError):  # EIO: nobody has the other end any more
            while data := os.read(self.fd, 4096):
                found += data
        settings = termios.tcgetattr(self.fd)
        os.close(self.fd)
        assert os.waitpid(self.pid, 0)[1] == 0
        assert settings[1] & termios.OPOST
        assert settings[3] & termios.ECHO
        return found

    def type(self, data: bytes) -> None:
        os.write(self.fd, data)

    def end(self) -> int:
        while True:
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                break
            if not data:
                break
            self.seen += data
        os.close(self.fd)
        _pid, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


def test_a_terminal_is_one_inside_with_keys_and_exit_code(sandbox: Sandbox, busybox: str) -> None:
    terminal = Terminal(sandbox, "run", "--rm", "-it", "--network", "none", busybox, "sh")
    terminal.expect(b"# ")
    terminal.type(b"stty size; echo $TERM; test -t 0 && echo is-a-tty\n")
    terminal.expect(b"\n33 77\nxterm\nis-a-tty\n")
    # only once the shell has its terminal out of line editing is this key a signal, and one process must do both:
    # a signal between the word and the fork would meet the shell alone
    terminal.type(b"sh -c 'echo sleeping; exec sleep 1000'\n")
    terminal.expect(b"\nsleeping\n")
    terminal.type(b"\x03")
    terminal.expect(b"# ")
    terminal.type(b"exit 12\n")
    assert terminal.end() == 12
    assert state_files(sandbox) == []


def test_detach_keys_leave_it_running_and_attach_comes_back(sandbox: Sandbox, busybox: str) -> None:
    terminal = Terminal(sandbox, "run", "-it", "--name", "shell", "--network", "none", busybox, "sh")
    terminal.expect(b"# ")
    terminal.type(b"\x10\x11")
    assert terminal.end() == 0
    assert "Up " in sandbox.run("ps").stdout
    again = Terminal(sandbox, "attach", "shell")
    again.type(b"echo back-$((40+2))\n")
    again.expect(b"\nback-42\n")
    again.type(b"exit 3\n")
    assert again.end() == 3


def test_exec_with_a_terminal(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run(*DETACHED, "--name", "host", busybox, "sleep", "1000")
    terminal = Terminal(sandbox, "exec", "-it", "host", "sh")
    terminal.expect(b"# ")
    terminal.type(b"test -t 1 && echo is-a-tty\n")
    terminal.expect(b"\nis-a-tty\n")
    terminal.type(b"exit 9\n")
    assert terminal.end() == 9


_EXACT = 'stty -opost; printf "ab\\ncd"'


def test_what_a_terminal_inside_makes_arrives_as_it_is(sandbox: Sandbox, busybox: str) -> None:
    """The caller's terminal puts nothing to it: run, start -a, exec and attach, with keys and without."""
    sandbox.run("create", "-it", "--name", "typed", "--network", "none", busybox, "sh", "-c", _EXACT)
    sandbox.run("create", "-t", "--name", "shown", "--network", "none", busybox, "sh", "-c", _EXACT)
    sandbox.run(*DETACHED, "-it", "--name", "host", busybox, "sh")
    sandbox.run(*DETACHED, "-it", "--name", "held", busybox, "sh", "-c", f"read _; {_EXACT}")
    lines = (
        ("run", "--rm", "-it", "--network", "none", busybox, "sh", "-c", _EXACT),
        ("start", "-ai", "typed"),
        ("exec", "-it", "host", "sh", "-c", _EXACT),
        ("run", "--rm", "-t", "--network", "none", busybox, "sh", "-c", _EXACT),
        ("start", "-a", "shown"),
        ("exec", "-t", "host", "sh", "-c", _EXACT),
    )
    for line in lines:
        terminal = Terminal(sandbox, *line)
        assert terminal.read_all() == b"ab\ncd", line
    terminal = Terminal(sandbox, "attach", "held")
    terminal.type(b"\r")
    # behind the echo of the key
    assert terminal.read_all().endswith(b"\r\nab\ncd")


def test_it_without_a_terminal_is_refused(sandbox: Sandbox, busybox: str) -> None:
    refused = sandbox.run("run", "--rm", "-it", "--network", "none", busybox, "true", status=1)
    assert "the input device is not a TTY" in refused.stderr
    assert state_files(sandbox) == []


def test_a_stopped_client_does_not_stop_others(
    sandbox: Sandbox, busybox: str, eventually: Callable[[Callable[[], object]], None]
) -> None:
    script = "read x; seq 1 20000; exit 8"
    sandbox.run(*DETACHED, "-i", "--name", "loud", busybox, "sh", "-c", script)
    frozen = sandbox.spawn("attach", "--no-stdin", "loud")
    giver = sandbox.spawn("attach", "loud", stdin=subprocess.PIPE)
    os.kill(frozen.pid, signal.SIGSTOP)
    output, _errors = giver.communicate(b"go\n", timeout=60)
    assert giver.returncode == 8
    assert output.splitlines()[-1] == b"20000"
    os.kill(frozen.pid, signal.SIGCONT)
    frozen.communicate()
    eventually(lambda: "Exited (8)" in sandbox.run("ps", "-a").stdout)
