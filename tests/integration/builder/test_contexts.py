"""Where a build comes from: directories, archives, repositories, URLs, standard input, and named contexts."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from typing import TYPE_CHECKING

import pytest
import zstandard

from tests.integration.builder.servers import Answer, Repository, WebServer, git_daemon, web_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.builder.conftest import Builder

pytestmark = [pytest.mark.requires("userns", "subids", "overlay"), pytest.mark.slow]

_FILES = {"Dockerfile": "FROM busybox\nCOPY . /c/\n", "f": "content", "sub/other": "FROM busybox\nCOPY f /other\n"}


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


def _tar(files: dict[str, str], *, uid: int = 0, mode: int = 0o644) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.uid, entry.gid, entry.mode = len(text), uid, uid, mode
            archive.addfile(entry, io.BytesIO(text.encode()))
    return data.getvalue()


@pytest.mark.parametrize(
    "compress",
    [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress],
    ids=["tar", "gzip", "bzip2", "xz", "zstd"],
)
def test_an_archive_on_standard_input(builder: Builder, compress: Callable[[bytes], bytes]) -> None:
    data = compress(_tar({**_FILES, ".dockerignore": "sub\n"}, uid=1234, mode=0o4755))
    builder.sandbox.run("build", "-t", "made", "-", input=data)
    tree = builder.tree()
    # a context's files are root's
    assert (tree["c/f"].uid, tree["c/f"].gid, tree["c/f"].mode) == (0, 0, 0o4755)
    assert "c/sub" not in tree
    builder.sandbox.run("build", "-t", "made", "-f", "sub/other", "-", input=compress(_tar(_FILES)))
    assert builder.run("cat", "/other") == "content"
    assert not list(builder.sandbox.home.data.glob("sandbox/builder/*"))


def test_standard_input_is_one_thing_only(builder: Builder) -> None:
    run = builder.sandbox.run
    context = builder.context({"f": "x"})
    run("build", "-t", "made", "-f", "-", context, input="FROM busybox\nCOPY f /f\n")
    assert builder.run("cat", "/f") == "x"
    assert "cannot be both" in run("build", "-f", "-", "-", status=1).stderr
    assert "are Dockerfiles" in run("build", "-f", "other", "-", input="FROM busybox\n", status=1).stderr


def test_a_dockerfile_elsewhere_and_in_the_context(builder: Builder) -> None:
    run = builder.sandbox.run
    context = builder.context({"f": "x", "g": "y", "dockerfile": "FROM busybox\nCOPY . /c/\n"})
    elsewhere = builder.context({"D": "FROM busybox\nCOPY . /c/\n", "D.dockerignore": "g\n"})
    run("build", "-t", "made", context)
    assert {"c/f", "c/g"} <= builder.tree().keys()
    run("build", "-t", "made", "-f", "../" + elsewhere.name + "/D", ".", cwd=context)
    assert "c/g" not in builder.tree()
    assert "cannot read" in run("build", "-f", "nothing", context, status=1).stderr
    assert "no Dockerfile in" in run("build", elsewhere, status=1).stderr
    assert "unable to prepare context" in run("build", context / "missing", status=1).stderr
    assert "no archive" in run("build", context / "f", status=1).stderr
    (context / "c.tar").write_bytes(_tar(_FILES))
    run("build", "-t", "made", "c.tar", cwd=context)
    assert "c/f" in builder.tree()


def test_urls_of_archives_and_of_dockerfiles(builder: Builder, web: WebServer) -> None:
    run = builder.sandbox.run
    web.answers["/c.tar.gz"] = Answer(gzip.compress(_tar(_FILES)))
    web.answers["/Dockerfile"] = Answer(b"FROM busybox\nRUN echo from-web > /w\n")
    web.answers["/bad"] = Answer(b"FROM busybox\nRUNN x\n")
    run("build", "-t", "made", f"{web.url}/c.tar.gz")
    assert builder.run("cat", "/c/f") == "content"
    run("build", "-t", "made", "-f", "sub/other", f"{web.url}/c.tar.gz")
    assert builder.run("cat", "/other") == "content"
    run("build", "-t", "made", f"{web.url}/Dockerfile")
    assert builder.run("cat", "/w") == "from-web\n"
    run("build", "-t", "made", "-f", f"{web.url}/Dockerfile", builder.context({"f": ""}))
    assert builder.run("cat", "/w") == "from-web\n"
    assert f"{web.url}/bad:2" in run("build", f"{web.url}/bad", status=1).stderr
    assert "404" in run("build", f"{web.url}/none", status=1).stderr


def test_a_repository_with_ref_and_subdirectory(builder: Builder, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    repository.commit({**{f"app/{name}": text for name, text in _FILES.items()}, "app/.dockerignore": "sub\n"})
    repository.git("tag", "v1")
    repository.commit({"app/f": "later"})
    run = builder.sandbox.run
    with git_daemon(tmp_path) as daemon:
        run("build", "-t", "made", f"{daemon}/r#v1:app")
        assert builder.run("cat", "/c/f") == "content"
        assert not {"c/.git", "c/sub"} & builder.tree().keys()
        run("build", "-t", "made", "-f", "sub/other", f"{daemon}/r?subdir=app")
        assert builder.run("cat", "/other") == "later"
        run("build", "-t", "made", "-f", "-", f"{daemon}/r#main:app", input="FROM busybox\nCOPY f /stdin\n")
        assert builder.run("cat", "/stdin") == "later"
        run(
            "build",
            "-t",
            "made",
            "--build-arg",
            "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1",
            "-f",
            "app/Dockerfile",
            f"{daemon}/r",
        )
        assert "c/.git/HEAD" in builder.tree()
        assert "has no ref" in run("build", f"{daemon}/r#nothing", status=1).stderr
    assert not list(builder.sandbox.home.data.glob("sandbox/builder/*"))


def test_no_link_of_a_context_leads_out_of_it(builder: Builder, tmp_path: Path) -> None:
    """CVE-2014-9356, CVE-2019-13139: also the Dockerfile and the ignore file are the context's own."""
    run = builder.sandbox.run
    (tmp_path / "marker").write_text("FROM busybox\nRUN echo outside\n")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        link = tarfile.TarInfo("Dockerfile")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "marker")
        archive.addfile(link)
    assert "no Dockerfile" in run("build", "-", input=data.getvalue(), status=1).stderr
    repository = Repository(tmp_path / "r")
    repository.commit(
        {"Dockerfile": "FROM busybox\nCOPY up/marker /m\n", "up": "-> ..", "x/Dockerfile": f"-> {tmp_path}/marker"}
    )
    repository.commit({"out": f"-> {tmp_path}"})
    with git_daemon(tmp_path) as daemon:
        assert "not found" in run("build", f"{daemon}/r", status=1).stderr
        assert "no directory 'out'" in run("build", f"{daemon}/r#:out", status=1).stderr
        assert "no Dockerfile" in run("build", f"{daemon}/r#:x", status=1).stderr
        for url in (f"{daemon}/r#--upload-pack=touch {tmp_path}/pwned", f"ext::touch {tmp_path}/pwned"):
            run("build", url, status=1)
    assert not (tmp_path / "pwned").exists()


