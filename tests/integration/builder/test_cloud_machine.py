"""A build on a machine of a cloud, whose metadata is at 169.254.169.254: nobody who writes a Dockerfile, and no server,
makes us ask there. The machine is a network of its own, and the metadata server a real one that counts.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.integration.builder.servers import Answer, Repository, WebServer, web_server
from tests.other_host import OtherHost, SandboxThere

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Home

pytestmark = [pytest.mark.requires("userns", "subids"), pytest.mark.slow]

_METADATA = "169.254.169.254"


class Cloud(NamedTuple):
    """The command there, the metadata server, and a server on the loopback."""

    sandbox: SandboxThere
    metadata: WebServer
    web: WebServer

    def refused(self, *arguments: str, input: str = "") -> str:
        """What a command says that fails, before anything is asked of the metadata server."""
        said = self.sandbox.run(*arguments, input=input, status=1).stderr
        assert self.metadata.asked == []
        return said


@pytest.fixture
def cloud(home: Home) -> Iterator[Cloud]:
    host = OtherHost(home)
    host.has_network(_METADATA)
    host.has_file("/etc/hosts", f"127.0.0.1 localhost\n{_METADATA} metadata.internal\n127.0.0.1 both.internal\n"
                                f"{_METADATA} both.internal\n")  # fmt: skip
    with (
        host.enter() as sandbox,
        web_server(listener=sandbox.listen(_METADATA, 80)) as metadata,
        web_server(listener=sandbox.listen("127.0.0.1", 80)) as web,
    ):
        metadata.answers["/secret"] = Answer(b"credentials")
        yield Cloud(sandbox, metadata, web)


def _add(source: str) -> str:
    return f"FROM scratch\nADD {source} /stolen\n"


_HOSTS = (
    *(_METADATA, "metadata.internal", "both.internal", "2852039166", "0xa9fea9fe", "169.254.43518"),
    "[::ffff:169.254.169.254]",
)


@pytest.mark.parametrize("host", _HOSTS)
def test_what_a_dockerfile_or_a_person_names(cloud: Cloud, host: str) -> None:
    url = f"http://{host}/secret"
    for said in (
        cloud.refused("build", "-", input=_add(url)),
        cloud.refused("build", "-", input=_add(f"http://{host}/repository.git")),
        cloud.refused("build", url),
        cloud.refused("build", f"http://{host}/repository.git"),
        cloud.refused("build", "-f", url, str(cloud.sandbox.home.root)),
        cloud.refused("import", url),
    ):
        assert "refusing to connect to" in said
        assert f"{_METADATA}, a link-local address" in said or "is a link-local address" in said


def test_the_server_would_answer(cloud: Cloud) -> None:
    """What is refused could be had: `git`, left to itself, asks there."""
    words = [*cloud.sandbox.enter_words(), "git", "ls-remote", f"http://{_METADATA}/repository.git"]
    assert subprocess.run(words, check=False).returncode
    assert cloud.metadata.paths() == ["/repository.git/info/refs?service=git-upload-pack"]


def test_a_registry_in_a_dockerfile(cloud: Cloud) -> None:
    config = cloud.sandbox.home.config / "sandbox"
    config.mkdir(exist_ok=True)
    for host in (_METADATA, "metadata.internal"):
        domain = f"{host}:80"
        # as plain HTTP, which is what metadata servers speak
        (config / "config.toml").write_text(f'[registries]\ninsecure = ["{domain}"]\n')
        assert "refusing to connect to" in cloud.refused("build", "-", input=f"FROM {domain}/image\n")
        assert "refusing to connect to" in cloud.refused("pull", f"{domain}/image")
        assert "refusing to connect to" in cloud.refused(
            "build", "-", input=f"FROM scratch\nCOPY --from={domain}/i / /\n"
        )
    (config / "config.toml").write_text(f'[registries.mirrors]\n"docker.io" = ["http://{_METADATA}"]\n')
    cloud.sandbox.run("pull", "image", status=1)
    assert cloud.metadata.paths() == ["/v2/library/image/manifests/latest"], "a mirror of the settings"


def test_what_a_server_sends_a_build_to(cloud: Cloud) -> None:
    for location in (f"http://{_METADATA}", "http://metadata.internal"):
        refs = "/r.git/info/refs?service=git-upload-pack"
        cloud.web.answers["/file"] = Answer(b"", {"Location": f"{location}/secret"}, 302)
        cloud.web.answers[refs] = Answer(b"", {"Location": location + refs}, 302)
        for path in ("file", "r.git", "r.git#0123456789012345678901234567890123456789"):
            said = cloud.refused("build", "-", input=_add(f"http://127.0.0.1/{path}"))
            assert "refusing to go where the server 127.0.0.1 sends us" in said


def test_what_a_repository_names_as_its_submodule(cloud: Cloud, tmp_path: Path) -> None:
    cloud.web.repositories = tmp_path
    refs = "/moved.git/info/refs?service=git-upload-pack"
    cloud.web.answers[refs] = Answer(b"", {"Location": f"http://{_METADATA}{refs}"}, 302)
    Repository(tmp_path / "sub.git").commit({"file": ""})
    nested = Repository(tmp_path / "nested.git")
    _add_submodule(nested, tmp_path / "sub.git", f"http://{_METADATA}/deep.git")
    for number, (remote, said) in enumerate((
        (f"http://{_METADATA}/sub.git", "is a link-local address"),
        ("http://metadata.internal/sub.git", "is 169.254.169.254, a link-local address"),
        (f"http::http://{_METADATA}/sub.git", "no URL with http"),
        ("http://169%2e254%2e169%2e254/sub.git", "no URL with http"),
        (f"git://{_METADATA}/sub.git", "is a link-local address"),
        (f"ssh://{_METADATA}/sub.git", "is a link-local address"),
        (f"me@{_METADATA}:sub.git", "is a link-local address"),
        ("http://127.0.0.1/moved.git", "refusing to go where the server 127.0.0.1 sends us"),
        ("http://127.0.0.1/git/nested.git", "is a link-local address"),
    )):  # fmt: skip
        main = Repository(tmp_path / f"{number}.git")
        _add_submodule(main, tmp_path / ("nested.git" if "nested" in remote else "sub.git"), remote)
        assert said in cloud.refused("build", "-", input=_add(f"http://127.0.0.1/git/{number}.git")), remote


def _add_submodule(repository: Repository, source: Path, remote: str) -> None:
    """A submodule that is `source`, and said to be at `remote`."""
    repository.git("submodule", "add", "-q", str(source), "sub")
    repository.git("config", "-f", ".gitmodules", "submodule.sub.url", remote)
    repository.commit({})


def test_what_the_proxies_variables_leave_out(cloud: Cloud) -> None:
    """Clouds tell their users to have the metadata in NO_PROXY."""
    cloud.sandbox.env |= {"http_proxy": "http://127.0.0.1", "no_proxy": f"{_METADATA},metadata.internal"}
    for path in ("secret", "repository.git"):
        assert "refusing to connect" in cloud.refused("build", "-", input=_add(f"http://metadata.internal/{path}"))
    cloud.sandbox.env["no_proxy"] = ""
    for path in ("secret", "repository.git"):
        assert "refusing to connect" in cloud.refused("build", "-", input=_add(f"http://{_METADATA}/{path}"))
    assert cloud.web.asked == []


def test_servers_of_this_machine_are_what_people_use(cloud: Cloud, tmp_path: Path) -> None:
    cloud.web.answers["/file"] = Answer(b"here")
    cloud.web.repositories = tmp_path
    Repository(tmp_path / "r.git").commit({"file": "there"})
    moved = "/moved.git/info/refs?service=git-upload-pack"
    cloud.web.answers[moved] = Answer(b"", {"Location": "/git/r.git" + moved.removeprefix("/moved.git")}, 301)
    main = Repository(tmp_path / "main.git")
    main.git("submodule", "add", "-q", str(tmp_path / "r.git"), "path of its own")
    main.git("config", "-f", ".gitmodules", "submodule.path of its own.url", "http://localhost/moved.git")
    main.commit({})
    text = (
        "FROM scratch\nADD http://127.0.0.1/file /file\nADD http://localhost/git/r.git /repository/\n"
        "ADD http://localhost/moved.git /moved/\nADD http://127.0.0.1/git/main.git /main/\n"
    )
    out = cloud.sandbox.home.root / "out"
    cloud.sandbox.run("build", "-o", str(out), "-", input=text)
    assert (out / "file").read_text() == "here"
    for path in ("repository/file", "moved/file", "main/path of its own/file"):
        assert (out / path).read_text() == "there"
