"""slirp4netns for real: started in nested namespaces by our code, its API driven by our client."""

from __future__ import annotations

import os
import select
import signal
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from net.addresses import CONTAINER_ADDRESS
from net.errors import NetError
from net.host_ports import PortInUseError, check_free
from net.ports import Forward, PortMapping
from net.slirp import (
    SlirpFeatures,
    SlirpPlan,
    assume_features,
    close_slirp,
    parse_features,
    probe_features,
    ready_steps,
    slirp_arguments,
    spawn_slirp,
    wait_ready,
)
from net.slirp_api import SlirpClient, SlirpSilentError, publish
from net.slirp_protocol import SlirpRefusedError
from net.tun import check_tun
from tests.needs import REPOSITORY
from tests.net.another_host import ADDRESS
from tests.net.interface_addresses import has_ipv6
from tests.net.private_network import private_network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.net.private_network import PrivateNetwork

needs_slirp = pytest.mark.requires("userns", "tap", "slirp4netns")


@pytest.fixture
def network(tmp_path: Path) -> Iterator[PrivateNetwork]:
    with private_network(tmp_path) as made:
        yield made


def _fetch(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        return connection.makefile("rb").read()


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@needs_slirp
def test_published_tcp_port_answers_on_the_host(network: PrivateNetwork) -> None:
    with network.echo_server("80/tcp"):
        (bound,) = publish(network.api_socket, (PortMapping("127.0.0.1", 0, 80),))
        assert bound.host_port > 0
        # the gateway, never 127.0.0.1: CVE-2021-20199
        assert _fetch(bound.host_port) == b"tcp from 10.0.2.2"


@needs_slirp
@pytest.mark.parametrize("host_ip", ["", "127.0.0.1", "127.0.0.2"])
def test_published_udp_port_answers_on_the_hosts_loopback(network: PrivateNetwork, host_ip: str) -> None:
    with network.echo_server("53/udp"):
        (bound,) = network.publish(PortMapping(host_ip, 0, 53, "udp"))
        target = (host_ip or "127.0.0.1", bound.host_port)
        clients = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(3)]
        for number, client in enumerate(clients):
            client.settimeout(10)
            client.sendto(b"question %d" % number, target)
        for number, client in enumerate(clients):
            assert client.recvfrom(100) == (b"udp question %d" % number, target)
            client.close()


@needs_slirp
def test_published_udp_port_answers_on_the_hosts_other_addresses(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.net.another_host", str(tmp_path)]
    asked = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", *program], capture_output=True, text=True, check=False
    )
    assert asked.stdout == f"{ADDRESS} udp question\n", asked.stderr


@needs_slirp
def test_udp_clients_without_end_are_forgotten_one_by_one(network: PrivateNetwork) -> None:
    with network.echo_server("53/udp"):
        (bound,) = network.publish(PortMapping("", 0, 53, "udp"))
        for number in range(600):
            with socket.socket(type=socket.SOCK_DGRAM) as client:
                client.settimeout(10)
                client.sendto(b"%d" % number, ("127.0.0.1", bound.host_port))
                assert client.recv(100) == b"udp %d" % number


@needs_slirp
def test_all_protections_are_on(network: PrivateNetwork) -> None:
    assert network.notes == ()
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{network.slirp_pid}/status") if ":\t" in line)  # noqa: SIM115
    assert status["Seccomp"].strip() == "2"
    assert sorted(os.listdir(f"/proc/{network.slirp_pid}/root/")) == ["etc", "run"]
    assert stat.S_IMODE(os.stat(network.api_socket).st_mode) == 0o600


@needs_slirp
def test_slirp_gets_no_descriptor_of_the_caller(network: PrivateNetwork) -> None:
    links = {os.readlink(entry.path) for entry in os.scandir(f"/proc/{network.slirp_pid}/fd")}
    kinds = {link.split(":")[0] for link in links}
    assert kinds <= {"/dev/null", "/dev/net/tun", "pipe", "socket", "net"}