def test_named_contexts_go_before_stages_and_images(builder: Builder, tmp_path: Path) -> None:
    other = builder.context({"o": "other", "hidden": "", ".dockerignore": "hidden\n", "deep/f": "d"})
    text = (
        "FROM busybox AS stage\nRUN false\n"
        "FROM busybox\nCOPY --from=stage . /s/\nCOPY --from=docker.io/library/tree:latest deep/f /d\n"
        "RUN --mount=from=tree,target=/m cat /m/o > /n\n"
    )
    run = builder.sandbox.run
    context = builder.context({"Dockerfile": text})
    words = [
        "build",
        "-t",
        "made",
        "--build-context",
        f"stage={other}",
        "--build-context",
        f"tree={other}",
        str(context),
    ]
    run(*words)
    tree = builder.tree()
    assert {"s/o", "s/deep/f", "d", "n"} <= tree.keys()
    assert "s/hidden" not in tree
    assert run(*words).stderr.count("CACHED") >= 3
    (other / "o").write_text("changed")
    run(*words)
    assert builder.run("cat", "/s/o", "/n") == "changedchanged"
    run("build", "-t", "made", "--build-context", f"base={other}", "-", input="FROM base\nCOPY --from=base o /copy\n")
    assert {"o", "copy"} <= builder.tree().keys()


def test_a_named_context_is_an_image_a_layout_or_a_stage(builder: Builder, busybox_layout: Path) -> None:
    run = builder.sandbox.run
    run("build", "-t", "mine", "-", input="FROM busybox\nRUN echo mine > /mine\n")
    run(
        "build",
        "-t",
        "made",
        "--build-context",
        "python:3=docker-image://mine",
        "-",
        input="FROM python:3\nRUN cat /mine\n",
    )
    assert builder.run("cat", "/mine") == "mine\n"
    before = run("images", "-q").lines
    layout = os.path.relpath(busybox_layout, builder.sandbox.home.root)
    for value in (f"oci-layout://{busybox_layout}", f"oci-layout://{layout}"):
        run("build", "-t", "made", "--build-context", f"x={value}", "-", input="FROM x\nRUN echo layout > /l\n")
    assert builder.run("cat", "/l") == "layout\n"
    assert set(before) <= set(run("images", "-q").lines)
    missing = run("build", "--build-context", f"x=oci-layout://{busybox_layout}:none", "-", input="FROM x\n", status=1)
    assert "no image 'none'" in missing.stderr
    text = (
        "FROM busybox AS a\nRUN echo a > /which\nFROM busybox AS b\nRUN echo b > /which\n"
        "FROM b\nCOPY --from=img /which /x\n"
    )
    run("build", "-t", "made", "--build-context", "b=target:a", "--build-context", "img=target:a", "-", input=text)
    assert builder.run("cat", "/which", "/x") == "a\na\n"
    bad = run("build", "--build-context", "noequals", "-", input="FROM x\n", status=125)
    assert "invalid context" in bad.stderr


def test_a_named_context_from_the_web(builder: Builder, web: WebServer, tmp_path: Path) -> None:
    web.answers["/c.tgz"] = Answer(gzip.compress(_tar({"f": "web"})))
    web.answers["/plain"] = Answer(b"plain")
    Repository(tmp_path / "r").commit({"g": "git"})
    text = "FROM busybox\nCOPY --from=t f /t\nCOPY --from=p context /p\nCOPY --from=g g /g\n"
    with git_daemon(tmp_path) as daemon:
        named = {"t": f"{web.url}/c.tgz", "p": f"{web.url}/plain", "g": f"{daemon}/r"}
        words = [word for name, value in named.items() for word in ("--build-context", f"{name}={value}")]
        builder.sandbox.run("build", "-t", "made", *words, "-", input=text)
    assert builder.run("cat", "/t", "/p", "/g") == "webplaingit"
