"""What a CI runner calls of a program named docker on PATH, word for word: the job's network, containers and steps."""

from __future__ import annotations

import os
import signal
import socket as sockets
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandbox.api.sockets import listener_pid
from sandbox.docker_sockets import DOCKER_SOCKETS, is_ours_instead
from sandbox.paths import find_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.command import Sandbox
    from tests.registry import Registry

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "busybox", "tap", "slirp4netns"), pytest.mark.slow]
_LABEL = "5dfb27"
_DOCKERFILE = "FROM busybox\nENV MADE=here\nHEALTHCHECK --interval=1s CMD true\n"
_ENVIRONMENT = ("-e", "HOME=/github/home", "-e", "GITHUB_ACTIONS=true", "-e", "CI=true")


@pytest.fixture
def docker(sandbox: Sandbox, busybox: str) -> Iterator[Callable[..., list[str]]]:
    """Runs `docker` with the words and standard input; what it prints, in lines."""
    assert busybox == "busybox"
    (program,) = sandbox.run("api", "install-shim", "bin").lines
    path = f"{os.path.dirname(program)}:{sandbox.env['PATH']}"

    def run(*words: str, input: str = "") -> list[str]:
        done = subprocess.run(
            ["docker", *words], env={**sandbox.env, "PATH": path}, input=input, text=True, capture_output=True,
            cwd=sandbox.home.root, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (words, done)
        return done.stdout.splitlines()

    yield run
    server = listener_pid(find_paths(sandbox.env).api_socket)
    if server:
        os.kill(server, signal.SIGTERM)


def _answers(pid: str, inside: str) -> bool:
    """Whether somebody answers at the path, as processes of the container reach it."""
    with sockets.socket(sockets.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(f"/proc/{pid}/root{inside}")
        connection.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
        return connection.recv(64).startswith(b"HTTP/1.1 200 ")


def test_a_job_with_a_container_and_a_service(
    sandbox: Sandbox, docker: Callable[..., list[str]], auth_registry: Registry, eventually: Callable[..., None]
) -> None:
    assert is_ours_instead(DOCKER_SOCKETS[0]), "the user has a Docker of his own here, whose socket would be mounted"
    work, config = sandbox.home.root / "work", sandbox.home.root / "docker-config"
    (work / "repo").mkdir(parents=True)
    (work / "step.sh").write_text(
        "set -e\ntest -S /var/run/docker.sock\necho step in $PWD for $GITHUB_JOB >> /__w/told\n"
    )
    remote = f"{auth_registry.host}/service:1"

    for side in ("Server", "Client"):
        (version,) = docker("version", "--format", f"'{{{{.{side}.APIVersion}}}}'")
        assert tuple(int(word) for word in version.strip("'").split(".")) >= (1, 35)
    assert docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={_LABEL}") == []
    docker("network", "prune", "--force", "--filter", f"label={_LABEL}")
    network = "github_network_0123456789abcdef"
    docker("network", "create", "--label", _LABEL, network)
    at = ("--config", str(config))
    login = ("login", auth_registry.host, "-u", auth_registry.user, "--password-stdin")
    assert "Login Succeeded" in docker(*at, *login, input=auth_registry.password)
    docker("tag", "busybox", remote)
    docker(*at, "push", remote)
    docker("rmi", remote)
    docker(*at, "pull", remote)
    (work / "Dockerfile").write_text(_DOCKERFILE)
    docker("build", "-t", f"{_LABEL}:made", "-f", str(work / "Dockerfile"), str(work))

    common = ("--label", _LABEL, "--network", network)
    (service,) = docker(
        "create", "--name", "0123_service_1", *common, "--network-alias", "served", "-p", "80", *_ENVIRONMENT,
        remote, "sh", "-c", "echo ready; mkdir /w; echo page > /w/index.html; httpd -f -p 80 -h /w",
    )  # fmt: skip
    (job,) = docker(
        "create", "--name", "0123_job_made", *common, "--workdir", "/__w/repo", *_ENVIRONMENT,
        "-v", "/var/run/docker.sock:/var/run/docker.sock", "-v", f"{work}:/__w",
        "-v", f"{work}/_temp/_home:/github/home",
        "--entrypoint", "tail", f"{_LABEL}:made", "-f", "/dev/null",
    )  # fmt: skip
    # the source of a mount that was not there
    assert (work / "_temp/_home").is_dir()
    for container in (service, job):
        assert docker("start", container) == [container]
        shown = ("--filter", f"id={container}", "--filter", "status=running", "--no-trunc")
        (line,) = docker("ps", "--all", *shown, "--format", "{{.ID}} {{.Status}}")
        assert line.startswith(f"{container} Up ")
    assert "MADE=here" in docker("inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", job)
    health = ("inspect", "--format", "{{if .Config.Healthcheck}}{{print .State.Health.Status}}{{end}}")
    assert docker(*health, service) in ([], [""])
    eventually(lambda: docker(*health, job) == ["healthy"])
    (published,) = {line.partition(" -> ")[0] for line in docker("port", service)}
    assert published == "80/tcp"
    eventually(lambda: "ready" in [line.strip() for line in docker("logs", "--details", service)])
    step = ("--workdir", "/__w/repo", "-e", "GITHUB_JOB=test", job, "sh", "-e", "/__w/step.sh")
    docker("exec", "-i", *step)
    assert (work / "told").read_text() == "step in /__w/repo for test\n"
    assert docker("exec", "-i", job, "/bin/busybox", "wget", "-qO-", "http://served/") == ["page"]
    (pid,) = docker("inspect", "-f", "{{.State.Pid}}", job)
    assert _answers(pid, "/var/run/docker.sock")
    action = ("--workdir", "/github/workspace", "--rm", *_ENVIRONMENT, "-v", f"{work}:/github/workspace")
    assert docker("run", "--name", "0123_action", *common, *action, "busybox", "cat", "told")

    for container in (job, service):
        docker("rm", "--force", container)
    docker("network", "rm", network)
    docker(*at, "logout", auth_registry.host)
    assert docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={_LABEL}") == []