@needs_slirp
def test_interface_is_configured(network: PrivateNetwork) -> None:
    code = "from tests.net.interface_addresses import list_addresses as l; print(*[':'.join(a) for a in l()])"
    shown = network.run(sys.executable, "-c", code).stdout.split()
    assert "lo:127.0.0.1" in shown
    assert "tap0:10.0.2.100" in shown
    if has_ipv6():
        assert any(text.startswith("tap0:fe80::") for text in shown)


@needs_slirp
def test_taken_port_is_named_with_its_holder(network: PrivateNetwork, taken_port: int) -> None:
    with pytest.raises(PortInUseError) as caught:
        publish(network.api_socket, (PortMapping("", 0, 80), PortMapping("", taken_port, 81)))
    assert f"port is already allocated: 0.0.0.0:{taken_port}/tcp" in caught.value.message
    assert caught.value.pid == os.getpid()
    assert str(os.getpid()) in caught.value.cause
    # all or nothing: the first one is closed again
    assert SlirpClient(network.api_socket).list_hostfwd() == ()


_ODD_HOLDER = """
import socket, sys
open("/proc/self/comm", "wb").write(b"\\xff) x")
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()
"""


def test_a_holder_of_any_name_is_named() -> None:
    words = [sys.executable, "-c", _ODD_HOLDER]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        with pytest.raises(PortInUseError) as caught:
            check_free(Forward("127.0.0.1", int(holder.stdout.readline()), "tcp"))
        assert caught.value.pid == holder.pid
        assert "\ufffd) x" in caught.value.cause
        holder.communicate("")


@needs_slirp
def test_two_networks_cannot_share_a_udp_port(network: PrivateNetwork, tmp_path: Path) -> None:
    (bound,) = publish(network.api_socket, (PortMapping("", 0, 53, "udp"),))
    with private_network(tmp_path, "second.sock") as second:
        with pytest.raises(PortInUseError) as caught:
            publish(second.api_socket, (PortMapping("", bound.host_port, 53, "udp"),))
        assert caught.value.pid == network.slirp_pid


@needs_slirp
def test_range_steps_over_a_taken_port(network: PrivateNetwork, taken_port: int) -> None:
    (bound,) = publish(
        network.api_socket, (PortMapping("127.0.0.1", taken_port, 80, "tcp", min(taken_port + 50, 65535)),)
    )
    assert taken_port < bound.host_port <= taken_port + 50
    assert bound.host_port_end == 0


@needs_slirp
def test_many_ports(network: PrivateNetwork) -> None:
    bound = publish(network.api_socket, tuple(PortMapping("", 0, 8000 + n) for n in range(50)))
    assert len({mapping.host_port for mapping in bound}) == 50
    client = SlirpClient(network.api_socket)
    listed = client.list_hostfwd()
    assert {(entry.forward.host_port, entry.container_port) for entry in listed} == {
        (mapping.host_port, mapping.container_port) for mapping in bound
    }


@needs_slirp
def test_refusals_are_errors(network: PrivateNetwork, taken_port: int) -> None:
    client = SlirpClient(network.api_socket)
    with pytest.raises(SlirpRefusedError):
        client.remove_hostfwd(12345)
    with pytest.raises(SlirpRefusedError):
        client.add_hostfwd(Forward("127.0.0.1", taken_port, "tcp"), 80)


class _InterruptedClient(SlirpClient):
    """A ctrl-C at one call of publishing, before it or when slirp4netns has done it; what tidies up is let through."""

    left = 0
    is_heard = False

    def add_hostfwd(self, forward: Forward, container_port: int, address: str = CONTAINER_ADDRESS) -> int:
        kind = type(self)
        kind.left -= 1
        if kind.left == 0 and not kind.is_heard:
            raise KeyboardInterrupt
        number = super().add_hostfwd(forward, container_port, address)
        if kind.left == 0:
            raise KeyboardInterrupt
        return number


