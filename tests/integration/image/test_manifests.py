"""`manifest`, `buildx imagetools` and `search`, against registries that are really there."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sandbox.image.media_types import OCI_INDEX, OCI_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Sandbox
    from tests.registry import Registry

pytestmark = [pytest.mark.requires("registry", "umoci", "busybox"), pytest.mark.slow]


@pytest.fixture
def images(sandbox: Sandbox, registry: Registry, busybox_layout: Path) -> tuple[str, str]:
    """Two images of one repository, the second said to be for another machine."""
    first, second = f"{registry.host}/made/app:amd64", f"{registry.host}/made/app:arm64"
    registry.push(busybox_layout, "made/app:amd64")
    registry.push(busybox_layout, "made/app:arm64")
    return first, second


def _document(sandbox: Sandbox, *words: str) -> Any:
    return json.loads(sandbox.run(*words).stdout)


def test_an_index_is_made_annotated_and_pushed(sandbox: Sandbox, registry: Registry, images: tuple[str, str]) -> None:
    name = f"{registry.host}/made/app:all"
    assert sandbox.run("manifest", "create", name, *images).lines == [f"Created manifest list {name}"]
    refused = sandbox.run("manifest", "create", name, images[0], status=1)
    assert "refusing to amend an existing manifest list with no --amend flag" in refused.stderr
    sandbox.run("manifest", "annotate", "--arch", "arm64", "--variant", "v8", name, images[1])
    wrong = sandbox.run("manifest", "annotate", "--arch", "toaster", name, images[1], status=None)
    assert "unsupported os/arch combination: linux/toaster" in wrong.stderr
    here = _document(sandbox, "manifest", "inspect", name)
    assert here["mediaType"] == OCI_INDEX
    assert [entry["platform"].get("variant", "") for entry in here["manifests"]] == ["", "v8"]
    one = sandbox.run("manifest", "inspect", name, images[0]).stdout
    assert json.loads(one)["layers"]
    assert '\n\t"schemaVersion": 2' in one
    digest = sandbox.run("manifest", "push", "--purge", name).stdout.strip()
    # from the registry now, for nothing is left here
    assert "No such manifest" in sandbox.run("manifest", "rm", name, status=1).stderr
    assert _document(sandbox, "manifest", "inspect", name) == here
    verbose = _document(sandbox, "manifest", "inspect", "-v", name)
    assert [entry["Descriptor"]["platform"]["architecture"] for entry in verbose][1] == "arm64"
    assert all(entry["OCIManifest"] == json.loads(one) for entry in verbose)
    assert all(entry["Descriptor"]["mediaType"] == OCI_MANIFEST for entry in verbose)
    assert _document(sandbox, "manifest", "inspect", "-v", images[0])["Ref"] == images[0]
    told = sandbox.run("buildx", "imagetools", "inspect", name).lines
    assert told[:3] == [f"Name:      {name}", f"MediaType: {OCI_INDEX}", f"Digest:    {digest}"]
    assert "  Platform:  linux/arm64/v8" in told
    raw = sandbox.run("buildx", "imagetools", "inspect", "--raw", name).stdout
    assert json.loads(raw) == here
    shown = sandbox.run("buildx", "imagetools", "inspect", "--format", "{{json .Manifest}}", name).stdout
    assert json.loads(shown)["digest"] == digest
    shown = sandbox.run("buildx", "imagetools", "inspect", "--format", "{{json .Image}}", name).stdout
    assert set(json.loads(shown)) == {"linux/amd64", "linux/arm64/v8"}
    sandbox.run("pull", "-q", name)
    assert sandbox.run("image", "inspect", "--raw", name).stdout == raw + "\n"


def test_imagetools_puts_an_index_together(
    sandbox: Sandbox, registry: Registry, images: tuple[str, str], busybox_layout: Path
) -> None:
    name, other = f"{registry.host}/tools/thing:all", f"{registry.host}/tools/thing:copy"
    create = ("buildx", "imagetools", "create")
    shown = _document(sandbox, *create, "--dry-run", images[0])
    assert len(shown["manifests"]) == 1
    assert "please set --tag or --dry-run" in sandbox.run(*create, images[0], status=None).stderr
    assert "no sources specified" in sandbox.run(*create, "-t", name, status=None).stderr
    # both are one image, which the index has once
    sandbox.run(*create, "-t", name, *images)
    assert _document(sandbox, "manifest", "inspect", name) == shown
    sandbox.run(*create, "-t", other, "-t", f"{other}2", name)
    raw = ("buildx", "imagetools", "inspect", "--raw")
    assert sandbox.run(*raw, other).stdout == sandbox.run(*raw, name).stdout == sandbox.run(*raw, f"{other}2").stdout
    sandbox.run("pull", "-q", other)
    sandbox.run("import", "-c", "LABEL a=b", "-", f"{registry.host}/tools/thing:more", input=bytes(1024))
    sandbox.run("push", "-q", f"{registry.host}/tools/thing:more")
    sandbox.run(*create, "--append", "-t", name, f"{registry.host}/tools/thing:more")
    assert len(_document(sandbox, "manifest", "inspect", name)["manifests"]) == 2


def test_images_of_another_repository_come_with_the_index(
    sandbox: Sandbox, registry: Registry, images: tuple[str, str]
) -> None:
    name = f"{registry.host}/several/place:all"
    sandbox.run("manifest", "create", "--amend", name, images[0])
    sandbox.run("manifest", "push", name)
    sandbox.run("pull", "-q", name)
    assert "is a manifest list" in sandbox.run("manifest", "create", "x", name, status=1).stderr
    sandbox.run("manifest", "create", "elsewhere.example.org/x", images[0])
    refused = sandbox.run("manifest", "push", "elsewhere.example.org/x", status=None).stderr
    assert "cannot use source images from a different registry than the target image" in refused
    assert sandbox.run("manifest", "rm", name, "elsewhere.example.org/x").stdout == ""
    assert "not found" in sandbox.run("manifest", "inspect", f"{registry.host}/made/app:none", status=1).stderr


_RESULTS = [
    {"name": "few", "description": "Few stars,\nand a description that is longer than the column", "star_count": 3},
    {"name": "library/many", "description": "Many", "star_count": 900, "is_official": True},
    {"name": "none", "description": None},
]


#: answers that are none, by what was searched for
_HOSTILE: dict[str, object] = {
    "infinite": [{"name": "x", "star_count": float("inf")}],
    "nameless": [{}],
    "number": 7,
}


class _Index(BaseHTTPRequestHandler):
    """Docker Hub's way to search."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path == "/v1/search":
            found = _HOSTILE.get(asked["q"], _RESULTS[: int(asked["n"])])
            body = json.dumps({"query": asked["q"], "results": found}).encode()
        else:
            body = b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_arguments: object) -> None:
        """No lines for requests."""


