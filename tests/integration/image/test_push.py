"""Pushes to Debian's docker-registry, read back with skopeo, and to a registry that misbehaves."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.image.hostile import digest_of
from tests.integration.image.receiving import Receiver, Receiving, run_receiving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Sandbox
    from tests.registry import Registry

pytestmark = pytest.mark.requires("userns", "subids", "skopeo")

_NOISE = random.Random(3).randbytes(20 << 20)


@pytest.fixture
def receiving() -> Iterator[Receiving]:
    with run_receiving() as server:
        yield server


def _import(sandbox: Sandbox, name: str, files: dict[str, bytes]) -> None:
    """An image of one layer, made here."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for path, data in files.items():
            header = tarfile.TarInfo(path)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    sandbox.run("import", "-", name, input=raw.getvalue())


def _raw(registry: Registry, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(registry.skopeo("inspect", "--raw", f"docker://{registry.host}/{name}"))
    return document


def _upload_offsets(server: Receiving) -> list[str]:
    return [
        headers.get("Content-Range", headers.get("Content-Length", "0"))
        for method, path, headers in server.requests
        if method in ("PATCH", "PUT") and "uploads" in path
    ]


def test_what_is_printed(sandbox: Sandbox, registry: Registry) -> None:
    name = f"{registry.host}/made"
    _import(sandbox, name, {"a": b"1"})
    first = sandbox.run("push", name)
    assert first.stderr == ""
    (diff_id,) = json.loads(sandbox.run("image", "inspect", name).stdout)[0]["RootFS"]["Layers"]
    layer = diff_id[7:19]
    data = registry.skopeo("inspect", "--raw", f"docker://{name}").encode()
    assert first.lines == [
        "Using default tag: latest",
        f"The push refers to repository [{name}]",
        f"{layer}: Preparing",
        f"{layer}: Pushed",
        f"latest: digest: {digest_of(data)} size: {len(data)}",
    ]
    assert f"{layer}: Layer already exists" in sandbox.run("push", f"{name}:latest").lines
    assert sandbox.run("push", "-q", name).lines == [f"{name}:latest"]
    assert sandbox.run("image", "inspect", name, "-f", "{{.RepoDigests}}").lines == [f"[{name}@{digest_of(data)}]"]


def test_what_was_made_here_is_compressed_once(sandbox: Sandbox, registry: Registry) -> None:
    for tag in ("one", "two"):
        _import(sandbox, f"{registry.host}/small:{tag}", {"zeros": bytes(1 << 20)})
        sandbox.run("push", f"{registry.host}/small:{tag}")
    one, two = _raw(registry, "small:one"), _raw(registry, "small:two")
    assert one["layers"] == two["layers"]
    assert one["layers"][0]["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    assert one["layers"][0]["size"] < 1 << 16
    blobs = sandbox.home.data / "sandbox/blobs/sha256"
    kept = (blobs / one["layers"][0]["digest"][7:]).read_bytes()
    (diff_id,) = json.loads(sandbox.run("image", "inspect", f"{registry.host}/small:one").stdout)[0]["RootFS"]["Layers"]
    assert digest_of(gzip.decompress(kept)) == diff_id
    # and with the image it goes
    sandbox.run("rmi", f"{registry.host}/small:one", f"{registry.host}/small:two")
    assert list(blobs.iterdir()) == []


def test_what_came_from_a_registry_keeps_its_digest(sandbox: Sandbox, registry: Registry, busybox_image: str) -> None:
    sandbox.run("pull", "-q", busybox_image)
    sandbox.run("tag", busybox_image, f"{registry.host}/other/place:1")
    pushed = sandbox.run("push", f"{registry.host}/other/place:1")
    assert any(line.endswith(": Mounted from busybox") for line in pushed.lines)
    before = registry.skopeo("inspect", "--raw", f"docker://{busybox_image}")
    assert registry.skopeo("inspect", "--raw", f"docker://{registry.host}/other/place:1") == before


def test_a_mount_is_told_with_its_whole_path(sandbox: Sandbox, registry: Registry, busybox_layout: Path) -> None:
    base = registry.push(busybox_layout, "library/base:1")
    sandbox.run("pull", "-q", base)
    sandbox.run("tag", base, f"{registry.host}/other/spot:1")
    pushed = sandbox.run("push", f"{registry.host}/other/spot:1")
    assert any(line.endswith(": Mounted from library/base") for line in pushed.lines)


def test_between_registries(
    sandbox: Sandbox, registry: Registry, tls_registry: Registry, auth_registry: Registry, busybox_image: str
) -> None:
    """TLS with an authority of its own, and names and passwords: both refused first, then right."""
    sandbox.run("pull", "-q", busybox_image)
    for target in (tls_registry, auth_registry):
        sandbox.run("tag", busybox_image, f"{target.host}/copy:1")
    refused = sandbox.run("push", f"{tls_registry.host}/copy:1", status=1)
    assert "its certificate is not trusted" in refused.stderr
    config = sandbox.home.config / "sandbox"
    config.mkdir(exist_ok=True)
    (config / "config.toml").write_text(f'[registries.ca]\n"{tls_registry.host}" = "{tls_registry.ca_file}"\n')
    sandbox.run("push", f"{tls_registry.host}/copy:1")
    refused = sandbox.run("push", f"{auth_registry.host}/copy:1", status=1)
    assert "push access denied for" in refused.stderr
    assert f"sandbox login {auth_registry.host}" in refused.stderr
    sandbox.run("login", "-u", auth_registry.user, "--password-stdin", auth_registry.host, input=auth_registry.password)
    sandbox.run("push", f"{auth_registry.host}/copy:1")
    want = _raw(registry, "busybox:latest")
    assert _raw(tls_registry, "copy:1") == want
    assert _raw(auth_registry, "copy:1") == want


def test_all_tags(sandbox: Sandbox, registry: Registry) -> None:
    for tag in ("one", "two"):
        _import(sandbox, f"{registry.host}/many:{tag}", {"a": tag.encode()})
    pushed = sandbox.run("push", "-a", f"{registry.host}/many")
    assert [line.split(":")[0] for line in pushed.lines if "digest:" in line] == ["one", "two"]
    assert json.loads(registry.skopeo("list-tags", f"docker://{registry.host}/many"))["Tags"] == ["one", "two"]
    refused = sandbox.run("push", "-a", f"{registry.host}/many:one", status=125)
    assert "all-tags" in refused.stderr


def test_others_read_what_was_pushed(sandbox: Sandbox, registry: Registry, tmp_path: Path) -> None:
    """skopeo copies it, layer by layer, verifying each digest; and a pull gives the same image back."""
    _import(sandbox, f"{registry.host}/whole", {"noise": _NOISE, "text": b"words " * 100_000})
    sandbox.run("push", f"{registry.host}/whole")
    image_id = sandbox.run("images", "-q", "--no-trunc").stdout.strip()
    registry.skopeo("inspect", f"docker://{registry.host}/whole")
    sandbox.run("rmi", f"{registry.host}/whole")
    sandbox.run("pull", "-q", f"{registry.host}/whole")
    assert sandbox.run("images", "-q", "--no-trunc").stdout.strip() == image_id


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["nonesuch"], 1, "An image does not exist locally with the tag: nonesuch"),
        (["-a", "nonesuch"], 1, "An image does not exist locally with the tag: nonesuch"),
        (["nonesuch@sha256:" + "0" * 64], 125, "cannot push a digest reference"),
        (["UPPER"], 1, "must be lowercase"),
    ],
)
def test_what_cannot_be_pushed(sandbox: Sandbox, words: list[str], status: int, said: str) -> None:
    assert said in sandbox.run("push", *words, status=status).stderr