@needs_slirp
@pytest.mark.parametrize("is_heard", [False, True])
def test_interrupted_publish_leaves_no_forward(
    network: PrivateNetwork, monkeypatch: pytest.MonkeyPatch, is_heard: bool
) -> None:
    monkeypatch.setattr("net.slirp_api.SlirpClient", _InterruptedClient)
    monkeypatch.setattr(_InterruptedClient, "is_heard", is_heard)
    for call in (1, 2):
        monkeypatch.setattr(_InterruptedClient, "left", call)
        with pytest.raises(KeyboardInterrupt):
            publish(network.api_socket, (PortMapping("", 0, 80), PortMapping("", 0, 81)))
        assert SlirpClient(network.api_socket).list_hostfwd() == ()
    assert len(publish(network.api_socket, (PortMapping("", 0, 80), PortMapping("", 0, 81)))) == 2


@needs_slirp
def test_many_clients_at_once_each_get_an_answer(network: PrivateNetwork) -> None:
    # slirp4netns' queue is far shorter than this
    code = "import sys; from net.slirp_api import SlirpClient; sys.exit(SlirpClient(sys.argv[1]).list_hostfwd() != ())"
    words = [sys.executable, "-c", code, network.api_socket]
    clients = [subprocess.Popen(words, cwd=REPOSITORY) for _ in range(20)]
    assert [client.wait() for client in clients] == [0] * 20


@pytest.mark.parametrize("is_full", [False, True])
def test_one_that_does_not_answer_is_not_waited_for_long(tmp_path: Path, is_full: bool) -> None:
    path = str(tmp_path / "api")
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as before:
        silent.bind(path)
        silent.listen(0)
        if is_full:
            before.connect(path)
        with pytest.raises(SlirpSilentError, match="does not answer") as caught:
            publish(path, (PortMapping("", 0, 80),), patience_seconds=0.05)
    assert caught.value.cause == "slirp4netns did not answer for 0.05 seconds"


@needs_slirp
def test_killed_slirp_is_seen_and_named(network: PrivateNetwork) -> None:
    pidfd = os.pidfd_open(network.slirp_pid)
    os.kill(network.slirp_pid, signal.SIGKILL)
    assert select.select([pidfd], [], [], 10)[0] == [pidfd]
    os.close(pidfd)
    with pytest.raises(NetError, match="does not answer"):
        publish(network.api_socket, (PortMapping("", 0, 80),))


_PUBLISH_LOW = """
from net.host_ports import PrivilegedPortError, check_free
from net.ports import Forward
try:
    check_free(Forward("0.0.0.0", 1023, "tcp"))
except PrivilegedPortError as error:
    print(error.message, error.mend, sep="; ")
"""


@pytest.mark.requires("userns")
def test_privileged_port() -> None:
    """In a new network namespace, where users may listen from 1024 on whatever the host's setting is."""
    words = ["unshare", "--user", "--map-current-user", "--net", sys.executable, "-c", _PUBLISH_LOW]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "needs a port above 1023; use a free host port, such as " in done.stdout


def test_address_that_is_not_ours() -> None:
    with pytest.raises(NetError, match="not an address of this machine"):
        check_free(Forward("192.0.2.7", 8080, "tcp"))


def test_ipv6_host_address_is_refused_with_a_way_out() -> None:
    with pytest.raises(NetError) as caught:
        publish("/nonexistent", (PortMapping("::1", 8080, 80),))
    assert "127.0.0.1" in caught.value.mend


def test_the_proxy_protocol_is_refused() -> None:
    with pytest.raises(NetError, match="PROXY protocol"):
        publish("/nonexistent", (PortMapping("", 8080, 80, proxy_protocol=1),))


def test_missing_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.programs._SYSTEM_DIRECTORIES", ())
    with pytest.raises(NetError, match="not installed") as caught:
        probe_features("/nonexistent:relative/bin")
    assert "slirp4netns" in caught.value.mend


@pytest.mark.parametrize("text", ["", "bash 5", "slirp4netns version", "slirp4netns version 0.3.1\nno help"])
def test_program_that_is_not_slirp(text: str) -> None:
    with pytest.raises(NetError, match="not a usable slirp4netns"):
        parse_features("/x/slirp4netns", text, "--configure")


