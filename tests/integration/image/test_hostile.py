"""Registries that die, lie and lead astray: a clear error, and nothing kept that was not verified."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.image.media_types import OCI_INDEX
from tests.integration.image.conftest import NOISE, blobs, layers
from tests.integration.image.hostile import Handler, Hostile, Image, digest_of, make_layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

pytestmark = pytest.mark.requires("userns", "subids")


def _is_large_blob(handler: Handler) -> bool:
    return handler.path.endswith(handler.server.image.layers[1])


def test_it_behaves(sandbox: Sandbox, hostile: Hostile) -> None:
    sandbox.run("pull", f"{hostile.host}/x")
    assert sandbox.run("images", "-q").lines


def test_dies_in_mid_blob_and_goes_on(sandbox: Sandbox, hostile: Hostile) -> None:
    starts: list[int] = []

    def die_twice(handler: Handler) -> bool:
        if not _is_large_blob(handler) or len(starts) >= 2:
            return False
        data = handler.server.image.blobs[handler.server.image.layers[1]]
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        starts.append(start)
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(data) - start))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.end_headers()
        handler.wfile.write(data[start : start + (1 << 20) + 7])
        handler.die()
        return True

    hostile.hooks.append(die_twice)
    sandbox.run("pull", f"{hostile.host}/x")
    ranges = [headers.get("Range") for path, headers in hostile.requests if path.endswith(hostile.image.layers[1])]
    assert starts[0] == 0
    assert starts[1] > 0
    assert len(ranges) == 3
    assert ranges[2] is not None


def test_dies_for_good_then_next_pull_goes_on(sandbox: Sandbox, hostile: Hostile) -> None:
    def die(handler: Handler) -> bool:
        if not _is_large_blob(handler):
            return False
        data = handler.server.image.blobs[handler.server.image.layers[1]]
        if handler.headers.get("Range"):
            handler.die()
            return True
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[: 2 << 20])
        handler.die()
        return True

    hostile.hooks.append(die)
    failed = sandbox.run("pull", f"{hostile.host}/x", status=1)
    assert "pull again" in failed.stderr
    assert not sandbox.run("images", "-q").lines
    hostile.hooks.clear()
    hostile.requests.clear()
    sandbox.run("pull", f"{hostile.host}/x")
    (request,) = [headers for path, headers in hostile.requests if path.endswith(hostile.image.layers[1])]
    assert request["Range"] == f"bytes={2 << 20}-"


def test_ignores_range(sandbox: Sandbox, hostile: Hostile) -> None:
    """A server may send the whole instead of the rest."""
    answered: list[str | None] = []

    def whole(handler: Handler) -> bool:
        if not _is_large_blob(handler):
            return False
        data = handler.server.image.blobs[handler.server.image.layers[1]]
        answered.append(handler.headers.get("Range"))
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data if len(answered) > 1 else data[: 2 << 20])
        handler.die()
        return True

    hostile.hooks.append(whole)
    sandbox.run("pull", f"{hostile.host}/x")
    assert answered[1] is not None


def test_500_twice_then_answers(sandbox: Sandbox, hostile: Hostile) -> None:
    failures = [500, 503]

    def fail(handler: Handler) -> bool:
        if "/manifests/" not in handler.path or not failures:
            return False
        handler.answer(failures.pop(), b"oops")
        return True

    hostile.hooks.append(fail)
    sandbox.run("pull", f"{hostile.host}/x")
    assert not failures


def test_429_with_retry_after(sandbox: Sandbox, hostile: Hostile) -> None:
    failures = [429]

    def fail(handler: Handler) -> bool:
        if not failures or "/blobs/" not in handler.path:
            return False
        handler.answer(failures.pop(), b"", {"Retry-After": "0"})
        return True

    hostile.hooks.append(fail)
    sandbox.run("pull", f"{hostile.host}/x")


@pytest.mark.slow
def test_500_for_ever(sandbox: Sandbox, hostile: Hostile) -> None:
    def fail(handler: Handler) -> bool:
        if "/manifests/" not in handler.path:
            return False
        handler.answer(500, b'{"errors":[{"code":"UNKNOWN","message":"\\u001b[31mdisk on fire"}]}')
        return True

    hostile.hooks.append(fail)
    failed = sandbox.run("pull", f"{hostile.host}/x", status=1)
    assert "answered 500" in failed.stderr
    assert "disk on fire" in failed.stderr
    assert "\x1b" not in failed.stderr


def test_lies_about_digest(sandbox: Sandbox, hostile: Hostile) -> None:
    digest = hostile.image.layers[1]
    good = hostile.image.blobs[digest]
    hostile.image.blobs[digest] = good[:-1] + bytes([good[-1] ^ 1])
    failed = sandbox.run("pull", f"{hostile.host}/x", status=1)
    assert "does not match its digest" in failed.stderr
    assert digest not in blobs(sandbox.home)
    assert not list(sandbox.home.data.glob(f"sandbox/blobs/partial/{digest[7:]}"))
    assert not sandbox.run("images", "-q").lines
    hostile.image.blobs[digest] = good
    sandbox.run("pull", f"{hostile.host}/x")


def test_lies_about_manifest_digest(sandbox: Sandbox, hostile: Hostile) -> None:
    failed = sandbox.run("pull", f"{hostile.host}/x@sha256:{'0' * 64}", status=1)
    assert "does not match its digest" in failed.stderr


@pytest.mark.parametrize("difference", [-5, 5])
def test_lies_about_size(sandbox: Sandbox, hostile: Hostile, difference: int) -> None:
    hostile.image.manifest["layers"][1]["size"] += difference
    failed = sandbox.run("pull", f"{hostile.host}/x", status=1)
    assert "bytes" in failed.stderr
    assert hostile.image.layers[1] not in blobs(sandbox.home)


def test_endless_body(sandbox: Sandbox, hostile: Hostile) -> None:
    sent = 0

    def endless(handler: Handler) -> bool:
        nonlocal sent
        if not _is_large_blob(handler):
            return False
        handler.send_response(200)
        handler.end_headers()
        try:
            while sent < 1 << 30:
                handler.wfile.write(bytes(1 << 20))
                sent += 1 << 20
        except OSError:
            pass
        handler.die()
        return True

    hostile.hooks.append(endless)
    failed = sandbox.run("pull", f"{hostile.host}/x", status=1)
    assert "sends more" in failed.stderr
    assert sent < 64 << 20


def test_endless_manifest(sandbox: Sandbox, hostile: Hostile) -> None:
    hostile.image.manifest["annotations"] = {"x": "y" * (5 << 20)}
    failed = sandbox.run("pull", f"{hostile.host}/x", status=1)
    assert "larger than 4 MiB" in failed.stderr


def test_manifest_confusion(sandbox: Sandbox, hostile: Hostile) -> None:
    hostile.image.manifest["manifests"] = []
    failed = sandbox.run("pull", f"{hostile.host}/x", status=1)
    assert "both an index and a manifest" in failed.stderr


@pytest.mark.parametrize("sent_as", ["text/html; charset=utf-8", "image/png"])
def test_manifest_sent_as_something_else(sandbox: Sandbox, hostile: Hostile, sent_as: str) -> None:
    def answer(handler: Handler) -> bool:
        if "/manifests/" not in handler.path:
            return False
        handler.answer(200, json.dumps(hostile.image.manifest).encode(), {"Content-Type": sent_as})
        return True

    hostile.hooks.append(answer)
    failed = sandbox.run("pull", f"{hostile.host}/x", status=1)
    assert f"is '{sent_as.partition(';')[0]}', which no manifest is" in failed.stderr
    assert sandbox.run("images", "-q").lines == []


def test_index_in_index(sandbox: Sandbox, hostile: Hostile) -> None:
    entry = {"mediaType": OCI_INDEX, "digest": "sha256:" + "0" * 64, "size": 1}
    hostile.image.manifest = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    failed = sandbox.run("pull", f"{hostile.host}/x", status=1)
    assert "does not match its digest" in failed.stderr


def test_wrong_diff_id(sandbox: Sandbox, serve: Callable[[Image], Hostile]) -> None:
    layer = make_layer({"x": b"1"})
    config = {"rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}}
    server = serve(Image(layer, config=config))
    failed = sandbox.run("pull", f"{server.host}/x", status=1)
    assert "diff id" in failed.stderr
    assert not layers(sandbox.home)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_layers_and_diff_ids_differ(sandbox: Sandbox, hostile: Hostile, count: int) -> None:
    hostile.image.manifest["layers"] = (hostile.image.manifest["layers"] * 2)[:count]
    failed = sandbox.run("pull", f"{hostile.host}/x", status=1)
    assert "layers" in failed.stderr


def test_corrupt_layer(sandbox: Sandbox, serve: Callable[[Image], Hostile]) -> None:
    whole = make_layer({"noise": NOISE})
    image = Image(whole)
    cut = whole[: len(whole) // 2]
    image.manifest["layers"] = [{**image.manifest["layers"][0], "digest": image.add(cut), "size": len(cut)}]
    failed = sandbox.run("pull", f"{serve(image).host}/x", status=1)
    assert "cannot unpack layer" in failed.stderr
    assert not layers(sandbox.home)
    assert not sandbox.run("images", "-q").lines


def test_escaping_layer(sandbox: Sandbox, serve: Callable[[Image], Hostile]) -> None:
    server = serve(Image(make_layer({"../../../../marker": b"x"})))
    failed = sandbox.run("pull", f"{server.host}/x", status=1)
    assert "cannot unpack layer" in failed.stderr
    assert not list(sandbox.home.root.rglob("marker"))


# --- credentials


def _login(sandbox: Sandbox, host: str) -> None:
    directory = sandbox.home.root / "docker"
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps({"auths": {host: {"auth": "dXNlcjpzZWNyZXQ="}}}))


def _want(scheme: str) -> Callable[[Handler], bool]:
    def check(handler: Handler) -> bool:
        if handler.path.startswith("/token") or handler.headers.get("Authorization"):
            return False
        handler.answer(401, b"", {"WWW-Authenticate": scheme})
        return True

    return check


def test_redirect_does_not_carry_credentials(
    sandbox: Sandbox, hostile: Hostile, serve: Callable[[Image], Hostile]
) -> None:
    """CVE-2020-15157."""
    elsewhere = serve(hostile.image)
    _login(sandbox, hostile.host)

    def redirect(handler: Handler) -> bool:
        if "/blobs/" not in handler.path:
            return False
        assert handler.headers.get("Authorization")
        handler.answer(307, b"", {"Location": f"http://{elsewhere.host}{handler.path}"})
        return True

    hostile.hooks += [_want('Basic realm="x"'), redirect]
    sandbox.run("pull", f"{hostile.host}/x")
    assert len(elsewhere.requests) == 3
    for _path, headers in elsewhere.requests:
        assert "Authorization" not in headers
        assert "Cookie" not in headers


def test_second_host_cannot_ask_for_credentials(
    sandbox: Sandbox, hostile: Hostile, serve: Callable[[Image], Hostile]
) -> None:
    elsewhere = serve(hostile.image)
    elsewhere.hooks.append(_want('Basic realm="give"'))
    _login(sandbox, hostile.host)

    def redirect(handler: Handler) -> bool:
        if "/blobs/" not in handler.path:
            return False
        handler.answer(307, b"", {"Location": f"http://{elsewhere.host}{handler.path}"})
        return True

    hostile.hooks += [_want('Basic realm="x"'), redirect]
    sandbox.run("pull", f"{hostile.host}/x", status=1)
    assert all("Authorization" not in headers for _path, headers in elsewhere.requests)


def test_redirects_without_end(sandbox: Sandbox, hostile: Hostile) -> None:
    def redirect(handler: Handler) -> bool:
        if "/blobs/" not in handler.path:
            return False
        handler.answer(302, b"", {"Location": handler.path})
        return True

    hostile.hooks.append(redirect)
    assert "redirects" in sandbox.run("pull", f"{hostile.host}/x", status=1).stderr


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://", "//[", "http://u:p@127.0.0.1/", f"http://{'a' * 300}/"],
)
def test_redirect_to_nonsense(sandbox: Sandbox, hostile: Hostile, location: str) -> None:
    def redirect(handler: Handler) -> bool:
        if "/blobs/" not in handler.path:
            return False
        handler.answer(302, b"", {"Location": location})
        return True

    hostile.hooks.append(redirect)
    failed = sandbox.run("pull", f"{hostile.host}/x", status=1)
    assert "redirect" in failed.stderr  # also where the name does not resolve: by whose word we went there
    assert "Traceback" not in failed.stderr


def _token_server(body: dict[str, Any]) -> Callable[[Handler], bool]:
    def token(handler: Handler) -> bool:
        if not handler.path.startswith("/token"):
            return False
        handler.answer(200, json.dumps(body).encode())
        return True

    return token


@pytest.mark.parametrize("member", ["token", "access_token"])
def test_token(sandbox: Sandbox, hostile: Hostile, member: str) -> None:
    realm = f'Bearer realm="http://{hostile.host}/token",service="reg, with a comma",scope="repository:x:pull"'
    hostile.hooks += [_token_server({member: "abc"}), _want(realm)]
    _login(sandbox, hostile.host)
    sandbox.run("pull", f"{hostile.host}/x")
    asked = [(path, headers) for path, headers in hostile.requests if path.startswith("/token")]
    assert len(asked) == 1
    assert asked[0][1]["Authorization"] == "Basic dXNlcjpzZWNyZXQ="
    assert "scope=repository%3Ax%3Apull" in asked[0][0]
    assert {h.get("Authorization") for p, h in hostile.requests if "/blobs/" in p} == {"Bearer abc"}


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": "a\r\nX-Evil: 1"}, {"token": 5}])
def test_bad_token(sandbox: Sandbox, hostile: Hostile, body: dict[str, Any]) -> None:
    hostile.hooks += [_token_server(body), _want(f'Bearer realm="http://{hostile.host}/token"')]
    assert "no token" in sandbox.run("pull", f"{hostile.host}/x", status=1).stderr


@pytest.mark.parametrize(
    "realm",
    [
        "http://192.0.2.1/token", "ftp://x/", "", "file:///etc/passwd", "http://a:b@127.0.0.1/",
        f"https://{'a' * 300}/token",
    ],
)  # fmt: skip
def test_realm_tricks(sandbox: Sandbox, hostile: Hostile, realm: str) -> None:
    """The password goes only where the way is encrypted, or where the registry itself is."""
    hostile.hooks.append(_want(f'Bearer realm="{realm}"'))
    _login(sandbox, hostile.host)
    failed = sandbox.run("pull", f"{hostile.host}/x", status=1)
    assert "token server" in failed.stderr or "refusing" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_digest_of_helper_is_right() -> None:
    assert digest_of(b"").endswith("b855")
