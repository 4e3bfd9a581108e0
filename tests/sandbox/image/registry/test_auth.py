"""WWW-Authenticate read, token requests made: texts in, values out."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import AuthenticationError, RegistryError
from sandbox.image.hosts.addresses import is_loopback
from sandbox.image.registry.auth import Challenge, parse_challenges, read_token, token_request
from sandbox.image.registry.docker_config import Credentials


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ('Basic realm="x"', [("basic", {"realm": "x"})]),
        (
            'Bearer realm="https://a/t",service="b, c",scope="repository:x:pull,push"',
            [("bearer", {"realm": "https://a/t", "service": "b, c", "scope": "repository:x:pull,push"})],
        ),
        ('BEARER Realm = "a\\"b" , basic', [("bearer", {"realm": 'a"b'}), ("basic", {})]),
        ('Negotiate, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
        ("Basic realm=x", [("basic", {"realm": "x"})]),
        ("", []),
        ('"', []),
        ('Basic realm="x', [("basic", {"realm": "x"})]),
    ],
)
def test_challenges(header: str, challenges: list[tuple[str, dict[str, str]]]) -> None:
    assert [tuple(challenge) for challenge in parse_challenges(header)] == challenges


@given(st.text(alphabet='Bearer realm=",\\ \t\x00é', max_size=60))
def test_any_header_ends(header: str) -> None:
    parse_challenges(header)


@pytest.mark.parametrize(
    ("realm", "registry", "allowed"),
    [
        ("https://auth.docker.io/token", "https://registry-1.docker.io", True),
        ("https://auth.example/t", "http://127.0.0.1:5000", True),
        ("http://127.0.0.1:5001/t", "http://127.0.0.1:5000", True),
        ("http://localhost:5001/t", "http://127.0.0.1:5000", True),
        ("http://lan:5001/t", "http://lan:5000", True),
        ("http://auth.example/t", "https://registry.example", False),
        ("http://registry.example/t", "https://registry.example", False),
        ("http://127.0.0.1/t", "https://registry.example", False),
        ("http://127.0.0.1/t", "http://lan:5000", False),
        ("https://u:p@auth.example/t", "https://registry.example", False),
        ("https:///t", "https://registry.example", False),
        ("ftp://a/t", "https://registry.example", False),
        ("https://a/\r\nX: y", "https://registry.example", False),
        ("https://[", "https://registry.example", False),
        ("", "https://registry.example", False),
    ],
)
def test_where_a_password_may_go(realm: str, registry: str, allowed: bool) -> None:
    challenge = Challenge("bearer", {"realm": realm, "service": "s"})
    if not allowed:
        with pytest.raises(RegistryError):
            token_request(challenge, "x", Credentials("u", "p"), registry_url=registry)
        return
    request = token_request(challenge, "repository:a:pull", Credentials("u", "p"), registry_url=registry)
    assert request.url == f"{realm}?service=s&scope=repository%3Aa%3Apull"
    assert request.headers == {"Authorization": "Basic " + base64.b64encode(b"u:p").decode()}


def test_identity_token() -> None:
    challenge = Challenge("bearer", {"realm": "https://a/t"})
    request = token_request(challenge, "s", Credentials(identity_token="i"), registry_url="https://r")
    assert request.form is not None
    assert request.form["refresh_token"] == "i"
    assert not request.headers


def test_anonymous() -> None:
    request = token_request(Challenge("bearer", {"realm": "https://a/t?x=1"}), "s", None, registry_url="https://r")
    assert request == ("https://a/t?x=1&scope=s", {}, None)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"token": ""}', b'{"token": "a\\nb"}', b'{"token": 1}', b"[" * 99999]
)
def test_bad_tokens(body: bytes) -> None:
    with pytest.raises(AuthenticationError):
        read_token(body, "x")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.8.7", "::1", "[::1]", "a.localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["127.0.0.1.evil.example", "127.0.0", "127.0.0.999", "example.com", ""])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)