@contextmanager
def _index() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Index)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_search_an_index(sandbox: Sandbox) -> None:
    with _index() as host:
        header, *lines = sandbox.run("search", f"{host}/word").lines
        assert header.split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
        assert [line.split()[0] for line in lines] == [f"{host}/library/many", f"{host}/few", f"{host}/none"]
        assert lines[0].split()[1:] == ["Many", "900", "[OK]"]
        assert "Few stars, and a description that is longer …" in lines[1]
        full = sandbox.run("search", "--no-trunc", "--format", "{{.Description}}|{{.StarCount}}", f"{host}/w").lines
        assert full[1] == "Few stars, and a description that is longer than the column|3"
        named = ("search", "--format", "{{.Name}}")
        assert sandbox.run(*named, "-f", "stars=4", f"{host}/w").lines == [f"{host}/library/many"]
        assert len(sandbox.run(*named, "-f", "is-official=false", f"{host}/w").lines) == 2
        assert sandbox.run(*named, "--limit", "1", f"{host}/w").lines == [f"{host}/few"]
        assert "invalid filter 'color'" in sandbox.run("search", "-f", "color=x", f"{host}/w", status=1).stderr
        assert "outside the range of [1, 100]" in sandbox.run("search", "--limit", "101", "w", status=None).stderr


def test_an_answer_that_is_none_is_an_error(sandbox: Sandbox) -> None:
    with _index() as host:
        for word in _HOSTILE:
            said = sandbox.run("search", f"{host}/{word}", status=1).stderr
            assert said.startswith(f"Error: {host}: the answer to a search is not what it should be\n  cause: ")


def test_search_a_registry_that_has_no_index(sandbox: Sandbox, registry: Registry, images: tuple[str, str]) -> None:
    host = images[0].partition("/")[0]
    assert sandbox.run("search", "--format", "{{.Name}}", f"{host}/app").lines == [f"{host}/made/app"]
    assert sandbox.run("search", "--format", "{{.Name}}", f"{registry.host}/nonesuch").lines == []
