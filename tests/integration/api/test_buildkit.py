"""Debian's `docker build` with BuildKit: its own client of it in Debian 12, the plugin buildx in Debian 13."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from net.host_ports import outgoing_address
from tests.ports import find_free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.command import Sandbox
    from tests.integration.api.conftest import DockerCommand
    from tests.registry import Registry

pytestmark = pytest.mark.requires("subids", "overlay", "docker")

_DOCKERFILE = """\
# syntax=docker/dockerfile:1
FROM {image} AS base
ARG WORD=none
COPY --chmod=700 kept /app/
RUN --mount=type=secret,id=token echo "$WORD $(cat /run/secrets/token)" >/app/word
FROM base AS last
COPY --from=base /app/word /copied
CMD ["cat", "/app/word"]
"""
_FAILS = """\
FROM {image}
RUN echo spoken && \\
    exit 7
"""


@pytest.fixture(name="command")
def _command(command: DockerCommand) -> DockerCommand:
    """Debian's own, where there are others too."""
    command.env |= {"DOCKER_BUILDKIT": "1", "PATH": "/usr/bin:/bin"}
    return command


@pytest.fixture
def context(tmp_path: Path, busybox: str) -> Path:
    """A directory to build, with what the client is not to send."""
    directory = tmp_path / "context"
    (directory / "kept").mkdir(parents=True)
    (directory / "kept" / "file").write_text("content")
    (directory / "kept" / "link").symlink_to("file")
    (directory / "dropped").write_bytes(bytes(1 << 20))
    (directory / "Dockerfile").write_text(_DOCKERFILE.format(image=busybox))
    (directory / "fails").write_text(_FAILS.format(image=busybox))
    (directory / ".dockerignore").write_text("dropped\n")
    (tmp_path / "token").write_text("secret of mine")
    return directory


def test_a_build_of_a_clients_files(
    command: DockerCommand, context: Path, tmp_path: Path, sandbox: Sandbox, busybox: str
) -> None:
    words = (
        "build", "--progress", "plain", "-t", "app:1", "-t", "other/app", "--build-arg", "WORD=said", "--label", "a=b",
        "--secret", f"id=token,src={tmp_path / 'token'}", "--iidfile", str(tmp_path / "iid"), str(context),
    )  # fmt: skip
    said = command.run(*words).stderr.decode()
    assert "[internal] load build definition from Dockerfile" in said
    assert re.search(r"\[base \d/\d\] RUN --mount=type=secret", said)
    # what is dropped has not come: it alone is so large
    assert "transferring context" in said
    assert "MB" not in said
    image_id = (tmp_path / "iid").read_text()
    assert sandbox.run("inspect", "-f", "{{.Id}} {{.Config.Labels.a}}", "app:1").lines == [f"{image_id} b"]
    assert command.lines("run", "--rm", "other/app") == ["said secret of mine"]
    assert command.lines("run", "--rm", "app:1", "stat", "-c", "%a %u", "/app/file") == ["700 0"]
    assert "CACHED" in command.run(*words).stderr.decode()
    # what goes back to the client
    command.run("build", "-o", str(tmp_path / "out"), "--secret", f"id=token,src={tmp_path / 'token'}", str(context))
    assert (tmp_path / "out" / "copied").read_text() == "none secret of mine\n"
    assert (tmp_path / "out" / "app" / "link").is_symlink()


def test_a_build_that_fails(command: DockerCommand, context: Path) -> None:
    said = command.run("build", "--progress", "plain", "-f", str(context / "fails"), str(context), status=1).stderr
    assert b"spoken" in said
    assert b'process "/bin/sh -c echo spoken &&     exit 7" did not complete successfully: exit code: 7' in said
    said = command.run("build", "-f", str(context / "none"), str(context), status=1).stderr
    assert b"none" in said
    (context / "wrong").write_text("FROM busybox\nFOO\n")
    said = command.run("build", "-f", str(context / "wrong"), str(context), status=1).stderr
    assert b"dockerfile parse error on line 2: unknown instruction: FOO" in said


