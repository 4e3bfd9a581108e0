"""The keys that public Compose files use (28 carry most, 14 more are all the rest), each as its container sees it.

Which key is seen where stands in the files here, and a test holds them against the count.
"""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.ports import find_free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [
    pytest.mark.requires("userns", "subids", "overlay", "busybox", "slirp4netns", "tap"),
    pytest.mark.slow,
    pytest.mark.long,
]

MOST = (
    "image", "volumes", "ports", "environment", "depends_on", "restart", "command", "networks", "build", "healthcheck",
    "expose", "container_name", "entrypoint", "env_file", "labels", "tmpfs", "ulimits", "hostname", "read_only",
    "secrets", "deploy", "platform", "profiles", "pull_policy", "security_opt", "stdin_open", "tty", "user",
)  # fmt: skip
REST = (
    "attach", "cap_add", "dns", "dns_search", "init", "logging", "network_mode", "pids_limit", "privileged", "scale",
    "shm_size", "stop_grace_period", "stop_signal", "sysctls",
)  # fmt: skip
_PLATFORM = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}.get(os.uname().machine, "linux")
_MOST_FILE = """
x-end: &end {stop_signal: KILL}
services:
  inside:
    <<: *end
    build: .
    image: inside:1
    platform: PLATFORM
    pull_policy: build
    container_name: by-this-name
    entrypoint: [sh, -c]
    command: ['test -t 1 && echo a terminal > /scratch/tty; exec sleep 1000']
    hostname: inner
    user: "1000:1001"
    environment: {WRITTEN: 'a $$b', GIVEN: "${GIVEN:-default}"}
    env_file: [inside.env]
    labels: {own.label: x}
    volumes: [data:/data, ./bound:/bound:ro]
    tmpfs: ["/scratch:size=1m,mode=1777"]
    read_only: true
    ulimits: {nofile: {soft: 100, hard: 200}}
    security_opt: [no-new-privileges:true]
    secrets: [word]
    tty: true
    networks: {front: {}, back: {aliases: [other]}}
    depends_on: {server: {condition: service_healthy}}
  server:
    <<: *end
    image: busybox
    pull_policy: never
    command: sh -c 'mkdir /www; echo served > /www/index.html; exec busybox httpd -f -p 80 -h /www'
    healthcheck: {test: busybox wget -q -O /dev/null http://127.0.0.1/, interval: 100ms, retries: 100}
    ports: ['127.0.0.1:PORT:80']
    expose: ['81']
    networks: [front]
  again:
    <<: *end
    image: busybox
    restart: always
    volumes: [data:/data]
    command: ['sh', '-c', 'echo x >> /data/starts; test $$(wc -l < /data/starts) -lt 2 || exec sleep 1000']
    networks: [back]
  reader: {<<: *end, image: busybox, stdin_open: true, command: cat, networks: [back], deploy: {replicas: 2}}
  only-then: {<<: *end, image: busybox, profiles: [extra], command: sleep 1000, networks: [back]}
networks: {front: {}, back: {internal: true}}
volumes: {data: {}}
secrets: {word: {file: ./word}}
"""
_REST_FILE = """
services:
  inside:
    image: busybox
    command: ['sh', '-c', 'trap "exit 7" USR1; while :; do sleep 1000 & wait; done']
    cap_add: [NET_ADMIN]
    dns: [192.0.2.53]
    dns_search: [search.test]
    logging: {driver: json-file, options: {max-size: 10k, max-file: '2'}}
    pids_limit: 77
    shm_size: 2m
    sysctls: {net.core.somaxconn: 99}
    stop_signal: USR1
  reaped: {image: busybox, init: true, command: sleep 1000, network_mode: none, scale: 2, stop_signal: KILL}
  mighty: {image: busybox, privileged: true, command: sleep 1000, network_mode: none, stop_signal: KILL}
  deaf:
    image: busybox
    command: ['sh', '-c', 'trap "" TERM; echo deaf; while :; do sleep 0.1; done']
    network_mode: none
    stop_grace_period: 1s
"""
_ATTACHED_FILE = """
services:
  shown: {image: busybox, command: echo to be seen, network_mode: none}
  quiet: {image: busybox, command: echo not to be seen, network_mode: none, attach: false}
"""


class _Project:
    def __init__(self, sandbox: Sandbox, directory: Path) -> None:
        self.sandbox = sandbox
        self.directory = directory

    def write(self, text: str) -> None:
        (self.directory / "compose.yaml").write_text(text)

    def compose(self, *words: str) -> str:
        return self.sandbox.run("compose", *words, cwd=self.directory).stdout

    def inside(self, service: str, script: str) -> list[str]:
        """What a shell in the service's first container writes."""
        return self.compose("exec", "-T", service, "sh", "-c", script).splitlines()

    def inspect(self, name: str) -> dict[str, Any]:
        (document,) = json.loads(self.sandbox.run("inspect", name).stdout)
        assert isinstance(document, dict)
        return document

    def names(self) -> set[str]:
        return set(self.sandbox.run("ps", "--format", "{{.Names}}").lines)


@pytest.fixture
def project(sandbox: Sandbox, busybox: str, tmp_path: Path) -> Iterator[_Project]:
    directory = tmp_path / "demo"
    directory.mkdir()
    made = _Project(sandbox, directory)
    yield made
    made.compose("--profile", "*", "down", "-v", "-t", "0")


