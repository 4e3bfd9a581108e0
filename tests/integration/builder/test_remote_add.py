"""ADD from URLs and Git repositories, against servers on the loopback."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.integration.builder.servers import (
    Answer,
    Repository,
    WebServer,
    git_daemon,
    make_certificate,
    web_server,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.builder.conftest import Builder

pytestmark = [pytest.mark.requires("userns", "subids", "overlay"), pytest.mark.slow]


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


def _archive() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        entry = tarfile.TarInfo("inside")
        entry.uid = 5
        archive.addfile(entry)
    return gzip.compress(data.getvalue())


def _build(builder: Builder, *lines: str, options: tuple[str, ...] = (), status: int = 0) -> str:
    text = "\n".join(("FROM busybox", *lines, ""))
    return builder.sandbox.run("build", "-t", "made", *options, "-", input=text, status=status).stderr


def test_a_url_is_a_file_with_the_servers_time_and_mode_0600(builder: Builder, web: WebServer) -> None:
    web.answers["/dir/a%20b.txt?x=1"] = Answer(b"text", {"Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT"})
    web.answers["/"] = Answer(b"root")
    archive = _archive()
    web.answers["/a.tgz"] = Answer(archive)
    url = f"{web.url}/dir/a%20b.txt?x=1"
    _build(
        builder, f"ARG U={url}", "ADD $U /d/", "ADD $U /named", "WORKDIR /w", "ADD --chmod=640 --chown=3:4 $U .",
        f"ADD {web.url}/ /r/", f"ADD {web.url}/a.tgz /as/", f"ADD --unpack=true {web.url}/a.tgz /in/",
    )  # fmt: skip
    tree = builder.tree()
    shown = {name: (tree[name].mode, tree[name].uid, tree[name].gid, tree[name].mtime) for name in tree}
    assert shown["d/a b.txt"] == shown["named"] == (0o600, 0, 0, 1_000_000_000)
    assert shown["w/a b.txt"] == (0o640, 3, 4, 1_000_000_000)
    assert shown["r/__unnamed__"] == (0o600, 0, 0, 0)
    assert tree["as/a.tgz"].size == len(archive)
    assert tree["in/inside"].uid == 5
    assert builder.run("cat", "/named") == "text"


def test_a_checksum_is_held_to_and_needs_no_request_again(builder: Builder, web: WebServer) -> None:
    web.answers["/f"] = Answer(b"right")
    digest = f"sha256:{hashlib.sha256(b'right').hexdigest()}"
    line = f"ADD --checksum={digest} {web.url}/f /f"
    _build(builder, line)
    assert "CACHED" in _build(builder, line)
    assert web.paths() == ["/f"]
    web.answers["/f"] = Answer(b"wrong")
    assert "digest mismatch" in _build(builder, line, options=("--no-cache",), status=1)
    for bad, said in (("md5:1", "invalid checksum"), (f"{digest} {web.url}/g", "multiple sources")):
        assert said in _build(builder, f"ADD --checksum={bad} {web.url}/f /f/", status=1)
    failed = builder.build({"Dockerfile": f"FROM busybox\nADD --checksum={digest} f /f\n", "f": ""}, status=1)
    assert "requires HTTP(S) or Git" in failed.stderr


def test_what_a_url_holds_decides_over_the_cache(builder: Builder, web: WebServer) -> None:
    web.answers["/f"] = Answer(b"one", {"ETag": '"1"'})
    line = f"ADD {web.url}/f /f"
    _build(builder, line)
    assert "CACHED" in _build(builder, line)
    assert web.asked[-1][1]["If-None-Match"] == '"1"'
    # not sent again, and still there for another step
    _build(builder, "RUN true", line)
    assert builder.run("cat", "/f") == "one"
    web.answers["/f"] = Answer(b"two", {"ETag": '"2"'})
    assert "CACHED" not in _build(builder, line)
    assert builder.run("cat", "/f") == "two"
    listed = builder.sandbox.run("builder", "du", "--verbose").stdout
    assert "source.http" in listed
    assert f"{web.url}/f" in listed
    for kept in builder.sandbox.home.data.glob("sandbox/cache/urls/*"):
        if kept.suffix != ".json":
            kept.write_bytes(b"damaged")
    _build(builder, line, options=("--no-cache",))
    assert builder.run("cat", "/f") == "two"
    builder.sandbox.run("builder", "prune", "-f", "--filter", "type=source.http")
    assert not list(builder.sandbox.home.data.glob("sandbox/cache/urls/*"))


def test_redirects_lead_on_but_never_from_https_to_http(builder: Builder, web: WebServer, tmp_path: Path) -> None:
    with web_server(make_certificate(tmp_path)) as secure:
        web.answers["/f"] = Answer(b"plain")
        web.answers["/to"] = Answer(b"", {"Location": "/f"}, 302)
        web.answers["/loop"] = Answer(b"", {"Location": "/loop"}, 302)
        web.answers["/file"] = Answer(b"", {"Location": "file:///etc/passwd"}, 302)
        secure.answers["/down"] = Answer(b"", {"Location": f"{web.url}/f"}, 302)
        secure.answers["/s"] = Answer(b"secure")
        web.answers["/up"] = Answer(b"", {"Location": f"{secure.url}/s"}, 307)
        builder.sandbox.env["SSL_CERT_FILE"] = str(tmp_path / "cert.pem")
        _build(builder, f"ADD {web.url}/to /a/", f"ADD {web.url}/up /a/")
        assert builder.run("cat", "/a/to", "/a/up") == "plainsecure"
        assert "redirects" in _build(builder, f"ADD {web.url}/loop /l", status=1)
        assert "no web page" in _build(builder, f"ADD {web.url}/file /l", status=1)
        web.answers["/cloud"] = Answer(b"", {"Location": "http://169.254.169.254/latest/meta-data"}, 302)
        assert "refusing to go where the server" in _build(builder, f"ADD {web.url}/cloud /l", status=1)
        assert "from https to" in _build(builder, f"ADD {secure.url}/down /l", status=1)
        digest = hashlib.sha256(b"plain").hexdigest()
        _build(builder, f"ADD --checksum=sha256:{digest} {secure.url}/down /l")
        del builder.sandbox.env["SSL_CERT_FILE"]
        assert "certificate is not trusted" in _build(builder, f"ADD {secure.url}/s /n", status=1)


def test_a_token_goes_to_its_host_alone(builder: Builder, web: WebServer) -> None:
    with web_server() as other:
        other.answers["/f"] = Answer(b"x")
        web.answers["/f"] = Answer(b"", {"Location": f"{other.url}/f"}, 302)
        builder.sandbox.env["TOKEN"] = "t0ken"
        _build(builder, f"ADD {web.url}/f /f", options=("--secret", "id=HTTP_AUTH_TOKEN_127.0.0.1,env=TOKEN"))
        assert web.asked[0][1]["Authorization"] == "Bearer t0ken"
        assert "Authorization" not in other.asked[0][1]


def test_what_cannot_be_fetched_is_an_error_at_its_line(builder: Builder, web: WebServer) -> None:
    web.answers["/short"] = Answer(b"abc", {"Content-Length": "10"})
    for url, said in (
        (f"{web.url}/missing", "404"), (f"{web.url}/short", "cannot download"), ("http://127.0.0.1:1/f", "refused"),
        ("https://nowhere.invalid/f", "no such host"), ("http://[::bad/f", "invalid URL"),
    ):  # fmt: skip
        failed = _build(builder, f"ADD {url} /f", status=1)
        assert said in failed
        assert "Dockerfile:2" in failed or "<stdin>:2" in failed
    assert "can't be a URL for COPY" in _build(builder, f"COPY {web.url}/f /f", status=1)
    assert not list(builder.sandbox.home.data.glob("sandbox/builder/*"))


def test_credentials_of_urls_are_told_nobody(builder: Builder, web: WebServer, repository: Repository) -> None:
    web.repositories = repository.path.parent
    web.answers["/f?x=1&sig=s3cret"] = Answer(b"text", {"ETag": '"1"'})
    said = []
    for user in ("s3cret", "user:s3cret"):
        url = web.url.replace("//", f"//{user}@")
        lines = (f"ADD {url}/f?x=1&sig=s3cret /f", f"ADD --keep-git-dir=true {url}/git/r.git /r")
        said.append(_build(builder, *lines, options=("--metadata-file=told", "--cache-to=type=local,dest=kept")))
        said.append(builder.sandbox.run("build", "--progress=rawjson", "-", input="FROM busybox\n" + lines[0]).stderr)
        said.append((builder.sandbox.home.root / "told").read_text())
        said.append(builder.sandbox.run("history", "--no-trunc", "made").stdout)
        said.append(builder.sandbox.run("image", "inspect", "made").stdout)
        said.append(builder.run("cat", "/r/.git/config"))
        said.append(builder.sandbox.run("builder", "du", "--verbose").stdout)
        for path in ("missing?token=s3cret", "git/none.git"):
            said.append(failed := _build(builder, f"ADD {url}/{path} /f", status=1))
            # the line in the file, with the place pointed out in it
            assert f"2 | ADD http://{'xxxx:' if ':' in user else ''}xxxxxx@127.0.0.1" in failed
        said.append(_build(builder, f"COPY {url}/f?sig=s3cret /f", status=1))
        for words in (
            ["build", f"{url}/none"],
            ["build", f"{url}/none.git"],
            ["import", f"{url}/none"],
            ["pull", f"{url}/x"],
        ):
            said.append(builder.sandbox.run(*words, status=None).stderr)
    assert [text for text in said if "s3cret" in text] == []
    for place in ("kept", "data"):
        files = [path for path in (builder.sandbox.home.root / place).rglob("*") if path.is_file()]
        assert files
        assert [path for path in files if os.access(path, os.R_OK) and b"s3cret" in path.read_bytes()] == []
    assert "ADD http://xxxxx@127.0.0.1" in said[3]
    assert "f?x=1&sig=xxxxx" in said[3]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repos/r.git")
    made.commit({"top": "1", "docs/page": "old", "tool": "#!", "link": "-> top"})
    (made.path / "tool").chmod(0o755)
    made.commit({})
    made.git("tag", "-a", "v1", "-m", "one")
    made.git("checkout", "-q", "-b", "release/2")
    made.commit({"docs/page": "new"})
    made.git("checkout", "-q", "main")
    return made


def test_git_over_its_own_protocol_and_http(builder: Builder, web: WebServer, repository: Repository) -> None:
    web.repositories = repository.path.parent
    commit = repository.git("rev-parse", "v1^{commit}")
    with git_daemon(repository.path.parent) as daemon:
        url = f"{web.url}/git/r.git"
        _build(
            builder, f"ADD {daemon}/r.git /main/", f"ADD {url}#v1:docs /docs/",
            f"ADD --checksum={commit[:12]} {url}#v1 /tag/", f"ADD {url}?branch=release/2&subdir=docs /branch/",
            f"ADD {url}#{commit} /commit/", f"ADD --keep-git-dir=true --chown=5:6 {daemon}/r.git#main /kept/",
        )  # fmt: skip
        tree = builder.tree()
        assert {name for name in tree if name.startswith("main/")} == {
            "main/top", "main/docs", "main/docs/page", "main/tool", "main/link"
        }  # fmt: skip
        assert [(tree[f"main/{name}"].mode, tree[f"main/{name}"].mtime) for name in ("top", "tool", "docs")] == [
            (0o644, 10**9), (0o755, 10**9), (0o755, 10**9)
        ]  # fmt: skip
        assert builder.run("cat", "/docs/page", "/branch/page", "/tag/top", "/commit/top") == "oldnew11"
        assert "kept/.git/HEAD" in tree
        assert (tree["kept/top"].uid, tree["kept/top"].gid) == (5, 6)
        assert f"url = {daemon}/r.git" in builder.run("cat", "/kept/.git/config")
        assert "CACHED" in _build(builder, f"ADD {daemon}/r.git /main/")
        repository.commit({"top": "2"})
        assert "CACHED" not in _build(builder, f"ADD {daemon}/r.git /main/")
        assert builder.run("cat", "/main/top") == "2"
        for line, said in (
            (f"ADD --checksum=abcdef {url}#v1 /x", "expected checksum to match abcdef"),
            (f"ADD {url}#none /x", "has no ref 'none'"), (f"ADD {url}#v1:none /x", "has no directory 'none'"),
            (f"ADD {url}#v1:link /x", "has no directory"), (f"ADD {url}?nonsense=1 /x", "unexpected query"),
            (f"ADD {web.url}/git/none.git /x", "git ls-remote of"), (f"COPY {url} /x", "can't be a URL for COPY"),
        ):  # fmt: skip
            assert said in _build(builder, line, status=1), line


def test_submodules_come_along_and_read_no_local_file(builder: Builder, web: WebServer, tmp_path: Path) -> None:
    root = tmp_path / "repos"
    web.repositories = root
    Repository(root / "sub.git").commit({"in-sub": "s"})
    main = Repository(root / "main.git")
    main.git("submodule", "add", "-q", f"{web.url}/git/sub.git", "sub")
    main.commit({"top": ""})
    _build(builder, f"ADD {web.url}/git/main.git /d/")
    tree = builder.tree()
    assert "d/sub/in-sub" in tree
    assert "d/sub/.git" not in tree
    _build(builder, f"ADD {web.url}/git/main.git?submodules=false /d/")
    assert "d/sub/in-sub" not in builder.tree()
    local = Repository(root / "local.git")
    local.git("submodule", "add", "-q", str(root / "sub.git"), "sub")
    local.commit({})
    assert "no URL with http, https" in _build(builder, f"ADD {web.url}/git/local.git /d/", status=1)


def test_a_token_for_git_is_asked_for_by_its_secret(builder: Builder, web: WebServer, repository: Repository) -> None:
    web.repositories = repository.path.parent
    builder.sandbox.env["TOKEN"] = "t0ken"
    _build(builder, f"ADD {web.url}/git/r.git /d", options=("--secret", "id=GIT_AUTH_TOKEN,env=TOKEN"))
    assert {headers.get("Authorization", "").split()[0] for _path, headers in web.asked} == {"basic"}