def test_unknown_registry(sandbox: Sandbox) -> None:
    _import(sandbox, "127.0.0.1:1/made", {"a": b"1"})
    done = sandbox.run("push", "127.0.0.1:1/made", status=1)
    assert "cannot reach the registry 127.0.0.1:1" in done.stderr
    assert "connection refused" in done.stderr


def test_platform(sandbox: Sandbox, registry: Registry) -> None:
    name = f"{registry.host}/platform"
    _import(sandbox, name, {"a": b"1"})
    done = sandbox.run("push", "--platform", "linux/s390x", name, status=1)
    assert "does not provide the specified platform (linux/s390x)" in done.stderr
    sandbox.run("push", "--platform", "linux", name)


# --- a registry that misbehaves


def _break_once(after: int) -> Any:
    """Take so much of the body of the large blob, then hang up."""
    broken: list[str] = []

    def hook(handler: Receiver) -> bool:
        if handler.command != "PATCH" or broken:
            return False
        broken.append(handler.path)
        handler.receive(handler.where.rpartition("/")[2], after)
        handler.die()
        return True

    return hook


def test_a_broken_upload_goes_on(sandbox: Sandbox, receiving: Receiving) -> None:
    _import(sandbox, f"{receiving.host}/big", {"noise": _NOISE})
    receiving.hooks.append(_break_once(5_000_000))
    sandbox.run("push", f"{receiving.host}/big")
    assert any(text.startswith("5000000-") for text in _upload_offsets(receiving))
    manifest = json.loads(receiving.manifests["latest"])
    for descriptor in (manifest["config"], *manifest["layers"]):
        assert len(receiving.blobs[descriptor["digest"]]) == descriptor["size"]
    assert receiving.uploads == {}


