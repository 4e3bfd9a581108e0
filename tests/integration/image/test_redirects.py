"""A registry, or a server we import from, that sends us where only we can reach: refused before anything is sent.

Every request of these tests goes to the loopback, also if the product were wrong: what is not on the loopback goes
through a proxy that is, and that counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.image.hostile import Image, make_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.command import Sandbox
    from tests.integration.image.hostile import Handler, Hostile

pytestmark = pytest.mark.requires("userns", "subids")


def _send_to(location: str) -> Callable[[Handler], bool]:
    def redirect(handler: Handler) -> bool:
        if "/blobs/" not in handler.path:
            return False
        handler.answer(307, b"", {"Location": location.replace("PATH", handler.path)})
        return True

    return redirect


def _far_registry(sandbox: Sandbox, registry: Hostile, proxy: Hostile) -> None:
    """`docker.io` is now a registry that is not on this machine as far as the command knows: behind a proxy."""
    directory = sandbox.home.config / "sandbox"
    directory.mkdir(exist_ok=True)
    (directory / "config.toml").write_text('[registries.mirrors]\n"docker.io" = ["http://far.invalid"]\n')
    sandbox.env["HTTP_PROXY"] = f"http://{proxy.host}"
    sandbox.env["HTTPS_PROXY"] = f"http://{proxy.host}"

    def forward(handler: Handler) -> bool:
        # a proxy is sent the whole URL
        if not handler.path.startswith("http://far.invalid"):
            return False
        handler.path = handler.path.removeprefix("http://far.invalid")
        for hook in registry.hooks:
            if hook(handler):
                return True
        handler.serve()
        return True

    proxy.hooks.append(forward)


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://0.0.0.0:1/",
        "https://169.254.169.254/",
        "http://224.0.0.1/",
    ],
)
def test_nobody_sends_us_to_a_link_local_address(
    sandbox: Sandbox, hostile: Hostile, serve: Callable[[Image], Hostile], location: str
) -> None:
    proxy = serve(hostile.image)
    sandbox.env["HTTP_PROXY"] = sandbox.env["HTTPS_PROXY"] = f"http://{proxy.host}"
    hostile.hooks.append(_send_to(location))
    refused = sandbox.run("pull", f"{hostile.host}/x", status=1)
    assert f"refusing to go where the registry {hostile.host} sends us" in refused.stderr
    assert "no address that anybody may be sent to" in refused.stderr
    assert proxy.requests == []
    assert not sandbox.run("images", "-q").lines


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]"])
def test_a_registry_elsewhere_does_not_send_us_to_this_machine(
    sandbox: Sandbox, hostile: Hostile, serve: Callable[[Image], Hostile], host: str
) -> None:
    proxy, victim = serve(hostile.image), serve(hostile.image)
    _far_registry(sandbox, hostile, proxy)
    # through a proxy these would be names, for it to look up
    sandbox.env["NO_PROXY"] = "127.1,2130706433,::ffff:127.0.0.1"
    hostile.hooks.append(_send_to(f"http://{host}:{victim.server_port}PATH"))
    refused = sandbox.run("pull", "x", status=1)
    assert "this machine itself, and the registry is not" in refused.stderr
    assert victim.requests == []


def test_a_registry_elsewhere_does_not_send_us_into_a_private_network(
    sandbox: Sandbox, hostile: Hostile, serve: Callable[[Image], Hostile]
) -> None:
    proxy = serve(hostile.image)
    _far_registry(sandbox, hostile, proxy)
    hostile.hooks.append(_send_to("http://10.0.0.7/PATH"))
    refused = sandbox.run("pull", "x", status=1)
    assert "10.0.0.7 is an address of a private network, and the registry is not" in refused.stderr
    assert '[registries] redirects = ["10.0.0.7"]' in refused.stderr
    assert all(path.startswith("http://far.invalid/") for path, _headers in proxy.requests)


def test_a_registry_on_this_machine_sends_us_out(
    sandbox: Sandbox, hostile: Hostile, serve: Callable[[Image], Hostile]
) -> None:
    """What real registries do: blobs come from another host."""
    proxy = serve(hostile.image)
    sandbox.env["HTTP_PROXY"] = f"http://{proxy.host}"

    def serve_blob(handler: Handler) -> bool:
        handler.path = handler.path.removeprefix("http://cdn.invalid")
        handler.serve()
        return True

    proxy.hooks.append(serve_blob)
    hostile.hooks.append(_send_to("http://cdn.invalidPATH"))
    sandbox.run("pull", f"{hostile.host}/x")
    assert {path.partition("/v2/")[0] for path, _headers in proxy.requests} <= {"", "http://cdn.invalid"}
    assert len(proxy.requests) == 3


def test_a_token_server_is_no_way_round(sandbox: Sandbox, hostile: Hostile, serve: Callable[[Image], Hostile]) -> None:
    proxy = serve(Image(make_layer({"x": b""})))
    sandbox.env["HTTP_PROXY"] = sandbox.env["HTTPS_PROXY"] = f"http://{proxy.host}"

    def challenge(handler: Handler) -> bool:
        handler.answer(401, b"", {"WWW-Authenticate": 'Bearer realm="https://169.254.169.254/token"'})
        return True

    hostile.hooks.append(challenge)
    refused = sandbox.run("pull", f"{hostile.host}/x", status=1)
    assert "refusing to go where the registry" in refused.stderr
    assert proxy.requests == []


_ARCHIVE = make_layer({"x": b"1"})


def _answer(answers: Mapping[str, tuple[int, bytes, dict[str, str]]]) -> Callable[[Handler], bool]:
    def answer(handler: Handler) -> bool:
        if handler.path not in answers:
            return False
        handler.answer(*answers[handler.path])
        return True

    return answer


def test_an_import_follows_redirects_where_they_may_lead(
    sandbox: Sandbox, hostile: Hostile, serve: Callable[[Image], Hostile]
) -> None:
    """From this machine to this machine, and out of it."""
    proxy = serve(hostile.image)
    sandbox.env["HTTP_PROXY"] = f"http://{proxy.host}"
    out = {"Location": "http://cdn.invalid/root.tar"}
    hostile.hooks.append(_answer({"/a": (302, b"", {"Location": "/b"}), "/b": (301, b"", out)}))
    proxy.hooks.append(_answer({"http://cdn.invalid/root.tar": (200, _ARCHIVE, {})}))
    image_id = sandbox.run("import", f"http://{hostile.host}/a", "mine").stdout.strip()
    assert sandbox.run("images", "-q", "--no-trunc").lines == [image_id]
    assert [path for path, _headers in proxy.requests] == ["http://cdn.invalid/root.tar"]


@pytest.mark.parametrize(
    ("location", "cause"),
    [
        ("http://127.0.0.1:PORT/root.tar", "this machine itself, and the server is not"),
        ("http://localhost:PORT/root.tar", "this machine itself, and the server is not"),
        ("http://10.0.0.7/root.tar", "an address of a private network, and the server is not"),
        ("http://169.254.169.254/latest", "no address that anybody may be sent to"),
    ],
)
def test_an_import_from_elsewhere_does_not_lead_here(
    sandbox: Sandbox, serve: Callable[[Image], Hostile], location: str, cause: str
) -> None:
    proxy, victim = serve(Image(_ARCHIVE)), serve(Image(_ARCHIVE))
    sandbox.env["HTTP_PROXY"] = f"http://{proxy.host}"
    there = {"Location": location.replace("PORT", str(victim.server_port))}
    proxy.hooks.append(_answer({"http://far.invalid/root.tar": (302, b"", there)}))
    refused = sandbox.run("import", "http://far.invalid/root.tar", "mine", status=1)
    assert "refusing to go where the server far.invalid sends us" in refused.stderr
    assert cause in refused.stderr
    assert victim.requests == []
    assert [path for path, _headers in proxy.requests] == ["http://far.invalid/root.tar"]
    assert not sandbox.run("images", "-q").lines


def test_an_import_may_be_sent_into_a_private_network_that_the_settings_name(
    sandbox: Sandbox, serve: Callable[[Image], Hostile]
) -> None:
    proxy = serve(Image(_ARCHIVE))
    sandbox.env["HTTP_PROXY"] = f"http://{proxy.host}"
    there = {"Location": "http://10.0.0.7/root.tar"}
    proxy.hooks.append(
        _answer({"http://far.invalid/": (302, b"", there), "http://10.0.0.7/root.tar": (200, _ARCHIVE, {})})
    )
    refused = sandbox.run("import", "http://far.invalid/", status=1)
    assert '[registries] redirects = ["10.0.0.7"]' in refused.stderr
    directory = sandbox.home.config / "sandbox"
    directory.mkdir(exist_ok=True)
    (directory / "config.toml").write_text('[registries]\nredirects = ["10.0.0.7"]\n')
    sandbox.run("import", "http://far.invalid/")


def test_an_import_shows_no_password_of_its_url(sandbox: Sandbox, hostile: Hostile) -> None:
    hostile.hooks.append(_answer({"/root.tar": (200, _ARCHIVE, {})}))
    url = f"http://me:secret@{hostile.host}/"
    assert "secret" not in sandbox.run("import", f"{url}none", status=1).stderr
    sandbox.run("import", f"{url}root.tar", "mine")
    assert "secret" not in sandbox.run("image", "inspect", "mine").stdout
