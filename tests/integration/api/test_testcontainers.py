"""Testcontainers and python-on-whales, the libraries as they are published, through the socket of `api run`."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [
    pytest.mark.requires("userns", "subids", "overlay", "busybox", "docker", "tap", "slirp4netns"), pytest.mark.long,
    pytest.mark.timeout(1800),
]  # fmt: skip
_CLIENTS = ("redis", "sqlalchemy", "psycopg[binary]")
_SERVE = "/bin/busybox mkdir /www; echo page > /www/index.html; echo ready; /bin/busybox httpd -f -p 80 -h /www"
_TESTCONTAINERS = f"""
import urllib.request
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.waiting_utils import wait_for_logs
with Network() as network:
    serving = DockerContainer("busybox").with_command(["sh", "-c", {_SERVE!r}]).with_exposed_ports(80)
    with serving.with_network(network).with_network_aliases("web").with_env("NAME", "value"):
        wait_for_logs(serving, "ready", timeout=120)
        url = f"http://{{serving.get_container_host_ip()}}:{{serving.get_exposed_port(80)}}/"
        assert urllib.request.urlopen(url, timeout=120).read() == b"page\\n"
        done = serving.exec(["sh", "-c", "echo $NAME; exit 3"])
        assert (done.exit_code, done.output) == (3, b"value\\n")
        asking = DockerContainer("busybox").with_command(["/bin/busybox", "wget", "-qO-", "http://web/"])
        with asking.with_network(network):
            asking.get_wrapped_container().wait(timeout=120)
            assert asking.get_logs()[0] == b"page\\n"
"""
#: as the image of the registry does, for which `PostgresContainer` is made
_ENTRY = """\
#!/bin/sh
set -e
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" && chown postgres: "$PGDATA" && chmod 700 "$PGDATA"
  exec gosu postgres "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  echo "$POSTGRES_PASSWORD" >/tmp/word
  initdb -U "$POSTGRES_USER" --pwfile=/tmp/word --auth-host=scram-sha-256 --auth-local=trust --no-sync --no-locale \\
    --encoding=UTF8 >/dev/null
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  echo "CREATE DATABASE \\"$POSTGRES_DB\\"" | postgres --single -D "$PGDATA" postgres >/dev/null
fi
exec "$@"
"""
_SERVERS = """
import os, pathlib, urllib.request
import sqlalchemy
from sqlalchemy import text
from testcontainers.community.postgres import PostgresContainer
from testcontainers.community.redis import RedisContainer
from testcontainers.core.container import DockerContainer, ExecConfig
from testcontainers.core.image import DockerImage
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import (
    CompositeWaitStrategy, ContainerStatusWaitStrategy, ExecWaitStrategy, HealthcheckWaitStrategy, HttpWaitStrategy,
    LogMessageWaitStrategy, PortWaitStrategy,
)
with RedisContainer("redis", password="word") as cache:
    client = cache.get_client()
    client.set("count", 1)
    assert client.incr("count") == 2
    assert b"Ready to accept" in cache.get_logs()[0]
    done = cache.exec(ExecConfig(command=["sh", "-c", "pwd; echo $X"], workdir="/tmp", environment={"X": "y"}))
    assert (done.exit_code, done.output) == (0, b"/tmp\\ny\\n")
with DockerImage(path=os.environ["CONTEXT"], tag="pg:test") as image, Network() as network:
    with PostgresContainer(str(image), driver="psycopg").with_network(network).with_network_aliases("db") as server:
        engine = sqlalchemy.create_engine(server.get_connection_url())
        with engine.begin() as connection:
            assert connection.execute(text("select version()")).scalar().startswith("PostgreSQL")
            connection.execute(text("create table numbers as select generate_series(1, 100000) as number"))
            assert connection.execute(text("select sum(number) from numbers")).scalar() == 5000050000
        engine.dispose()
        other = DockerContainer(str(image)).with_kwargs(entrypoint=["sleep", "1000"]).with_env("PGPASSWORD", "test")
        with other.with_network(network):
            query = ["psql", "-h", "db", "-U", "test", "-Atc", "select count(*) from numbers"]
            assert other.exec(query).output == b"100000\\n"
            refused = other.exec(["env", "PGPASSWORD=wrong", *query])
            assert refused.exit_code == 2 and b"password authentication failed" in refused.output
