"""A container's first process: namespaces, tree, identity, limits, and what its failure says."""

from __future__ import annotations

import os
import resource
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from sandbox.errors import CommandNotFoundError, NotExecutableError, StartError, UsageError
from sandbox.runtime.launch import Launcher
from sandbox.runtime.process import Stdio
from sandbox.runtime.spec import BindMount, DeviceNode, ResourceLimit, TmpfsMount
from sandbox.runtime.user_namespace import call_in_user_namespace, enter_user_namespace, make_peers, map_forked_child
from tests.integration.runtime.containers import container, run, run_once, shell

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.runtime.spec import ContainerSpec

pytestmark = pytest.mark.requires("userns", "subids", "busybox")


def test_exit_code_and_output_come_back(root: Path) -> None:
    outcome = run(shell(root, "echo hello; exit 7"))
    assert (outcome.status, outcome.output) == (7, "hello\n")


def test_first_process_is_pid_1_in_namespaces_of_its_own(root: Path) -> None:
    outcome = run(
        shell(root, "echo $$; hostname; readlink /proc/1/ns/user /proc/1/ns/net /proc/1/ns/mnt /proc/1/ns/ipc")
    )
    pid, hostname, *namespaces = outcome.lines
    assert (pid, hostname) == ("1", "box")
    assert not set(namespaces) & {os.readlink(f"/proc/self/ns/{kind}") for kind in ("user", "net", "mnt", "ipc")}


def test_device_files_and_links(root: Path) -> None:
    script = "echo x >/dev/null; head -c 4 /dev/zero | cat | head -c 0; for n in null zero full random urandom tty; do"
    script += " test -c /dev/$n || echo no $n; done; readlink /dev/fd /dev/stdin /dev/stdout /dev/stderr /dev/ptmx"
    script = script.replace("readlink /dev/fd /dev/stdin", "for l in fd stdin").replace(
        " /dev/stdout /dev/stderr /dev/ptmx", " stdout stderr ptmx; do readlink /dev/$l; done"
    )
    outcome = run(shell(root, script))
    assert outcome.lines == [
        "/proc/self/fd",
        "/proc/self/fd/0",
        "/proc/self/fd/1",
        "/proc/self/fd/2",
        "pts/ptmx",
    ]


def test_loopback_is_up_and_low_ports_are_free_in_a_network_of_its_own(root: Path) -> None:
    outcome = run(shell(root, "ip -o addr; cat /proc/sys/net/ipv4/ip_unprivileged_port_start"))
    assert "127.0.0.1/8" in outcome.output
    assert outcome.lines[-1] == "0"


def test_host_network_is_the_callers(root: Path) -> None:
    outcome = run(shell(root, "readlink /proc/self/ns/net; ls /sys/class/net")._replace(network="host"))
    assert outcome.lines[0] == os.readlink("/proc/self/ns/net")


def test_every_mapped_id_can_own_files(root: Path) -> None:
    outcome = run(shell(root, "cat /proc/self/uid_map"))
    assert sum(int(line.split()[2]) for line in outcome.lines) >= 65536


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", "uid=0(root) gid=0(root) groups=0(root)"),
        ("web", "uid=33(web) gid=33(web) groups=4(log),33(web)"),
        ("web:root", "uid=33(web) gid=0(root) groups=0(root)"),
        ("1000", "uid=1000 gid=0(root) groups=0(root)"),
        ("1000:1001", "uid=1000 gid=1001 groups=1001"),
    ],
)
def test_user(root: Path, user: str, expected: str) -> None:
    spec = container(root, "id")
    assert run(spec._replace(process=spec.process._replace(user=user))).output.strip() == expected


def test_home_defaults_to_the_users(root: Path) -> None:
    spec = shell(root, "echo $HOME")
    assert run(spec._replace(process=spec.process._replace(user="web"))).output == "/var/www\n"


def test_missing_working_directory_is_made(root: Path) -> None:
    spec = shell(root, "pwd; stat -c %u .")
    assert run(spec._replace(process=spec.process._replace(working_directory="/srv/app"))).lines == ["/srv/app", "0"]


