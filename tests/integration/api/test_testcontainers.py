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
    subprocess.run([place / "bin/pip", "install", "-q", "testcontainers", "python-on-whales"], check=True)
    return place / "bin/python"


@pytest.mark.parametrize("script", [_TESTCONTAINERS, _WHALES], ids=["testcontainers", "python-on-whales"])
def test_a_program_that_uses_it(sandbox: Sandbox, busybox: str, program: Path, script: str) -> None:
    assert busybox == "busybox"
    sandbox.run("tag", "busybox", "busybox:latest")
    # its reaper is an image of a registry's
    env = {"TESTCONTAINERS_RYUK_DISABLED": "true"}
    sandbox.run("api", "run", "--", program, "-c", script, env=env, timeout_seconds=600)
    assert sandbox.run("ps", "-aq").lines == []