def test_a_registry_that_cannot_go_on_gets_it_anew(sandbox: Sandbox, receiving: Receiving) -> None:
    def forget(handler: Receiver) -> bool:
        if handler.command != "GET" or "/uploads/" not in handler.path:
            return False
        handler.refuse(400, "BLOB_UPLOAD_INVALID", "blob upload invalid")
        return True

    _import(sandbox, f"{receiving.host}/big", {"noise": _NOISE})
    receiving.hooks += [_break_once(5_000_000), forget]
    sandbox.run("push", f"{receiving.host}/big")
    (layer,) = json.loads(receiving.manifests["latest"])["layers"]
    assert len(receiving.blobs[layer["digest"]]) == layer["size"]


def test_an_answer_that_got_lost(sandbox: Sandbox, receiving: Receiving) -> None:
    """The blob is there although the connection broke: it is not sent again."""
    lost: list[str] = []

    def lose(handler: Receiver) -> bool:
        if handler.command != "PUT" or "/uploads/" not in handler.path or lost:
            return False
        lost.append(handler.path)
        number = handler.where.rpartition("/")[2]
        handler.receive(number)
        data = bytes(handler.server.uploads.pop(number))
        handler.server.blobs[digest_of(data)] = data
        handler.die()
        return True

    _import(sandbox, f"{receiving.host}/small", {"a": b"1"})
    receiving.hooks.append(lose)
    sandbox.run("push", f"{receiving.host}/small")
    assert receiving.methods("/uploads/").count("PUT") == 2  # the layer's and the config's


def test_large_requests_refused(sandbox: Sandbox, receiving: Receiving) -> None:
    """A proxy before the registry that takes 17 MiB at once: the blob goes in pieces."""

    def limit(handler: Receiver) -> bool:
        if int(handler.headers.get("Content-Length", 0)) <= 17 << 20:
            return False
        handler.read_body()
        handler.answer(413)
        return True

    _import(sandbox, f"{receiving.host}/big", {"noise": _NOISE})
    receiving.hooks.append(limit)
    sandbox.run("push", f"{receiving.host}/big")
    assert any(text.startswith("0-") for text in _upload_offsets(receiving))
    (layer,) = json.loads(receiving.manifests["latest"])["layers"]
    assert len(receiving.blobs[layer["digest"]]) == layer["size"] > 20 << 20


def test_it_tries_again_and_gives_up(sandbox: Sandbox, receiving: Receiving) -> None:
    times = 0

    def busy(handler: Receiver) -> bool:
        nonlocal times
        if handler.command != "POST":
            return False
        times += 1
        handler.answer(503, headers={"Retry-After": "0"})
        return True

    _import(sandbox, f"{receiving.host}/small", {"a": b"1"})
    receiving.hooks.append(busy)
    done = sandbox.run("push", f"{receiving.host}/small", status=1)
    assert "the registry answered 503 Service Unavailable" in done.stderr
    assert times >= 5
    assert receiving.manifests == {}
    # and when it is well again, all goes
    receiving.hooks.clear()
    sandbox.run("push", f"{receiving.host}/small")


