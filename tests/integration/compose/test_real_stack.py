"""A stack of real servers of Debian: nginx before three replicas of a program, which asks Redis and PostgreSQL."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests import leaks
from tests.command import Home, Sandbox
from tests.end_to_end.conftest import shared_store
from tests.needs import CONTAINER
from tests.ports import find_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "busybox", "umoci", "mmdebstrap"),
    pytest.mark.slow,
    # the first one waits until the servers are fetched and made into images
    pytest.mark.timeout(900),
]

_FILE = """
x-listens: &listens {interval: 1s, timeout: 5s, retries: 100}
services:
  proxy:
    image: nginx
    ports: ["127.0.0.1:${PORT:?}:80"]
    networks: [front]
    configs: [{source: site, target: /etc/nginx/sites-available/default}]
    depends_on: {web: {condition: service_healthy}}
  web:
    image: busybox
    command: [/usr/bin/python3, /web.py]
    environment: {STAGE: "${STAGE:-first}"}
    volumes: ["/usr:/usr:ro", "/usr/lib:/lib:ro", "/usr/lib64:/lib64:ro"]
    configs: [{source: program, target: /web.py}]
    secrets: [{source: key, uid: "0", mode: 0400}]
    networks: [front, back]
    scale: 3
    stop_signal: KILL
    healthcheck: {<<: *listens, retries: "${RETRIES:-100}", test: [CMD, /usr/bin/python3, -c, "${CONNECT}"]}
    depends_on:
      cache: {condition: service_healthy}
      db: {condition: service_healthy}
  cache:
    image: redis
    networks: [back]
    volumes: [kept:/kept]
    healthcheck: {<<: *listens, test: [CMD, bash, -c, "exec 3<>/dev/tcp/127.0.0.1/6379"]}
  db:
    image: postgres
    networks: [back]
    healthcheck: {<<: *listens, test: [CMD, bash, -c, "exec 3<>/dev/tcp/127.0.0.1/5432"]}
networks: {front: {}, back: {internal: true}}
volumes: {kept: {}}
secrets: {key: {environment: KEY}}
configs:
  site: {content: "server { listen 80; location / { proxy_pass http://web:8000; } }\\n"}
  program: {file: ./web.py}
"""
#: what `stack deploy` reads besides: three replicas, each of which has another that answers already before it goes; and
#: what it is just answering it answers, for it does not listen to its stop signal
_DEPLOY = """
services:
  web:
    scale: !reset null
    stop_signal: !reset null
    stop_grace_period: 2s
    deploy:
      replicas: 3
      update_config: {order: start-first, monitor: 1s, failure_action: rollback}
      rollback_config: {order: start-first, monitor: 1s}
"""
#: answers with its host, how many have asked all of its kind, whether PostgreSQL lets it in, and what it was told
_PROGRAM = """
import http.server, json, os, socket, struct
key = open("/run/secrets/key").read()

def count():
    with socket.create_connection(("cache", 6379), timeout=20) as client:
        client.sendall(b"INCR asked\\r\\n")
        return int(client.makefile("rb").readline()[1:])

def database():
    with socket.create_connection(("db", 5432), timeout=20) as client:
        client.sendall(struct.pack("!ii", 23, 3 << 16) + b"user\\0postgres\\0\\0")
        return client.makefile("rb").read(9).hex()