def test_tun_device_errors(tmp_path: Path) -> None:
    (tmp_path / "misc").write_text("229 fuse\n")
    with pytest.raises(NetError, match="there is no") as caught:
        check_tun(str(tmp_path / "tun"), str(tmp_path))
    assert caught.value.mend == "sudo modprobe tun"
    (tmp_path / "misc").write_text("229 fuse\n200 tun\n")
    with pytest.raises(NetError, match="there is no") as caught:
        check_tun(str(tmp_path / "tun"), str(tmp_path))
    assert f"mknod -m 0666 {tmp_path}/tun c 10 200" in caught.value.mend
    (tmp_path / "tun").write_text("")
    (tmp_path / "tun").chmod(0)
    with pytest.raises(NetError, match="cannot be opened") as caught:
        check_tun(str(tmp_path / "tun"))
    assert "chmod 0666" in caught.value.mend


def _stand_in(directory: Path, refused: str) -> SlirpFeatures:
    """A slirp4netns that ends at once when it is given `refused`, else says it is ready and waits for its end.

    Its help lists all options but the refused one.
    """
    options = ("--enable-sandbox", "--enable-seccomp", "--disable-host-loopback", "--netns-type=TYPE")
    path = directory / "slirp4netns"
    path.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        "if '--version' in sys.argv: sys.exit(print('slirp4netns version 0.9'))\n"
        f"if '--help' in sys.argv: sys.exit(print({' '.join(set(options) - {refused})!r}))\n"
        f"if {refused!r} in sys.argv: sys.exit('cannot do this here')\n"
        "fds = {w.split('=')[0]: w.split('=')[1] for w in sys.argv[1:] if '=' in w}\n"
        "os.write(int(fds['--ready-fd']), b'1')\nos.read(int(fds['--exit-fd']), 1)\n"
    )
    path.chmod(0o755)
    return SlirpFeatures(str(path), "1", frozenset(option.split("=")[0] for option in options))


@pytest.mark.requires("tap")
def test_without_a_protection_that_fails_and_a_note_of_it(tmp_path: Path) -> None:
    plan = SlirpPlan(_stand_in(tmp_path, "--enable-sandbox"), 0, str(tmp_path / "api.sock"))
    process = wait_ready(plan, spawn_slirp(plan))
    assert process.notes == ("slirp4netns runs without --enable-sandbox: cannot do this here",)
    close_slirp(process)
    assert os.waitpid(process.pid, 0)[1] == 0


@pytest.mark.requires("tap")
def test_old_one_is_asked_only_after_it_failed(tmp_path: Path) -> None:
    features = _stand_in(tmp_path, "--enable-seccomp")._replace(version="")
    plan = SlirpPlan(features, 0, str(tmp_path / "api.sock"))
    process = wait_ready(plan, spawn_slirp(plan))
    assert process.notes == ("slirp4netns runs without --enable-seccomp: cannot do this here",)
    close_slirp(process)
    assert os.waitpid(process.pid, 0)[1] == 0


@pytest.mark.requires("tap")
def test_old_one_without_loopback_protection_is_never_started(tmp_path: Path) -> None:
    features = _stand_in(tmp_path, "--disable-host-loopback")._replace(version="")
    plan = SlirpPlan(features, 0, str(tmp_path / "api.sock"))
    with pytest.raises(NetError, match="host's loopback"):
        wait_ready(plan, spawn_slirp(plan))


@pytest.mark.requires("tap")
def test_one_that_never_starts_is_an_error_with_its_words(tmp_path: Path) -> None:
    plan = SlirpPlan(_stand_in(tmp_path, "tap0"), 0, str(tmp_path / "api.sock"))
    with pytest.raises(NetError, match="did not start") as caught:
        wait_ready(plan, spawn_slirp(plan))
    assert caught.value.cause == "cannot do this here"


