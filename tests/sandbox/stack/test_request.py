"""From a service to the request for its container: Compose's names, labels, meanings, and what becomes of each key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.stack.errors import ComposeFileError
from sandbox.stack.fates import all_keys, check_supported, fates_of, left_out
from sandbox.stack.key_table import with_table
from sandbox.stack.request import NOT_CARRIED, Instance, request_of
from sandbox.stack.request_grants import require_files
from sandbox.values import (
    Device,
    EndpointRequest,
    FileGrant,
    HealthCheck,
    MountRequest,
    PublishedPort,
    RestartPolicy,
    Rlimit,
)
from tests.needs import REPOSITORY
from tests.sandbox.stack.projects import one

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.container.request.request import ContainerRequest

_PAGE = REPOSITORY / "docs" / "compose.md"


def _request(directory: Path, body: str, more: str = "", instance: Instance | None = None) -> ContainerRequest:
    project = one(directory, f"name: demo\nservices:\n  db: {{image: d}}\n  web: {{image: i, {body}}}\n{more}")
    return request_of("web", project, instance or Instance())


def test_names_and_labels(tmp_path: Path) -> None:
    text = "depends_on: {db: {condition: service_healthy, restart: true}}, labels: {own: x}, networks: [default, back]"
    made = _request(tmp_path, text, "networks: {back: {}}", Instance(2, "sha256:1"))
    assert made.name == "demo-web-2"
    labels = dict(made.labels)
    assert len(labels.pop("com.docker.compose.config-hash")) == 64
    assert labels == {
        "com.docker.compose.container-number": "2",
        "com.docker.compose.depends_on": "db:service_healthy:true",
        "com.docker.compose.image": "sha256:1",
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.project": "demo",
        "com.docker.compose.project.config_files": f"{tmp_path}/compose.yaml",
        "com.docker.compose.project.working_dir": str(tmp_path),
        "com.docker.compose.service": "web",
        "com.docker.compose.version": "2.40.3",
        "own": "x",
    }
    assert made.endpoints == (
        EndpointRequest("demo_back", ("demo-web-2", "web")),
        EndpointRequest("demo_default", ("demo-web-2", "web")),
    )
    assert _request(tmp_path, "container_name: mine").name == "mine"
    one_off = _request(tmp_path, "tty: true", instance=Instance(one_off_name="demo-web-run-1"))
    assert one_off.name == "demo-web-run-1"
    assert dict(one_off.labels)["com.docker.compose.oneoff"] == "True"


def test_networks_and_ports(tmp_path: Path) -> None:
    made = _request(
        tmp_path,
        "networks: {low: {priority: 1}, high: {priority: 9, aliases: [a], ipv4_address: 10.0.0.2}}, links: ['db:x'], "
        "mac_address: '02:00:00:00:00:01', ports: ['8000-8005:80', '127.0.0.1:53:53/udp', 9], expose: [7, '8-9/udp']",
        "networks: {low: {}, high: {name: outer, external: true}}",
    )
    assert [each.network for each in made.endpoints] == ["outer", "demo_low"]
    assert made.endpoints[0].aliases == ("demo-web-1", "web", "a")
    assert (made.endpoints[0].ipv4_address, made.endpoints[0].mac_address) == ("10.0.0.2", "02:00:00:00:00:01")
    assert made.endpoints[0].links == ("demo-db-1:x",)
    assert made.published_ports == (
        PublishedPort("", 8000, 80, "tcp", 8005),
        PublishedPort("127.0.0.1", 53, 53, "udp"),
        PublishedPort("", 0, 9),
    )
    assert made.exposed_ports == ("7/tcp", "8/udp", "9/udp")
    assert _request(tmp_path, "network_mode: 'service:db'").network_mode == "container:demo-db-1"
    assert _request(tmp_path, "network_mode: host").endpoints == ()
    linked = _request(tmp_path, "network_mode: bridge, links: [db, 'db:x']")
    assert linked.endpoints == (EndpointRequest("bridge", links=("demo-db-1:db", "demo-db-1:x")),)
    assert linked.network_mode == "bridge"
    for body, says in (
        ("ports: [80/sctp]", "ports of sctp"),
        ("ports: [{target: 80, published: x}]", "neither a port"),
    ):
        with pytest.raises(ComposeFileError, match=says) as caught:
            _request(tmp_path, body)
        assert caught.value.message.startswith("compose.yaml:4:")


def test_mounts(tmp_path: Path) -> None:
    made = _request(
        tmp_path,
        "volumes: ['./a:/a:ro,z', 'vol:/v:nocopy', /anon, {type: bind, source: /x, target: /y, "
        "bind: {create_host_path: false, propagation: rslave}}, {type: volume, source: vol, target: /s, "
        "volume: {subpath: p}}, {type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 0700}}], "
        "tmpfs: ['/run:size=1m'], secrets: [s, e], configs: [{source: c, target: /etc/c}, c], "
        "volumes_from: ['db:ro', 'container:x']",
        "volumes: {vol: }\nsecrets: {s: {file: ./s}, e: {environment: HOME}}\nconfigs: {c: {file: ./c}}",
    )
    assert made.binds == (f"{tmp_path}/a:/a:ro,z", "demo_vol:/v:rw,nocopy", "/anon")
    assert made.mounts == (
        MountRequest("bind", "/x", "/y", propagation="rslave"),
        MountRequest("volume", "demo_vol", "/s", subpath="p"),
        MountRequest("tmpfs", target="/t", tmpfs_size_bytes=1 << 20, tmpfs_mode=0o700),
        MountRequest("bind", f"{tmp_path}/s", "/run/secrets/s", True),
        MountRequest("bind", f"{tmp_path}/c", "/etc/c", True),
        MountRequest("bind", f"{tmp_path}/c", "/c", True),
    )
    assert made.tmpfs == (("/run", "size=1m"),)
    assert made.volumes_from == ("demo-db-1:ro", "x")


def test_secrets_and_configs(tmp_path: Path) -> None:
    made = _request(
        tmp_path,
        "secrets: [text, {source: file, target: key, uid: '5', gid: '6', mode: 0440}, there, plain], "
        "configs: [inline, {source: inline, target: /etc/app.conf, mode: 0600}, empty]",
        "secrets: {text: {environment: HOME}, file: {file: ./f}, there: {external: true, name: mine}, "
        "plain: {file: ./p}}\nconfigs: {inline: {content: 'a $${b}'}, empty: {content: ''}}",
    )
    assert made.secrets == (
        FileGrant("text", "/run/secrets/text", content="/home/dev"),
        FileGrant("file", "key", 5, 6, 0o440, path=f"{tmp_path}/f"),
        FileGrant("mine", "/run/secrets/there"),
    )
    assert made.configs == (
        FileGrant("inline", "inline", content="a ${b}"),
        FileGrant("inline", "/etc/app.conf", mode=0o600, content="a ${b}"),
        FileGrant("empty", "empty", content=""),
    )
    assert made.mounts == (MountRequest("bind", f"{tmp_path}/p", "/run/secrets/plain", True),)


@pytest.mark.parametrize(
    ("body", "more", "says"),
    [
        ("secrets: [s]", "secrets: {s: {environment: NOT_SET}}", "'NOT_SET' required by secret 's' is not set"),
        ("configs: [s]", "configs: {s: {environment: NOT_SET}}", "'NOT_SET' required by config 's' is not set"),
        ("secrets: [{source: s, uid: root}]", "secrets: {s: {file: f}}", r"secrets\[0\].uid: 'root' is no number"),
    ],
)
def test_secrets_that_cannot_be(tmp_path: Path, body: str, more: str, says: str) -> None:
    with pytest.raises(ComposeFileError, match=says):
        _request(tmp_path, body, more)


def test_files_of_secrets_are_there_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("x")
    text = """
    services: {{web: {{image: i, scale: {scale}, secrets: [one], configs: [two]}}}}
    secrets: {{one: {{file: ./there}}, unused: {{file: ./nowhere}}}}
    configs: {{two: {{file: ./{file}}}}}
    """
    require_files(one(tmp_path, text.format(scale=1, file="there")))
    require_files(one(tmp_path, text.format(scale=0, file="missing")))
    with pytest.raises(ComposeFileError, match=r"compose.yaml:4:\d+: configs.two.file: there is no file .*/missing"):
        require_files(one(tmp_path, text.format(scale=1, file="missing")))
    with pytest.raises(ComposeFileError, match=r"configs.two.file: cannot read .*there/x: Not a directory"):
        require_files(one(tmp_path, text.format(scale=1, file="there/x")))


def test_the_process_and_its_limits(tmp_path: Path) -> None:
    made = _request(
        tmp_path,
        "command: a b, entrypoint: [], environment: {A: 1, NO: }, user: '1', tty: true, stdin_open: true, init: true, "
        "working_dir: /w, hostname: h, stop_grace_period: 1500ms, stop_signal: SIGINT, restart: 'on-failure:3', "
        "healthcheck: {test: [CMD, x], interval: 2s, retries: 4}, logging: {driver: local, options: {max-size: 1m}}, "
        "ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}, mem_limit: 64m, cpus: 0.5, pids_limit: 9, shm_size: 1m, "
        "devices: [/dev/fuse], sysctls: [net.core.somaxconn=5], cap_add: [A], ipc: 'service:db', "
        "platform: linux/amd64, extra_hosts: ['a=1.2.3.4'], dns: 1.1.1.1, pull_policy: always, annotations: {n: v}",
    )
    assert (made.command, made.entrypoint) == (("a", "b"), ())
    assert made.environment == ("A=1", "NO")
    assert (made.stop_timeout_seconds, made.stop_signal) == (2, "SIGINT")
    assert made.restart == RestartPolicy("on-failure", 3)
    assert made.health == HealthCheck(("CMD", "x"), interval_ns=2_000_000_000, retries=4)
    assert made.rlimits == (Rlimit("nofile", 1, 2), Rlimit("nproc", 3, 3))
    assert (made.memory_bytes, made.nano_cpus, made.pids_limit) == (64 << 20, 500_000_000, 9)
    assert made.devices == (Device("/dev/fuse", "/dev/fuse"),)
    assert made.ipc_mode == "container:demo-db-1"
    assert made.extra_hosts == ("a:1.2.3.4",)
    assert (made.pull_policy, made.platform, made.terminal, made.open_stdin) == ("always", "linux/amd64", True, True)
    of_deploy = _request(
        tmp_path,
        "deploy: {resources: {limits: {cpus: '1.5', memory: 1g, pids: 5}, reservations: {memory: 1m}}, "
        "restart_policy: {condition: on-failure, max_attempts: 2}}, healthcheck: {disable: true}",
    )
    assert (of_deploy.nano_cpus, of_deploy.memory_bytes, of_deploy.pids_limit) == (1_500_000_000, 1 << 30, 5)
    assert of_deploy.memory_reservation_bytes == 1 << 20
    assert of_deploy.restart == RestartPolicy("on-failure", 2)
    assert of_deploy.health == HealthCheck(("NONE",))
    with pytest.raises(ComposeFileError, match=r"services\.web\.restart: invalid restart policy"):
        _request(tmp_path, "restart: sometimes")


def test_an_interface_has_the_name_that_is_asked_for(tmp_path: Path) -> None:
    (endpoint,) = _request(tmp_path, "networks: {default: {interface_name: lan0}}").endpoints
    assert endpoint.driver_options == (("com.docker.network.endpoint.ifname", "lan0"),)


def test_what_is_not_done_is_known_by_its_place(tmp_path: Path) -> None:
    project = one(
        tmp_path,
        "services: {web: {image: i, runtime: runc, gpus: all, volumes: [{type: bind, source: /a, target: /b, "
        "bind: {selinux: z}}], deploy: {placement: {constraints: [a]}}, networks: {default: {interface_name: e}}}}",
    )
    assert {each.path: each.fate for each in fates_of(project)} == {
        "services.web.runtime": "warned",
        "services.web.gpus": "refused",
        "services.web.volumes[0].bind.selinux": "warned",
        "services.web.deploy.placement": "warned",
    }


def test_what_is_not_done_is_told_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = "runtime: runc, volumes: [{type: bind, source: /a, target: /b, bind: {selinux: z}}]"
    project = one(tmp_path, f"services: {{web: {{image: i, {keys}}}}}")
    check_supported(project)
    (tmp_path / "selinux").mkdir()
    monkeypatch.setattr("sandbox.stack.fates._SELINUX", str(tmp_path / "none"))
    assert list(left_out(project)) == ["services.web.runtime is left out: there is one runtime"]
    # relabelling is missed where there are labels
    monkeypatch.setattr("sandbox.stack.fates._SELINUX", str(tmp_path / "selinux"))
    assert "services.web.volumes[0].bind.selinux is left out: nothing is relabelled" in list(left_out(project))
    with pytest.raises(ComposeFileError, match=r":1:34: services\.web\.gpus: this is not supported: dev"):
        check_supported(one(tmp_path, "services: {web: {image: i, gpus: all}}"))


def test_every_key_has_a_fate() -> None:
    keys = {each.path: each for each in all_keys()}
    assert len(keys) > 300
    assert {each.fate for each in keys.values()} == {"done", "warned", "refused"}
    assert [path for path, each in keys.items() if (each.fate == "done") == bool(each.why)] == []
    # what a request has no field for is there under a name of the table
    for path in NOT_CARRIED:
        assert path.replace("*", "NAME").replace("[]", "[]") in keys, path


def test_the_page_has_the_table() -> None:
    page = _PAGE.read_text()
    assert with_table(page) == page, "python -m sandbox.stack.key_table docs/compose.md"