def test_pipes_can_be_opened_again_by_another_user(root: Path) -> None:
    """nginx and others open /dev/stdout by name, as the user they run as."""

    def in_monitor() -> str:
        spec = shell(root, "echo by name >/dev/stdout")
        spec = spec._replace(process=spec.process._replace(user="web"))
        launcher = Launcher()
        launcher.prepare(spec)
        read_end, write_end = os.pipe()
        started = launcher.start(spec, Stdio(None, write_end, write_end))
        os.close(write_end)
        os.waitpid(started.pid, 0)
        return os.read(read_end, 100).decode()

    assert call_in_user_namespace(in_monitor) == "by name\n"


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("nope",), CommandNotFoundError, 'exec: "nope": executable file not found in $PATH'),
        (("/nope",), CommandNotFoundError, 'exec: "/nope": stat /nope: no such file or directory'),
        (("/etc/passwd",), NotExecutableError, 'exec: "/etc/passwd": permission denied'),
        (("/etc",), NotExecutableError, 'exec: "/etc": is a directory'),
        (("/bin/garbage",), NotExecutableError, 'exec: "/bin/garbage": exec format error'),
        (("/bin/orphan",), CommandNotFoundError, 'exec: "/bin/orphan": no such file or directory'),
    ],
)
def test_program_that_cannot_run(root: Path, arguments: tuple[str, ...], kind: type[StartError], message: str) -> None:
    for name, text in (("garbage", "garbage\n"), ("orphan", "#!/nowhere\n")):
        (root / "bin" / name).write_text(text)
        (root / "bin" / name).chmod(0o755)
    with pytest.raises(kind) as caught:
        run(container(root, *arguments))
    assert caught.value.message == message


def test_unknown_user_is_an_error(root: Path) -> None:
    spec = container(root, "id")
    with pytest.raises(StartError, match="unable to find user nobody"):
        run(spec._replace(process=spec.process._replace(user="nobody")))


def test_limits_are_set(root: Path) -> None:
    spec = shell(root, "ulimit -n; ulimit -c")
    limits = (ResourceLimit(resource.RLIMIT_NOFILE, 123, 456), ResourceLimit(resource.RLIMIT_CORE, 0, 0))
    assert run(spec._replace(process=spec.process._replace(resource_limits=limits))).lines == ["123", "0"]


def test_process_limit_holds_without_cgroups(root: Path) -> None:
    script = "i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done"
    outcome = run(shell(root, script)._replace(process_limit=20))
    assert "can't fork" in outcome.output


def test_process_limit_counts_the_container_alone(root: Path) -> None:
    many = "i=0; while [ $i -lt 40 ]; do sleep 60 & i=$((i+1)); done; echo; wait"
    few = "i=0; while [ $i -lt 10 ]; do sleep 60 & i=$((i+1)); done; echo all"

    def in_monitor() -> str:
        launchers = Launcher(), Launcher()
        read_end, write_end = os.pipe()
        outputs: list[bytes] = []
        started = []
        for launcher, spec in zip(
            launchers, (shell(root, many), shell(root, few)._replace(process_limit=20)), strict=True
        ):
            launcher.prepare(spec)
            started.append(launcher.start(spec, Stdio(None, write_end, write_end)))
            outputs.append(os.read(read_end, 100))
        os.kill(started[0].pid, signal.SIGKILL)
        for each in started:
            os.waitpid(each.pid, 0)
        return outputs[1].decode()

    assert call_in_user_namespace(in_monitor) == "all\n"


def test_signals_have_their_defaults(root: Path) -> None:
    outcome = run(container(root, "grep", "-E", "SigIgn|SigBlk", "/proc/self/status"))
    assert [line.split()[1] for line in outcome.lines] == ["0" * 16, "0" * 16]


