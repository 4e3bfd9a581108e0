"""Pulls from Debian's docker-registry, of images other tools made."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import termios
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from sandbox.image.media_types import OCI_INDEX, OCI_MANIFEST
from tests.integration.image.conftest import blobs, layers
from tests.integration.image.hostile import Handler, Hostile, Image, digest_of, make_layer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.command import Sandbox
    from tests.registry import Registry

pytestmark = pytest.mark.requires("userns", "subids")


def _configure(sandbox: Sandbox, text: str) -> None:
    directory = sandbox.home.config / "sandbox"
    directory.mkdir(exist_ok=True)
    (directory / "config.toml").write_text(text)


def test_what_is_printed(sandbox: Sandbox, busybox_image: str) -> None:
    name = busybox_image.removesuffix(":latest")
    first = sandbox.run("pull", name)
    assert first.stderr == ""
    assert first.lines[:2] == ["Using default tag: latest", "latest: Pulling from busybox"]
    assert first.lines[-3].startswith("Digest: sha256:")
    assert first.lines[-2] == f"Status: Downloaded newer image for {name}:latest"
    assert first.lines[-1] == f"{name}:latest"
    assert any(line.endswith(": Pull complete") for line in first.lines)
    again = sandbox.run("pull", busybox_image)
    assert f"Status: Image is up to date for {name}:latest" in again.lines
    assert sandbox.run("pull", "-q", busybox_image).lines == [busybox_image]


def test_on_a_terminal(sandbox: Sandbox, serve: Callable[[Image], Hostile]) -> None:
    """Rows for downloading and unpacking, none wider than the terminal; what is told has lines of its own."""
    host = serve(Image(make_layer({"large": os.urandom(5 << 20)}))).host
    shown = _on_terminal(sandbox, 40, "pull", f"{host}/x")
    assert re.search(r"\w{12}: Extracting  [.\d]+M?B/5\.2\d*MB$", shown, re.MULTILINE), shown
    rows = re.split(r"\n|\x1b\[\d+A\r\x1b\[J", shown)
    assert all(len(row) <= 40 for row in rows if re.match(r"\w{12}: ", row))
    at = next(number for number, row in enumerate(rows) if row.startswith("Digest: sha256:"))
    assert rows[at - 1].endswith(": Pull complete")
    assert rows[at + 1].startswith("Status: Downloaded newer image for ")


def test_a_load_and_an_import_on_a_terminal(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(5 << 20))
    subprocess.run(["tar", "-C", tmp_path, "-cf", tmp_path / "tree.tar", "large"], check=True)
    imported = _on_terminal(sandbox, 80, "import", str(tmp_path / "tree.tar"), "made")
    assert re.search(r"\w{12}: Extracting  \[.*\]  [.\d]+M?B/5\.2\d*MB\n", imported), imported
    assert re.search(r": Loaded\nsha256:\w{64}\n$", imported)
    sandbox.run("save", "-o", str(tmp_path / "made.tar"), "made")
    sandbox.run("rmi", "made")
    loaded = _on_terminal(sandbox, 80, "load", "-i", str(tmp_path / "made.tar"))
    assert ": Extracting  [" in loaded
    assert loaded.endswith(": Loaded\nLoaded image: made:latest\n")


def _on_terminal(sandbox: Sandbox, columns: int, *words: str) -> str:
    main, side = os.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    sandbox.env["TERM"] = "xterm"
    process = sandbox.spawn(*words, stdout=side, stderr=side)
    os.close(side)
    shown = b""
    # EIO where nobody holds the other side any more
    with suppress(OSError):
        while part := os.read(main, 1 << 16):
            shown += part
    os.close(main)
    assert process.wait() == 0, shown
    return shown.decode().replace("\r\n", "\n")


def test_by_digest(sandbox: Sandbox, registry: Registry, busybox_image: str) -> None:
    digest = json.loads(registry.skopeo("inspect", f"docker://{busybox_image}"))["Digest"]
    reference = f"{registry.host}/busybox@{digest}"
    assert sandbox.run("pull", reference).lines[-1] == reference
    (line,) = sandbox.run("images", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}").lines
    assert line == f"{registry.host}/busybox <none> {digest}"
    assert sandbox.run("image", "inspect", reference, "-f", "{{.RepoDigests}}").lines == [f"[{reference}]"]


def test_all_tags(sandbox: Sandbox, registry: Registry, busybox_layout: Path) -> None:
    for tag in ("one", "two"):
        registry.push(busybox_layout, f"tags:{tag}")
    pulled = sandbox.run("pull", "-a", f"{registry.host}/tags")
    assert pulled.lines[-2:] == [f"{registry.host}/tags:one", f"{registry.host}/tags:two"]
    assert sandbox.run("images", "--format", "{{.Tag}}").lines == ["one", "two"]
    refused = sandbox.run("pull", "-a", f"{registry.host}/tags:one", status=125)
    assert "all-tags" in refused.stderr


def test_mirror_of_docker_hub(sandbox: Sandbox, registry: Registry, busybox_layout: Path) -> None:
    registry.push(busybox_layout, "library/busybox:1")
    _configure(sandbox, f'[registries.mirrors]\n"docker.io" = ["http://{registry.host}"]\n')
    assert sandbox.run("pull", "busybox:1").lines[-1] == "docker.io/library/busybox:1"
    # shown as it was given
    assert sandbox.run("images", "--format", "{{.Repository}}:{{.Tag}}").lines == ["busybox:1"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("busybox:nonesuch", "manifest unknown"),
        ("nonesuch", "manifest unknown"),
    ],
)
def test_unknown_image(sandbox: Sandbox, registry: Registry, busybox_image: str, name: str, said: str) -> None:
    assert busybox_image
    failed = sandbox.run("pull", f"{registry.host}/{name}", status=1)
    assert said in failed.stderr
    assert "mend: " in failed.stderr


def test_an_unknown_tag_is_answered_with_those_there_are(
    sandbox: Sandbox, registry: Registry, busybox_layout: Path
) -> None:
    for tag in ("latest", "1.36", "1.37-glibc", *(f"old-{number}" for number in range(7))):
        registry.push(busybox_layout, f"many/tags:{tag}")
    where = f"{registry.host}/many/tags"
    refused = sandbox.run("pull", f"{where}:1.37-glib", status=1).stderr
    assert refused.endswith(f"old-4 and 2 more\n  mend: sandbox pull {where}:1.37-glibc\n")
    assert "  cause: its tags are 1.36, 1.37-glibc, latest, old-0, " in refused
    assert sandbox.run("pull", f"{where}:xyzzy", status=1).stderr.endswith(f"\n  mend: sandbox pull {where}:latest\n")
    sandbox.run("pull", "-q", f"{where}:1.37-glibc")
    # who asks for a digest means no tag
    refused = sandbox.run("pull", f"{where}@sha256:{'0' * 64}", status=1).stderr
    assert "its tags are" not in refused


def test_unknown_registry(sandbox: Sandbox) -> None:
    failed = sandbox.run("pull", "127.0.0.1:1/x", status=1)
    assert "cannot reach the registry 127.0.0.1:1" in failed.stderr
    assert "refused" in failed.stderr
    for name in ("registry.invalid", "Registry.invalid"):
        failed = sandbox.run("pull", f"{name}/x", status=1)
        assert f"cannot reach the registry {name}" in failed.stderr
        assert "redirected" not in failed.stderr


def test_a_proxy_is_used_and_loopback_is_not_proxied(
    sandbox: Sandbox, busybox_image: str, serve: Callable[[Image], Hostile]
) -> None:
    proxy = serve(Image(make_layer({"x": b""})))
    environment = {"HTTP_PROXY": f"http://{proxy.host}", "HTTPS_PROXY": f"http://{proxy.host}"}
    sandbox.run("pull", busybox_image, env=environment)
    assert not proxy.requests
    _configure(sandbox, '[registries.mirrors]\n"docker.io" = ["http://mirror.invalid"]\n')
    sandbox.run("pull", "busybox", env=environment)
    assert proxy.requests[0][0].startswith("http://mirror.invalid/v2/")


def test_no_proxy(sandbox: Sandbox, serve: Callable[[Image], Hostile]) -> None:
    proxy = serve(Image(make_layer({"x": b""})))
    _configure(sandbox, '[registries.mirrors]\n"docker.io" = ["http://mirror.invalid"]\n')
    environment = {"HTTP_PROXY": f"http://{proxy.host}", "NO_PROXY": ".invalid", "HTTPS_PROXY": "http://127.0.0.1:1"}
    sandbox.run("pull", "busybox", env=environment, status=1)
    assert not proxy.requests


# --- platforms


def test_platform(sandbox: Sandbox, serve: Callable[[Image], Hostile]) -> None:
    server = serve(Image(make_layer({"x": b"1"}), config={"architecture": "s390x"}))
    refused = sandbox.run("pull", "--platform", "linux/arm64", f"{server.host}/x", status=1)
    assert "linux/s390x" in refused.stderr
    taken = sandbox.run("pull", f"{server.host}/x")
    assert "WARNING" in taken.stdout
    assert sandbox.run("image", "inspect", "-f", "{{.Architecture}}", f"{server.host}/x").lines == ["s390x"]
    assert "invalid platform" in sandbox.run("pull", "--platform", "x/y/z/w", "x", status=125).stderr


@pytest.mark.parametrize("wanted", ["linux/amd64", "linux/arm64", None])
def test_index(sandbox: Sandbox, hostile: Hostile, wanted: str | None) -> None:
    """The platform's own manifest is chosen; attestations, listed as unknown/unknown, never are."""
    server, inner = hostile, json.dumps(hostile.image.manifest).encode()
    entries = [
        {"mediaType": OCI_MANIFEST, "digest": digest_of(b"attestation"), "size": 11,
         "platform": {"os": "unknown", "architecture": "unknown"}},
        {"mediaType": OCI_MANIFEST, "digest": digest_of(inner), "size": len(inner),
         "platform": {"os": "linux", "architecture": "amd64"}},
    ]  # fmt: skip
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}

    def answer(handler: Handler) -> bool:
        if handler.path.endswith("/manifests/latest"):
            handler.answer(200, json.dumps(index).encode(), {"Content-Type": OCI_INDEX})
            return True
        return False

    server.hooks.append(answer)
    words = ["--platform", wanted] if wanted else []
    done = sandbox.run("pull", *words, f"{server.host}/x", status=1 if wanted == "linux/arm64" else 0)
    if done.status:
        assert "no matching manifest for linux/arm64" in done.stderr
        assert "linux/amd64" in done.stderr
    else:
        assert f"Digest: {digest_of(json.dumps(index).encode())}" in done.lines