@pytest.mark.requires("tap")
@pytest.mark.parametrize("given_up", [True, False])
def test_one_that_hangs_is_waited_for_by_who_has_something_else_to_do(tmp_path: Path, given_up: bool) -> None:
    path = tmp_path / "slirp4netns"
    path.write_text("#!/bin/sh\nexec sleep 1000\n")
    path.chmod(0o755)
    features = SlirpFeatures(str(path), "1", frozenset({"--disable-host-loopback"}))
    plan = SlirpPlan(features, 0, str(tmp_path / "api.sock"))
    process = spawn_slirp(plan)
    steps = ready_steps(plan, process, 7.0)
    assert next(steps) == (process.ready_fd, 7.0)
    if given_up:
        steps.close()
    else:
        with pytest.raises(NetError, match="not ready after 7 seconds"):
            steps.send(False)
    # killed and reaped
    with pytest.raises(ChildProcessError):
        os.waitpid(process.pid, 0)


def test_never_without_loopback_protection(tmp_path: Path) -> None:
    features = SlirpFeatures("/bin/true", "0.4", frozenset({"--netns-type"}))
    with pytest.raises(NetError, match="host's loopback"):
        spawn_slirp(SlirpPlan(features, 0, str(tmp_path / "api.sock")))


def test_socket_path_that_is_too_long(tmp_path: Path) -> None:
    features = _stand_in(tmp_path, "")
    with pytest.raises(NetError, match="too long"):
        spawn_slirp(SlirpPlan(features, 0, "/tmp/" + "x" * 120))


_HELP_OF_1_0_1 = """Usage: slirp4netns [OPTION]... PID|PATH [TAPNAME]
-c, --configure          bring up the interface
-e, --exit-fd=FD         specify the FD for terminating slirp4netns
-r, --ready-fd=FD        specify the FD to write to when the network is configured
-m, --mtu=MTU            specify MTU (default=1500, max=65521)
-6, --enable-ipv6        enable IPv6 (experimental)
-a, --api-socket=PATH    specify API socket path
--cidr=CIDR              specify network address CIDR (default=10.0.2.0/24)
--disable-host-loopback  prohibit connecting to 127.0.0.1:* on the host namespace
--netns-type=TYPE        specify network namespace type ([path|pid], default=pid)
--userns-path=PATH       specify user namespace path
--enable-sandbox         create a new mount namespace (and drop all caps except CAP_NET_BIND_SERVICE)
--enable-seccomp         enable seccomp to limit syscalls (experimental)
"""
_SINCE_1_1 = "--outbound-addr=IPv4 sets\n--outbound-addr6=IPv6 sets\n--disable-dns disables\n"
_SINCE_1_2 = "--macaddress=MAC specify\n--target-type=TYPE specify\n"


@pytest.mark.parametrize(
    ("version", "help_text"),
    [
        ("1.0.1", _HELP_OF_1_0_1),
        ("1.1.12", _HELP_OF_1_0_1 + _SINCE_1_1),
        ("1.2.0", _HELP_OF_1_0_1 + _SINCE_1_1 + _SINCE_1_2),
        ("1.3.2", _HELP_OF_1_0_1 + _SINCE_1_1 + _SINCE_1_2),
    ],
)
def test_versions_that_are_about_have_all_that_is_assumed_of_them(version: str, help_text: str) -> None:
    told = parse_features("/usr/bin/slirp4netns", f"slirp4netns version {version}\ncommit: unknown\n", help_text)
    assert told.version == version
    assumed = assume_features()._replace(program=told.program)
    assert assumed.options <= told.options
    one, other = (slirp_arguments(SlirpPlan(features, 5, "/a"), 3, 4) for features in (told, assumed))
    assert one == other


def test_arguments_follow_the_features() -> None:
    old = SlirpPlan(SlirpFeatures("/usr/bin/slirp4netns", "0.4", frozenset({"--disable-host-loopback"})), 5, "/a")
    assert not {"--enable-sandbox", "--enable-seccomp", "--enable-ipv6"} & set(slirp_arguments(old, 3, 4))
    assert slirp_arguments(old, 3, 4)[-2:] == ("/proc/self/fd/5", "tap0")
