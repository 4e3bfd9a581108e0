"""`run` in the foreground and in the background: output, input, exit codes, and nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests import leaks
from tests.integration.container.conftest import state_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
RUN = ("run", "--rm", "--network", "none")


def test_output_errors_and_exit_code_come_through_and_rm_leaves_nothing(sandbox: Sandbox, busybox: str) -> None:
    done = sandbox.run(*RUN, busybox, "sh", "-c", "echo out; echo err >&2; exit 7", status=7)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert sandbox.run("ps", "-aq").stdout == ""
    assert state_files(sandbox) == []


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("true",), 0),
        (("sh", "-c", "exit 200"), 200),
        (("sh", "-c", "kill -KILL $$; sleep 9"), None),
        (("no-such-program",), 127),
        (("/no/such/program",), 127),
        (("/etc/passwd",), 126),
        (("/etc",), 126),
    ],
)
def test_every_exit_code_is_dockers(
    sandbox: Sandbox, busybox: str, command: tuple[str, ...], status: int | None
) -> None:
    done = sandbox.run(*RUN, "--init", busybox, *command, status=status)
    if status is None:
        assert done.status == 137
    assert state_files(sandbox) == []


def test_the_init_has_a_plain_name_and_the_program_its_own(sandbox: Sandbox, busybox: str) -> None:
    script = "cat /proc/1/comm /proc/$$/comm; ps -o args; exit 3"
    shown = sandbox.run(*RUN, "--init", busybox, "sh", "-c", script, status=3).lines
    assert shown[:3] == ["sandbox-init", "sh", "COMMAND"]
    assert shown[3].startswith("sandbox-init /bin/sh sh -c")


def test_a_failed_start_stays_as_created_with_its_reason(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("run", "--network", "none", "--name", "bad", busybox, "nonesuch", status=127)
    shown = sandbox.run(
        "container", "inspect", "--format", "{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}", "bad"
    )
    assert shown.stdout.startswith("created 127 ")
    assert "nonesuch" in shown.stdout
    sandbox.run("rm", "bad")
    assert state_files(sandbox) == []


def test_a_mount_source_that_cannot_be_made_is_named(sandbox: Sandbox, busybox: str) -> None:
    refused = sandbox.run(*RUN, "-v", "/proc/nowhere/at/all:/data", busybox, "true", status=125)
    assert "cannot make /proc/nowhere/at/all, which is to be mounted at /data" in refused.stderr
    assert "cause: No such file or directory: /proc/nowhere" in refused.stderr
    assert "mend: mount at /data a directory that is there" in refused.stderr
    assert sandbox.run("ps", "-aq").stdout == ""
    assert state_files(sandbox) == []


def test_input_is_passed_on_with_its_end(sandbox: Sandbox, busybox: str) -> None:
    data = b"0123456789abcde\n" * 40000
    done = sandbox.run(*RUN, "-i", busybox, "sh", "-c", "cat; echo end", input=data)
    assert done.stdout == data.decode() + "end\n"


def test_without_i_the_container_reads_nothing(sandbox: Sandbox, busybox: str) -> None:
    assert sandbox.run(*RUN, busybox, "wc", "-c", input="ignored").stdout == "0\n"


def test_much_output_through_a_slow_reader_is_whole(sandbox: Sandbox, busybox: str) -> None:
    process = sandbox.spawn(*RUN, busybox, "sh", "-c", "yes 0123456789 | head -c 5000000")
    assert process.stdout is not None
    assert process.stderr is not None
    first = process.stdout.read(10)
    rest = process.stdout.read()
    assert process.wait() == 0
    assert len(first) + len(rest) == 5000000
    process.stdout.close()
    process.stderr.close()


def test_detached_prints_the_whole_id_once_it_runs(sandbox: Sandbox, busybox: str) -> None:
    container_id = sandbox.run("run", "-d", "--network", "none", busybox, "sleep", "1000").stdout.strip()
    assert len(container_id) == 64
    assert sandbox.run("ps", "-q", "--no-trunc").stdout.strip() == container_id
    sandbox.run("rm", "-f", container_id[:12])
    assert state_files(sandbox) == []


@pytest.mark.parametrize(("command", "status"), [("nonesuch", 127), ("/etc/passwd", 126)])
def test_detached_tells_a_failed_start(sandbox: Sandbox, busybox: str, command: str, status: int) -> None:
    done = sandbox.run("run", "-d", "--rm", "--network", "none", busybox, command, status=status)
    assert done.stdout == ""
    assert "Error: " in done.stderr
    assert state_files(sandbox) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_are_passed_on(sandbox: Sandbox, busybox: str, number: int) -> None:
    script = f"trap 'echo got; exit 3' {int(number)}; echo ready; while :; do sleep 0.05; done"
    process = sandbox.spawn(*RUN, busybox, "sh", "-c", script)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    assert process.stdout.read() == b"got\n"
    assert process.wait() == 3
    process.stdout.close()
    process.stderr.close()


def test_a_third_interrupt_leaves_a_container_that_goes_on(sandbox: Sandbox, busybox: str) -> None:
    script = "trap 'echo got' INT TERM; echo ready; while :; do sleep 0.05; done"
    process = sandbox.spawn("run", "--network", "none", "--name", "stays", busybox, "sh", "-c", script)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"ready\n"
    for number in (signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
        # one at a time: a signal that is pending already is not sent twice
        assert process.stdout.readline() == b"got\n"
    process.send_signal(signal.SIGINT)
    assert process.wait() == 1
    assert process.stderr.read() == b"\ngot 3 SIGTERM/SIGINTs, forcefully exiting\n  mend: sandbox kill stays\n"
    process.stdout.close()
    process.stderr.close()
    assert sandbox.run("ps", "--format", "{{.Names}}").lines == ["stays"]
    sandbox.run("kill", "stays")


def test_cidfile_is_written_and_never_overwritten(sandbox: Sandbox, busybox: str, tmp_path: Path) -> None:
    place = tmp_path / "cid"
    sandbox.run("run", "--network", "none", "--cidfile", place, "--name", "named", busybox, "true")
    shown = sandbox.run("container", "inspect", "--format", "{{.Id}}", "named").stdout.strip()
    assert place.read_text() == shown
    refused = sandbox.run("run", "--cidfile", place, busybox, "true", status=125)
    assert "container ID file found" in refused.stderr


def test_create_then_start_attached(sandbox: Sandbox, busybox: str) -> None:
    container_id = sandbox.run("create", "--network", "none", "-i", "--name", "later", busybox, "cat").stdout.strip()
    assert "Created" in sandbox.run("ps", "-a").stdout
    assert sandbox.run("start", "-ai", "later", input="typed\n").stdout == "typed\n"
    assert sandbox.run("start", container_id[:6]).stdout == f"{container_id[:6]}\n"


def test_volumes_are_filled_from_the_image_and_kept_or_removed(sandbox: Sandbox, busybox: str) -> None:
    script = "stat -c %u:%n /var/data/file; cat /var/data/file; echo more >> /var/data/file"
    first = sandbox.run(*RUN, "-v", "named:/var/data", busybox, "sh", "-c", script)
    assert first.stdout == "1000:/var/data/file\nfrom the image\n"
    again = sandbox.run(*RUN, "-v", "named:/var/data", busybox, "cat", "/var/data/file")
    assert again.stdout == "from the image\nmore\n"
    sandbox.run(*RUN, "-v", "/var/data", busybox, "touch", "/var/data/new")
    volumes = sandbox.home.data / "sandbox/volumes"
    assert os.listdir(volumes) == ["named"]


def test_a_bind_mount_shows_the_hosts_files_and_ro_holds(sandbox: Sandbox, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("host\n")
    done = sandbox.run(*RUN, "-v", f"{tmp_path}:/mnt:ro", busybox, "sh", "-c", "cat /mnt/file; echo x > /mnt/file",
                       status=1)  # fmt: skip
    assert done.stdout == "host\n"
    assert (tmp_path / "file").read_text() == "host\n"
    missing = sandbox.run(*RUN, "--mount", f"type=bind,src={tmp_path}/none,dst=/x", busybox, "true", status=125)
    assert "bind source path does not exist" in missing.stderr


def test_a_name_that_is_taken_is_refused_naming_the_holder(sandbox: Sandbox, busybox: str) -> None:
    holder = sandbox.run("create", "--name", "web", busybox, "true").stdout.strip()
    refused = sandbox.run("run", "--rm", "--network", "none", "--name", "web", busybox, "true", status=125)
    assert f'The container name "/web" is already in use by container "{holder}"' in refused.stderr
    assert len(state_files(sandbox)) == 1


def test_an_unknown_image_is_not_pulled_with_pull_never(sandbox: Sandbox) -> None:
    refused = sandbox.run("run", "--pull", "never", "nonesuch", "true", status=125)
    assert "No such image: nonesuch" in refused.stderr
    assert state_files(sandbox) == []


def test_twenty_at_once(sandbox: Sandbox, busybox: str) -> None:
    processes = [sandbox.spawn(*RUN, busybox, "echo", str(number)) for number in range(20)]
    answers = [process.communicate() for process in processes]
    assert [out for out, _err in answers] == [f"{number}\n".encode() for number in range(20)], answers
    assert [process.returncode for process in processes] == [0] * 20
    assert state_files(sandbox) == []
    assert sandbox.run("ps", "-aq").stdout == ""


def test_killing_the_command_in_the_foreground_leaves_the_container_running(sandbox: Sandbox, busybox: str) -> None:
    process = sandbox.spawn("run", "--network", "none", "--name", "kept", busybox, "sh", "-c", "echo up; sleep 1000")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"up\n"
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()
    assert "Up " in sandbox.run("ps").stdout
    assert sandbox.run("exec", "kept", "echo", "alive").stdout == "alive\n"
    sandbox.run("rm", "-f", "kept")
    assert leaks.wait_processes_gone(str(sandbox.home.root)) == []
    assert state_files(sandbox) == []


@pytest.mark.parametrize("delay_ms", [5, 30, 60, 90, 120, 160, 200, 300])
def test_killing_the_command_at_any_moment_of_the_start_leaves_nothing_half_made(
    sandbox: Sandbox, busybox: str, delay_ms: int
) -> None:
    process = sandbox.spawn("run", "-d", "--rm", "--network", "none", busybox, "true")
    try:
        process.wait(delay_ms / 1000)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()
    assert leaks.wait_processes_gone(str(sandbox.home.root)) == []
    assert sandbox.run("ps", "-aq").stdout == ""
    assert state_files(sandbox) == []


@pytest.mark.requires("slirp4netns", "tap")
def test_a_port_that_is_taken_names_the_holder_and_keeps_the_reason(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("run", "-d", "-p", "127.0.0.1::80", "--name", "first", busybox, "sleep", "1000")
    port = sandbox.run("port", "first", "80").stdout.strip().rpartition(":")[2]
    refused = sandbox.run("run", "-d", "-p", f"127.0.0.1:{port}:80", "--name", "second", busybox, "true", status=125)
    assert "port is already allocated" in refused.stderr
    assert "container first publishes it" in refused.stderr
    assert "Created" in sandbox.run("ps", "-a", "--filter", "name=second").stdout
    gone = sandbox.run(
        "run", "-d", "--rm", "-p", f"127.0.0.1:{port}:80", "--name", "third", busybox, "true", status=125
    )
    assert "port is already allocated" in gone.stderr
    assert "third" not in sandbox.run("ps", "-a").stdout


@pytest.mark.requires("slirp4netns", "tap")
def test_a_container_shares_the_network_of_another(sandbox: Sandbox, busybox: str) -> None:
    server = ("sh", "-c", "echo page > /tmp/x; exec httpd -f -p 80 -h /tmp")
    sandbox.run("run", "-d", "--name", "server", "--network", "slirp4netns", busybox, *server)
    share = ("run", "--rm", "--network", "container:server", busybox)
    assert (
        sandbox.run(*share, "sh", "-c", "cat /etc/hosts").stdout
        == sandbox.run("exec", "server", "cat", "/etc/hosts").stdout
    )
    names = "hostname; cat /etc/hostname; echo $HOSTNAME; ls /sys/class/net"
    done = sandbox.run(*share, "sh", "-c", names)
    assert done.lines[:3] == [sandbox.run("exec", "server", "hostname").stdout.strip()] * 3
    # the other one's interfaces, not the host's
    assert set(done.lines[3:]) >= {"lo", "tap0"}
    assert "eth0" not in done.lines
    sandbox.run("stop", "-t", "0", "server")
    assert "it is not running" in sandbox.run(*share, "true", status=125).stderr
    assert (
        "No such container: nobody"
        in sandbox.run("run", "--rm", "--network", "container:nobody", busybox, "true", status=125).stderr
    )


_FILES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
_TRY = 'for f in "$@"; do (echo x >>$f) 2>/dev/null && echo $f; done; true'


@pytest.mark.requires("slirp4netns", "tap")
def test_a_read_only_root_holds_for_the_files_of_the_engine(sandbox: Sandbox, busybox: str) -> None:
    """What a person mounts stays writable, also in place of one of these files; for exec as well."""
    own = sandbox.home.root / "own-hosts"
    own.write_text("")
    places = (*_FILES, "/new", "/etc/new", "/volume/new", "/tmp/new", "/dev/shm/new")
    asked = ("sh", "-c", _TRY, "sh", *places)
    options = ("-v", "kept:/volume", "--tmpfs", "/tmp", "--add-host", "a:10.0.0.1", "--hostname", "box")
    writable = ["/volume/new", "/tmp/new", "/dev/shm/new"]
    sandbox.run("run", "-d", "--name", "held", "--read-only", *options, busybox, "sleep", "1000")
    for command in (("exec", "held"), ("exec", "--privileged", "held")):
        assert sandbox.run(*command, *asked).lines == writable
    refused = sandbox.run("exec", "held", "sh", "-c", "rm -f /etc/hosts; mv /etc/hostname /etc/x", status=None)
    assert refused.status != 0
    assert sandbox.run("exec", "held", "cat", "/etc/hostname").lines == ["box"]
    # each container has its own way to the files it shares
    neighbour = ("run", "--rm", "--network", "container:held")
    assert sandbox.run(*neighbour, "--read-only", busybox, *asked).lines == ["/dev/shm/new"]
    assert set(_FILES) < set(sandbox.run(*neighbour, busybox, *asked).lines)
    mine = sandbox.run(*RUN, "--read-only", "-v", f"{own}:/etc/hosts", busybox, *asked)
    assert mine.lines == ["/etc/hosts", "/dev/shm/new"]


def test_whose_files_of_a_bind_mount_are_inside_and_outside(sandbox: Sandbox, busybox: str, tmp_path: Path) -> None:
    """As docs/coming-from-docker.md has it; the third way, `idmap`, is tried with mapped mounts."""
    tmp_path.chmod(0o755)
    (tmp_path / "mine").write_text("x")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    script = "stat -c %u /src/mine; touch /src/open/$(id -u)"
    for user in ("0", "1000"):
        assert sandbox.run(*RUN, "-u", user, "-v", f"{tmp_path}:/src", busybox, "sh", "-c", script).lines == ["0"]
    assert (tmp_path / "open/0").stat().st_uid == os.getuid()
    assert (tmp_path / "open/1000").stat().st_uid not in (os.getuid(), 1000)
    sandbox.run(*RUN, "-v", f"{tmp_path}:/src", busybox, "rm", "-r", "/src/open")
    assert not (tmp_path / "open").exists()


def test_an_image_that_says_things_in_its_own_way(sandbox: Sandbox, odd_image: str) -> None:
    shown = sandbox.run(*RUN, odd_image).lines
    assert "SET=1" in shown
    assert not [line for line in shown if line.startswith(("BARE", "=", "nameless"))]
    assert sandbox.run(*RUN, odd_image, "echo", "a command").lines == ["a command"]
    form = "{{json .Config.Labels}} {{json .Config.Volumes}} {{json .Config.Cmd}} {{.Os}} {{len .Architecture}}"
    inspected = sandbox.run("image", "inspect", "-f", form, odd_image).stdout.split()
    assert inspected[:4] == ['{"label":""}', '{"/volume":{}}', '["/bin/env"]', "linux"]
    assert inspected[4] != "0"
    (sandbox.home.root / "Dockerfile").write_text(f"FROM {odd_image}\nENV MORE=2\nRUN env\n")
    sandbox.run("build", "-q", "--network", "none", "-t", "built", str(sandbox.home.root))
    built = sandbox.run(*RUN, "built").lines
    assert {"SET=1", "MORE=2"} < set(built)
    assert not [line for line in built if line.startswith(("BARE", "="))]
    assert sandbox.run("history", odd_image).lines
    assert "nothing is wrong" in sandbox.run("system", "check").stdout