# --- trust and credentials


def test_private_authority(sandbox: Sandbox, tls_registry: Registry, busybox_layout: Path) -> None:
    reference = tls_registry.push(busybox_layout, "busybox:latest")
    refused = sandbox.run("pull", reference, status=1)
    assert "certificate is not trusted" in refused.stderr
    assert "registries.ca" in refused.stderr
    sandbox.run("pull", "-q", reference, env={"SSL_CERT_FILE": tls_registry.ca_file})
    sandbox.run("rmi", reference)
    _configure(sandbox, f'[registries.ca]\n"{tls_registry.host}" = "{tls_registry.ca_file}"\n')
    sandbox.run("pull", "-q", reference)


def test_certificates_directory(sandbox: Sandbox, tls_registry: Registry, busybox_layout: Path) -> None:
    reference = tls_registry.push(busybox_layout, "busybox:latest")
    directory = sandbox.home.config / "sandbox/certs.d" / tls_registry.host
    directory.mkdir(parents=True)
    (directory / "ca.crt").symlink_to(tls_registry.ca_file)
    sandbox.run("pull", "-q", reference)


def test_insecure_registry(sandbox: Sandbox, tls_registry: Registry, busybox_layout: Path) -> None:
    reference = tls_registry.push(busybox_layout, "busybox:latest")
    _configure(sandbox, f'[registries]\ninsecure = ["{tls_registry.host}"]\n')
    sandbox.run("pull", "-q", reference)


