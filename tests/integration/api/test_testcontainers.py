"""Testcontainers and python-on-whales, the libraries as they are published, through the socket of `api run`."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
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