def test_binds_tmpfs_and_devices(root: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("from the host\n")
    source = os.fspath(tmp_path / "data")
    mounts = (
        BindMount(source, "/data"),
        BindMount(source, "/ro", read_only=True),
        BindMount(f"{source}/file", "/etc/one"),
        TmpfsMount("/scratch", "size=1m,mode=700"),
    )
    script = (
        "cat /etc/one; touch /data/new && echo rw; touch /ro/x 2>&1; stat -c %a /scratch; test -c /dev/nul2 && echo dev"
    )
    spec = shell(root, script)._replace(mounts=mounts, devices=(DeviceNode("/dev/null", "/dev/nul2"),))
    outcome = run(spec)
    assert outcome.lines == ["from the host", "rw", "touch: /ro/x: Read-only file system", "700", "dev"]
    assert (tmp_path / "data/new").exists()


def test_missing_bind_source_is_named(root: Path) -> None:
    with pytest.raises(StartError) as caught:
        run(container(root, "true")._replace(mounts=(BindMount("/nowhere/at/all", "/x"),)))
    assert "/nowhere/at/all" in caught.value.message
    assert "does not exist" in caught.value.cause


def test_directory_on_a_file_is_explained(root: Path, tmp_path: Path) -> None:
    with pytest.raises(StartError) as caught:
        run(container(root, "true")._replace(mounts=(BindMount(os.fspath(tmp_path), "/etc/passwd"),)))
    assert "directory onto a file" in caught.value.cause


def test_read_only_root(root: Path) -> None:
    outcome = run(shell(root, "touch /x 2>&1; touch /dev/shm/x && echo shm")._replace(read_only_root=True))
    assert outcome.lines == ["touch: /x: Read-only file system", "shm"]


def test_sysctls(root: Path) -> None:
    sysctls = (("net.ipv4.ip_forward", "1"), ("kernel.msgmax", "4096"))
    spec = shell(root, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax")._replace(sysctls=sysctls)
    assert run(spec).lines == ["1", "4096"]


@pytest.mark.parametrize("name", ["kernel.panic", "vm.swappiness", "net/../kernel.panic", "kernel.hostname"])
def test_sysctl_of_the_host_is_refused(root: Path, name: str) -> None:
    with pytest.raises(UsageError):
        run(container(root, "true")._replace(sysctls=((name, "1"),)))


def test_init_reaps_forwards_and_ends_as_its_child(root: Path) -> None:
    assert run(shell(root, "(sleep 0.01 &); exit 9")._replace(init=True)).status == 9
    assert run(shell(root, "kill -TERM 1; sleep 60")._replace(init=True)).status == 128 + signal.SIGTERM
    (root / "bin/garbage").write_text("garbage")
    (root / "bin/garbage").chmod(0o755)
    with pytest.raises(NotExecutableError):
        run(container(root, "garbage")._replace(init=True))


def test_restart_keeps_the_network_namespace(root: Path) -> None:
    def in_monitor() -> list[str]:
        spec = container(root, "readlink", "/proc/self/ns/net")
        launcher = Launcher()
        launcher.prepare(spec)
        return [run_once(launcher, spec)[1] for _life in range(3)]

    lives = call_in_user_namespace(in_monitor)
    assert isinstance(lives, list)
    assert len(set(lives)) == 1


def test_nothing_runs_before_the_gate(root: Path) -> None:
    def in_monitor() -> list[bool]:
        spec = container(root, "touch", "/ran")
        launcher = Launcher()
        launcher.prepare(spec)
        pending = launcher.set_up(spec, Stdio())
        before = (root / "ran").exists()
        os.waitpid(pending.release().pid, 0)
        pending = launcher.set_up(spec, Stdio())
        pending.abandon()
        return [before, (root / "ran").exists()]

    assert call_in_user_namespace(in_monitor) == [False, True]


def test_container_dies_with_its_monitor(root: Path) -> None:
    peers = make_peers()
    ours, theirs = socket.socketpair()
    monitor = os.fork()
    if monitor == 0:
        try:
            enter_user_namespace(peers)
            spec = container(root, "sleep", "1000")
            launcher = Launcher()
            launcher.prepare(spec)
            theirs.send(b"%d" % launcher.start(spec, Stdio()).pid)
            signal.pause()
        finally:
            os._exit(1)
    theirs.close()
    map_forked_child(peers, monitor)
    pidfd = os.pidfd_open(int(ours.recv(16)))
    os.kill(monitor, signal.SIGKILL)
    os.waitpid(monitor, 0)
    ours.close()
    _wait_readable(pidfd)
    os.close(pidfd)


def _wait_readable(pidfd: int) -> None:
    import select

    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(20_000), "the container outlived its monitor"


def test_shared_network(root: Path) -> None:
    """`--network container:ID`: same network namespace, own user namespace, set-up beside the other container."""
    from sandbox.runtime.user_namespace import join_user_namespace_of
    from tests.integration.runtime.containers import running

    with running(container(root, "sleep", "1000")) as pid:
        wanted = os.readlink(f"/proc/{pid}/ns/net"), os.readlink(f"/proc/{pid}/ns/pid")
        spec = shell(root, "readlink /proc/self/ns/net /proc/self/ns/pid; ls /sys/class/net; ps")
        spec = shell(root, "for k in net pid; do readlink /proc/self/ns/$k; done; ls /sys/class/net; ps")
        spec = spec._replace(network="join", join_network_pid=pid, pid_mode="join", join_pid=pid)
        outcome = _run_beside(pid, spec, join_user_namespace_of)
    assert outcome[:2] == list(wanted)
    assert "lo" in outcome
    assert any("sleep 1000" in line for line in outcome)


def _run_beside(pid: int, spec: ContainerSpec, join: object) -> list[str]:
    assert callable(join)
    read_end, write_end = os.pipe()
    monitor = os.fork()
    if monitor == 0:
        try:
            join(pid)
            launcher = Launcher()
            launcher.prepare(spec)
            os.write(write_end, run_once(launcher, spec)[1].encode())
        except BaseException as error:  # noqa: BLE001  # a process boundary: shown by the parent
            os.write(write_end, repr((error, getattr(error, "cause", ""))).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end) as stream:
        lines = stream.read().splitlines()
    os.waitpid(monitor, 0)
    return lines