def test_no_silent_plain_http(sandbox: Sandbox, serve: Callable[[Image], Hostile]) -> None:
    """A registry that is not known to be on this machine is asked over TLS only: 127.1 is, by inet_aton(3) alone."""
    server = serve(Image(make_layer({"x": b""})))
    port = server.server_port
    failed = sandbox.run("pull", f"127.1:{port}/x", status=1)
    assert "cannot reach the registry" in failed.stderr
    assert not server.requests


def test_credentials(sandbox: Sandbox, auth_registry: Registry, busybox_layout: Path) -> None:
    reference = auth_registry.push(busybox_layout, "busybox:latest")
    refused = sandbox.run("pull", reference, status=1)
    assert "pull access denied for" in refused.stderr
    assert "sandbox login" in refused.stderr
    wrong = sandbox.run(
        "login", "-u", auth_registry.user, "--password-stdin", auth_registry.host, input="wrong\n", status=1
    )
    assert "incorrect username or password" in wrong.stderr
    assert not (sandbox.home.root / "docker/config.json").exists()
    sandbox.run("login", "-u", auth_registry.user, "--password-stdin", auth_registry.host, input=auth_registry.password)
    sandbox.run("pull", "-q", reference)
    assert "Removing login credentials" in sandbox.run("logout", auth_registry.host).stdout
    sandbox.run("pull", reference, status=1)