class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps([socket.gethostname(), count(), database(), key, os.environ["STAGE"]]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("", 8000), Answers).serve_forever()
"""
_CONNECT = "import socket; socket.create_connection(('127.0.0.1', 8000))"
#: of PostgreSQL's protocol 3.0: who asks is let in
_LET_IN = b"R\0\0\0\x08\0\0\0\0".hex()


@pytest.fixture
def servers(request: pytest.FixtureRequest, servers_layout: Path, busybox_tar: Path) -> Iterator[Sandbox]:
    home = Home.make(request.config.getoption("--storage-driver"))
    Sandbox(home).load_layout(servers_layout)
    Sandbox(home).run("import", busybox_tar, "busybox")
    with shared_store(home) as command:
        yield command
        if command.run("stack", "ls", "--format", "{{.Name}}").lines:
            command.run("stack", "rm", "shop")
    command.run("network", "prune", "-f")
    left = leaks.wait_processes_gone(str(home.root), hurry=True)
    home.remove()
    assert left == []


def write_project(servers: Sandbox, more: dict[str, str]) -> Path:
    """Write the files of the project `shop`, and `more` by their names; give its directory."""
    directory = servers.home.root / "shop"
    directory.mkdir()
    for name, text in ({"compose.yaml": _FILE, "web.py": _PROGRAM} | more).items():
        (directory / name).write_text(text)
    return directory


def test_a_program_behind_nginx_with_redis_and_postgresql(servers: Sandbox) -> None:
    port = find_free_port()
    directory = write_project(servers, {".env": f"PORT={port}\n"})
    env = {"KEY": "of the shell", "CONNECT": _CONNECT}

    def compose(*words: str) -> list[str]:
        return servers.run("compose", "--project-directory", str(directory), *words, env=env).lines

    def ask(times: int) -> list[tuple[str, int, str, str, str]]:
        found = []
        for _ in range(times):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
                found.append(tuple(json.load(answer)))
        return found

    compose("up", "-d", "--wait")
    containers = dict(line.split() for line in compose("ps", "--format", "{{.Name}} {{.ID}}"))
    assert sorted(containers) == [f"shop-{name}" for name in ("cache-1", "db-1", "proxy-1", "web-1", "web-2", "web-3")]
    answers = ask(30)
    assert {host for host, *_ in answers} == {containers[f"shop-web-{number}"] for number in (1, 2, 3)}
    assert [count for _, count, *_ in answers] == list(range(1, 31))
    assert {tuple(rest) for _, _, *rest in answers} == {(_LET_IN, "of the shell", "first")}

    # what has not changed stays, with what it knows
    env["STAGE"] = "second"
    compose("up", "-d", "--wait")
    again = dict(line.split() for line in compose("ps", "--format", "{{.Name}} {{.ID}}"))
    assert {name for name in again if again[name] == containers[name]} == {"shop-cache-1", "shop-db-1", "shop-proxy-1"}
    compose("restart", "proxy")
    compose("up", "-d", "--wait")
    assert {answer[1:] for answer in ask(1)} == {(31, _LET_IN, "of the shell", "second")}
    # nobody else reaches what is behind
    outside = servers.run("run", "--rm", "--network", "shop_front", "busybox", "busybox", "nslookup", "db", status=1)
    assert "db" in outside.stdout + outside.stderr
    compose("down", "-v")
    assert servers.run("ps", "-aq").lines == []
    assert servers.run("volume", "ls", "-q").lines == []
    assert [name for name in servers.run("network", "ls", "--format", "{{.Name}}").lines if "shop" in name] == []


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill it at the end of the block where it runs still."""
    try:
        yield
    finally:
        process.kill()


@pytest.mark.long
@pytest.mark.requires("wrk")
def test_the_same_file_as_a_stack_is_updated_under_wrk(servers: Sandbox) -> None:
    port = find_free_port()
    directory = write_project(servers, {"deploy.yaml": _DEPLOY})
    env = {"KEY": "of the shell", "CONNECT": _CONNECT, "PORT": str(port)}
    files = [f"--compose-file={directory}/{name}.yaml" for name in ("compose", "deploy")]

    def deploy(**variables: str) -> None:
        servers.run("stack", "deploy", "--detach=false", *files, "shop", env=env | variables)

    def stage() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
            return str(json.load(answer)[4])

    deploy()
    assert stage() == "first"
    words = ["wrk", "-t", "1", "-c", "4", "-d", "10m", "--timeout", "60s", f"http://127.0.0.1:{port}/"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as wrk, ended(wrk):
        deploy(STAGE="second")
        assert stage() == "second"
        # a version that never gets healthy goes back by itself, which Docker's client does not call a failure
        deploy(STAGE="third", CONNECT="raise SystemExit(1)", RETRIES="2")
        assert stage() == "second"
        servers.run("service", "scale", "shop_web=10", "--detach=false")
        servers.run("service", "scale", "shop_web=2", "--detach=false")
        wrk.send_signal(signal.SIGINT)
        told = wrk.communicate(timeout=60)[0]
    assert "requests in" in told
    assert "Socket errors" not in told
    assert "Non-2xx" not in told
    servers.run("stack", "rm", "shop")
    assert servers.run("service", "ls", "-q").lines == []
    servers.run("volume", "rm", "shop_kept")