def test_every_key_that_was_counted_is_here() -> None:
    used = [
        {key for service in yaml.safe_load(text)["services"].values() for key in service}
        for text in (_MOST_FILE, _REST_FILE, _ATTACHED_FILE)
    ]
    assert set(MOST) <= used[0]
    assert set(REST) <= used[1] | used[2]


def test_the_28_keys_that_carry_most(project: _Project, eventually: Callable[[Callable[[], object]], None]) -> None:
    port, directory = find_free_port(), project.directory
    (directory / "Dockerfile").write_text("FROM busybox\nRUN echo built > /built && mkdir /data && chmod 777 /data\n")
    (directory / "inside.env").write_text("IN_FILE=yes\nWRITTEN=no\n")
    (directory / "word").write_text("secret\n")
    (directory / "bound").mkdir()
    (directory / "bound/file").write_text("bound\n")
    project.write(_MOST_FILE.replace("PORT", str(port)).replace("PLATFORM", _PLATFORM))
    project.compose("up", "-d")

    assert project.names() == {"by-this-name", "demo-server-1", "demo-again-1", "demo-reader-1", "demo-reader-2"}
    files = "cat /built /bound/file /run/secrets/word /proc/sys/kernel/hostname"
    assert project.inside("inside", files) == ["built", "bound", "secret", "inner"]
    eventually(lambda: project.inside("inside", "cat /scratch/tty || :") == ["a terminal"])
    assert project.inside("inside", "id -u; id -g; echo $WRITTEN; echo $GIVEN; echo $IN_FILE") == [
        "1000", "1001", "a $b", "default", "yes",
    ]  # fmt: skip
    refused = "for at in /made /bound/made /scratch/made; do touch $at 2>/dev/null && echo $at; done; :"
    assert project.inside("inside", refused) == ["/scratch/made"]
    assert project.inside("inside", "grep ' /scratch ' /proc/mounts | cut -d' ' -f3") == ["tmpfs"]
    (limit,) = project.inside("inside", "grep 'open files' /proc/1/limits")
    assert limit.split()[3:5] == ["100", "200"]
    assert project.inside("inside", "grep NoNewPrivs /proc/1/status") == ["NoNewPrivs:\t1"]
    assert project.inside("inside", "ls /sys/class/net | grep -c eth") == ["2"]
    # by the service's name, on a network that both are on
    assert project.inside("inside", "busybox wget -q -O - http://server/") == ["served"]
    assert project.inside("again", "busybox nslookup other >/dev/null && echo found") == ["found"]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"served" in connection.makefile("rb").read()
    server, inside = project.inspect("demo-server-1"), project.inspect("by-this-name")
    assert sorted(server["Config"]["ExposedPorts"]) == ["80/tcp", "81/tcp"]
    assert server["State"]["Health"]["Status"] == "healthy"
    assert inside["Config"]["Labels"]["own.label"] == "x"
    assert inside["Config"]["Image"] == "inside:1"
    # it ended once, and was started again
    eventually(lambda: project.inside("again", "wc -l < /data/starts") == ["2"])
    # their input is open: nothing has ended what they read
    assert {project.inspect(f"demo-reader-{number}")["State"]["Status"] for number in (1, 2)} == {"running"}
    project.compose("--profile", "extra", "up", "-d")
    assert "demo-only-then-1" in project.names()


def test_the_14_keys_that_are_the_rest(project: _Project) -> None:
    project.write(_REST_FILE)
    project.compose("up", "-d")

    def capabilities(service: str) -> int:
        (line,) = project.inside(service, "grep CapEff /proc/1/status")
        return int(line.split()[1], 16)

    net_admin, sys_admin = 1 << 12, 1 << 21
    assert capabilities("inside") & (net_admin | sys_admin) == net_admin
    assert capabilities("mighty") & (net_admin | sys_admin) == net_admin | sys_admin
    assert capabilities("reaped") & (net_admin | sys_admin) == 0
    assert "search search.test" in project.inside("inside", "cat /etc/resolv.conf")
    assert project.inside("inside", "grep ' /dev/shm ' /proc/mounts | grep -c size=2048k") == ["1"]
    assert project.inside("inside", "cat /proc/sys/net/core/somaxconn") == ["99"]
    host = project.inspect("demo-inside-1")["HostConfig"]
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "2", "max-size": "10k"}}
    assert (host["PidsLimit"], host["Dns"]) == (77, ["192.0.2.53"])
    assert project.inside("reaped", "cat /proc/1/comm") != ["sleep"]
    assert project.inside("reaped", "ls /sys/class/net") == ["lo"]
    assert {"demo-reaped-1", "demo-reaped-2"} <= project.names()
    project.sandbox.wait_for_log("demo-deaf-1", "deaf")
    project.compose("stop")
    # one was asked by its own signal, the other did not heed it in its time
    assert project.inspect("demo-inside-1")["State"]["ExitCode"] == 7
    assert project.inspect("demo-deaf-1")["State"]["ExitCode"] == 137

    project.write(_ATTACHED_FILE)
    shown = project.compose("up", "--remove-orphans", "--no-color")
    assert "shown-1  | to be seen" in shown
    assert "not to be seen" not in shown
    assert project.compose("logs", "--no-log-prefix", "quiet") == "not to be seen\n"