# --- together, and killed


@pytest.mark.slow
def test_five_at_once(sandbox: Sandbox, hostile: Hostile) -> None:
    """Each blob is fetched once and each layer unpacked once, by whoever comes first."""
    running = [sandbox.spawn("pull", "-q", f"{hostile.host}/x") for _ in range(5)]
    for process in running:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out.decode() == f"{hostile.host}/x:latest\n"
    for digest in hostile.image.layers:
        assert len([path for path, _headers in hostile.requests if path.endswith(digest)]) == 1
    assert len(layers(sandbox.home)) == 2
    assert len(sandbox.run("images", "-q").lines) == 1


@pytest.mark.slow
def test_killed_in_mid_pull(sandbox: Sandbox, hostile: Hostile) -> None:
    """SIGKILL while a blob arrives: the next pull goes on from there and nothing is left of the first."""
    process: subprocess.Popen[bytes] | None = None

    def kill(handler: Handler) -> bool:
        nonlocal process
        if process is None or not handler.path.endswith(handler.server.image.layers[1]):
            return False
        data = handler.server.image.blobs[handler.server.image.layers[1]]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[: 2 << 20])
        handler.wfile.flush()
        partial = sandbox.home.data / f"sandbox/blobs/partial/{handler.server.image.layers[1][7:]}"
        # written in pieces of a megabyte: the second is there or about to be
        while process.poll() is None and (not partial.exists() or partial.stat().st_size < 1 << 20):
            pass
        os.kill(process.pid, signal.SIGKILL)
        process = None
        handler.die()
        return True

    hostile.hooks.append(kill)
    process = started = sandbox.spawn("pull", f"{hostile.host}/x")
    started.communicate(timeout=120)
    assert started.returncode == -signal.SIGKILL
    assert not sandbox.run("images", "-q").lines
    hostile.requests.clear()
    sandbox.run("pull", f"{hostile.host}/x")
    (headers,) = [headers for path, headers in hostile.requests if path.endswith(hostile.image.layers[1])]
    assert headers["Range"].startswith("bytes=")
    assert set(hostile.image.layers) <= blobs(sandbox.home)
    assert not list(sandbox.home.data.glob("sandbox/blobs/partial/*"))
    assert [path.name for path in sandbox.home.data.glob("sandbox/locks/*")] == ["images"]


def test_interrupted(sandbox: Sandbox, hostile: Hostile) -> None:
    process: subprocess.Popen[bytes] | None = None

    def interrupt(handler: Handler) -> bool:
        if process is None or not handler.path.endswith(handler.server.image.layers[1]):
            return False
        process.send_signal(signal.SIGINT)
        return False

    hostile.hooks.append(interrupt)
    process = sandbox.spawn("pull", f"{hostile.host}/x")
    _out, err = process.communicate(timeout=120)
    assert b"Traceback" not in err
    assert process.returncode in (0, 130)
    if process.returncode == 130:
        assert err == b"Error: interrupted: sandbox pull\n"