web = DockerContainer("nginx").with_exposed_ports(80).with_copy_into_container(b"copied", "/srv/www/file", 0o644)
web.waiting_for(CompositeWaitStrategy(
    PortWaitStrategy(80), HttpWaitStrategy(80).for_status_code(200), LogMessageWaitStrategy("GET /"),
    ContainerStatusWaitStrategy(), ExecWaitStrategy(["true"]),
))
with web:
    url = f"http://{web.get_container_host_ip()}:{web.get_exposed_port(80)}/file"
    assert urllib.request.urlopen(url, timeout=120).read() == b"copied"
    web.copy_from_container("/srv/www/file", pathlib.Path("back"))
    assert pathlib.Path("back").read_text() == "copied"
probe = {"test": ["CMD", "redis-cli", "ping"], "interval": 10**9}
with DockerContainer("redis").with_kwargs(healthcheck=probe).waiting_for(HealthcheckWaitStrategy()):
    pass
"""
_WHALES = """
import pathlib
from python_on_whales import docker
assert docker.run("busybox", ["echo", "hi"], remove=True, networks=["none"]) == "hi"
options = {"name": "whale", "networks": ["none"], "stop_signal": "KILL", "labels": {"a": "b"}}
with docker.run("busybox", ["sleep", "1000"], detach=True, **options) as container:
    assert container.state.running
    pathlib.Path("file").write_text("copied")
    docker.copy("file", (container, "/copied"))
    assert container.execute(["cat", "/copied"]) == "copied"
    assert [each.name for each in docker.ps(filters={"label": "a=b"})] == ["whale"]
    assert [each.container_name for each in docker.stats()] == ["whale"]
with docker.volume.create("kept") as volume:
    assert volume.name in [each.name for each in docker.volume.list()]
pathlib.Path("context").mkdir()
pathlib.Path("context/Dockerfile").write_text("FROM busybox\\nRUN echo x > /x\\n")
image = docker.legacy_build("context", tags="whale:built")
assert docker.image.inspect("whale:built").repo_tags == ["whale:built"]
docker.image.remove("whale:built")
assert docker.ps(all=True) == []
"""
#: does what Ryuk does, an image of a registry: clients send filters by lines and are answered; when none
#: is connected any more, what the filters name is removed through the socket
_REAPER = """
import http.client, json, os, select, socket
from urllib.parse import parse_qs, quote