@pytest.mark.parametrize("status", [401, 403])
def test_denied(sandbox: Sandbox, receiving: Receiving, status: int) -> None:
    def deny(handler: Receiver) -> bool:
        if handler.command != "POST":
            return False
        handler.refuse(status, "DENIED", "requested access to the resource is denied")
        return True

    _import(sandbox, f"{receiving.host}/small", {"a": b"1"})
    receiving.hooks.append(deny)
    done = sandbox.run("push", f"{receiving.host}/small", status=1)
    assert f"push access denied for {receiving.host}/small" in done.stderr
    if status == 403:
        assert "denied: requested access to the resource is denied" in done.stderr


def test_read_only_registry(sandbox: Sandbox, receiving: Receiving) -> None:
    def refuse(handler: Receiver) -> bool:
        if handler.command != "POST":
            return False
        handler.refuse(405, "UNSUPPORTED", "The operation is unsupported.")
        return True

    _import(sandbox, f"{receiving.host}/small", {"a": b"1"})
    receiving.hooks.append(refuse)
    done = sandbox.run("push", f"{receiving.host}/small", status=1)
    assert "the registry answered 405" in done.stderr
    assert "The operation is unsupported" in done.stderr


def test_a_token_for_pushing_and_for_the_mount(sandbox: Sandbox, receiving: Receiving) -> None:
    asked: list[str] = []

    def tokens(handler: Receiver) -> bool:
        if handler.where == "/token":
            asked.append(handler.path)
            handler.answer(200, b'{"token": "abc"}')
            return True
        if handler.headers.get("Authorization") == "Bearer abc":
            return False
        handler.read_body()
        handler.answer(401, headers={"WWW-Authenticate": f'Bearer realm="http://{receiving.host}/token",service="s"'})
        return True

    _import(sandbox, f"{receiving.host}/first", {"a": b"1"})
    sandbox.run("tag", f"{receiving.host}/first", f"{receiving.host}/second")
    receiving.hooks.append(tokens)
    sandbox.run("push", f"{receiving.host}/first")
    assert asked[-1].count("scope=") == 1
    assert "scope=repository%3Afirst%3Apull%2Cpush" in asked[-1]
    receiving.blobs.clear()
    sandbox.run("push", f"{receiving.host}/second")
    assert "scope=repository%3Asecond%3Apull%2Cpush&scope=repository%3Afirst%3Apull" in asked[-1]
    assert any("mount=sha256%3A" in path and "from=first" in path for _method, path, _headers in receiving.requests)


def test_a_place_elsewhere_gets_no_credentials(sandbox: Sandbox, receiving: Receiving) -> None:
    """A registry may name another host for an upload; what proves who we are is not for that one."""
    with run_receiving() as other:
        other.uploads["7"] = bytearray()

        def elsewhere(handler: Receiver) -> bool:
            if not handler.headers.get("Authorization"):
                handler.read_body()
                handler.answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
            elif handler.command == "POST":
                other.uploads["7"] = bytearray()
                handler.answer(202, headers={"Location": f"http://{other.host}/v2/x/blobs/uploads/7"})
            else:
                return False
            return True

        sandbox.run("login", "-u", "me", "-p", "secret", receiving.host)
        _import(sandbox, f"{receiving.host}/small", {"a": b"1"})
        receiving.hooks.append(elsewhere)
        config = sandbox.home.config / "sandbox"
        config.mkdir(exist_ok=True)
        # one after the other: the other host has one place
        (config / "config.toml").write_text("[registries]\nconcurrency = 1\n")
        sandbox.run("push", f"{receiving.host}/small")
        assert len(other.blobs) == 2
        assert all("Authorization" not in headers for _method, _path, headers in other.requests)


def test_a_registry_that_stores_something_else(sandbox: Sandbox, receiving: Receiving) -> None:
    def lie(handler: Receiver) -> bool:
        if handler.command != "PUT" or "/manifests/" not in handler.path:
            return False
        handler.read_body()
        handler.answer(201, headers={"Docker-Content-Digest": "sha256:" + "0" * 64})
        return True

    _import(sandbox, f"{receiving.host}/small", {"a": b"1"})
    receiving.hooks.append(lie)
    done = sandbox.run("push", f"{receiving.host}/small", status=1)
    assert "the registry stored something else" in done.stderr