def test_a_context_on_standard_input(command: DockerCommand, context: Path, busybox: str) -> None:
    text = f"FROM {busybox}\nRUN echo here >/made\n".encode()
    (image_id,) = command.run("build", "-q", "-", input=text).stdout.decode().split()
    assert command.lines("run", "--rm", image_id, "cat", "/made") == ["here"]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.add(context / "kept", "kept")
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    assert command.run("build", "-q", "-", input=packed.getvalue()).stdout.decode().split() == [image_id]


def test_the_hosts_address_by_its_word(command: DockerCommand, busybox: str) -> None:
    gateway = outgoing_address()
    if gateway is None:
        pytest.skip("this machine has no way to the world, and no address on it")
    text = f"FROM {busybox}\nRUN grep -q '^{gateway}\\s*machine$' /etc/hosts\n".encode()
    command.run("build", "-q", "--add-host", "machine:host-gateway", "-", input=text)


@pytest.mark.slow
@pytest.mark.requires("registry")
def test_what_the_client_alone_may_see(
    command: DockerCommand, busybox: str, sandbox: Sandbox, auth_registry: Registry, tmp_path: Path
) -> None:
    private = f"{auth_registry.host}/private:1"
    sandbox.run("tag", busybox, private)
    # into the client's configuration; the server has another
    command.run("login", "-u", auth_registry.user, "--password-stdin", auth_registry.host, input=auth_registry.password)
    command.run("push", private)
    sandbox.run("rmi", private)
    assert "denied" in sandbox.run("pull", private, status=1).stderr
    text = f'FROM {private}\nRUN --mount=type=ssh,required=true test -S "$SSH_AUTH_SOCK" && echo agent >/agent\n'
    agent = f"{sandbox.home.root}/agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", agent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            command.env["SSH_AUTH_SOCK"] = agent
            (image_id,) = command.run("build", "-q", "--ssh", "default", "-", input=text).stdout.decode().split()
        finally:
            process.terminate()
    assert command.lines("run", "--rm", image_id, "cat", "/agent") == ["agent"]
    said = command.run("build", "--no-cache", "-", input=text, status=1).stderr
    assert b"SSH agent default: not found" in said
    # it need not be there where nothing requires it
    command.run("build", "-", input=text.replace(",required=true test -S", " test -z"))


@contextmanager
def _served(directory: Path, eventually: Callable[..., None]) -> Iterator[str]:
    """The URL of what lies there."""
    port = find_free_port()
    words = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(directory), str(port)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            eventually(lambda: subprocess.run(["curl", "-fso/dev/null", f"http://127.0.0.1:{port}/"]).returncode == 0)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@pytest.mark.slow
@pytest.mark.requires("git", "curl")
def test_a_repository_as_the_context(
    command: DockerCommand, busybox: str, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    work = tmp_path / "work"
    (work / "sub").mkdir(parents=True)
    (work / "Dockerfile").write_text(f"FROM {busybox}\nCOPY file /\nCMD cat /file\n")
    (work / "file").write_text("of main\n")
    (work / "sub/Dockerfile").write_text(f"FROM {busybox}\nCMD echo of sub\n")
    own = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main")
    (tmp_path / "web").mkdir()
    for words in (
        ("init", "-q", str(work)), ("-C", str(work), "add", "-A"), ("-C", str(work), "commit", "-qm", "first"),
        ("clone", "-q", "--bare", str(work), str(tmp_path / "web/repository.git")),
        ("-C", str(tmp_path / "web/repository.git"), "update-server-info"),
    ):  # fmt: skip
        subprocess.run(["git", *own, *words], check=True, env={**os.environ, "HOME": str(tmp_path)})
    with _served(tmp_path / "web", eventually) as url:
        for fragment, told in (("", "of main"), ("#main:sub", "of sub")):
            (image_id,) = command.lines("build", "-q", f"{url}/repository.git{fragment}")
            assert command.lines("run", "--rm", image_id) == [told]
        said = command.run("build", f"{url}/repository.git#nope", status=1).stderr
        assert b"has no ref 'nope'" in said