class Engine(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/var/run/docker.sock")

def ask(method, path):
    engine = Engine("engine")
    engine.request(method, path)
    answer = engine.getresponse()
    data = answer.read()
    assert answer.status < 300 or method == "DELETE", (path, answer.status, data)
    return json.loads(data) if data else None

def remove(filters):
    query = quote(json.dumps(filters))
    for found in ask("GET", "/v1.29/containers/json?all=1&filters=" + query):
        ask("DELETE", "/v1.29/containers/" + found["Id"] + "?force=1&v=1")
    for found in ask("GET", "/v1.29/networks?filters=" + query):
        ask("DELETE", "/v1.29/networks/" + found["Id"])
    for found in ask("GET", "/v1.29/volumes?filters=" + query)["Volumes"] or ():
        ask("DELETE", "/v1.29/volumes/" + found["Name"] + "?force=1")
    for found in ask("GET", "/v1.29/images/json?filters=" + query):
        ask("DELETE", "/v1.29/images/" + found["Id"] + "?force=1")

def taken(client):
    try:
        return client.recv(4096)
    except ConnectionResetError:
        # it was killed, and had not read all that it was answered
        return b""

again_seconds = float(os.environ["RYUK_RECONNECTION_TIMEOUT"].rstrip("s"))
assert ask("GET", "/v1.29/version")["ApiVersion"]
listener = socket.create_server(("", 8080))
print("reaper Started!", flush=True)
wanted, clients = [], {}
while clients or not wanted or select.select([listener], [], [], again_seconds)[0]:
    for ready in select.select([listener, *clients], [], [])[0]:
        if ready is listener:
            clients[listener.accept()[0]] = b""
        elif data := taken(ready):
            *lines, clients[ready] = (clients[ready] + data).split(b"\\n")
            for line in lines:
                wanted.append(parse_qs(line.decode().strip()))
                ready.sendall(b"ACK\\n")
        else:
            del clients[ready]
for filters in wanted:
    remove(filters)
"""
_DIES = """
import os, signal
import docker
from testcontainers.core.container import DockerContainer
from testcontainers.core.labels import LABEL_SESSION_ID, SESSION_ID
from testcontainers.core.network import Network
network = Network().create()
left = DockerContainer("busybox").with_command("sleep 1000").with_network(network).start()
docker.from_env().volumes.create("left", labels={LABEL_SESSION_ID: SESSION_ID})
print(left.get_wrapped_container().id, network.id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has both."""
    place = tmp_path_factory.mktemp("libraries")
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    subprocess.run([place / "bin/pip", "install", "-q", "testcontainers", "python-on-whales", *_CLIENTS], check=True)
    return place / "bin/python"


@pytest.mark.parametrize("script", [_TESTCONTAINERS, _WHALES], ids=["testcontainers", "python-on-whales"])
def test_a_program_that_uses_it(sandbox: Sandbox, busybox: str, program: Path, script: str) -> None:
    assert busybox == "busybox"
    sandbox.run("tag", "busybox", "busybox:latest")
    # its reaper is an image of a registry's
    env = {"TESTCONTAINERS_RYUK_DISABLED": "true"}
    sandbox.run("api", "run", "--", program, "-c", script, env=env, timeout_seconds=600)
    assert sandbox.run("ps", "-aq").lines == []


@pytest.mark.slow
@pytest.mark.requires("umoci", "mmdebstrap")
def test_redis_and_postgresql(sandbox: Sandbox, program: Path, servers_layout: Path, tmp_path: Path) -> None:
    sandbox.load_layout(servers_layout)
    (tmp_path / "entry").write_text(_ENTRY)
    (tmp_path / "Dockerfile").write_text(
        'FROM postgres\nCOPY --chmod=755 entry /usr/local/bin/entry\nENTRYPOINT ["entry"]\nCMD ["postgres"]\n'
    )
    env = {"TESTCONTAINERS_RYUK_DISABLED": "true", "CONTEXT": str(tmp_path)}
    sandbox.run("api", "run", "--", program, "-c", _SERVERS, env=env, timeout_seconds=900)
    assert sandbox.run("ps", "-aq").lines == []
    # what it built has gone with it
    assert "pg" not in sandbox.run("images", "--format", "{{.Repository}}").lines


@pytest.mark.requires("umoci", "mmdebstrap")
def test_its_reaper_removes_what_a_killed_program_left(
    sandbox: Sandbox, socket: str, program: Path, debian_layout: Path, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    present = set(sandbox.run("images", "-q", "--no-trunc").lines)
    sandbox.load_layout(debian_layout)
    (base,) = set(sandbox.run("images", "-q", "--no-trunc").lines) - present
    (tmp_path / "reaper.py").write_text(_REAPER)
    (tmp_path / "Dockerfile").write_text(f'FROM {base}\nCOPY reaper.py /\nCMD ["python3", "/reaper.py"]\n')
    # the name that testcontainers has for it
    sandbox.run("build", "-q", "-t", "testcontainers/ryuk:0.8.1", tmp_path)
    env = {**sandbox.env, "DOCKER_HOST": f"unix://{socket}", "RYUK_RECONNECTION_TIMEOUT": "1s"}
    # as `api run` does: where the tests run in a container it would look for ports elsewhere
    env |= {"TESTCONTAINERS_HOST_OVERRIDE": "localhost", "TESTCONTAINERS_CONNECTION_MODE": "docker_host"}
    sandbox.run("volume", "create", "other")
    with subprocess.Popen([program, "-c", _DIES], env=env, stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        container, network = killed.stdout.read().decode().split()
        assert killed.wait(300) == -signal.SIGKILL
    # the reaper itself goes too, for it was started with --rm
    eventually(lambda: not sandbox.run("ps", "-aq").lines)
    told = sandbox.run("events", "--since", "10m", "--until", "0s", "--format", "{{.Actor.ID}} {{.Action}}").lines
    assert {f"{container} destroy", f"{network} destroy"} <= set(told)
    assert sandbox.run("volume", "ls", "-q").lines == ["other"]
