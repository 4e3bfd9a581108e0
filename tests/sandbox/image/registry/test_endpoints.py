"""Where a registry is reached, and through which proxy."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.config import RegistrySettings
from sandbox.image.registry.endpoints import Endpoint, endpoints_for, proxy_for


@pytest.mark.parametrize(
    ("domain", "settings", "expected"),
    [
        ("docker.io", {}, [Endpoint("docker.io", "registry-1.docker.io", ("https",))]),
        ("ghcr.io", {}, [Endpoint("ghcr.io", "ghcr.io", ("https",))]),
        ("127.0.0.1:5000", {}, [Endpoint("127.0.0.1:5000", "127.0.0.1:5000", ("http", "https"))]),
        ("[::1]:5000", {}, [Endpoint("[::1]:5000", "[::1]:5000", ("http", "https"))]),
        ("lan:5000", {}, [Endpoint("lan:5000", "lan:5000", ("https",))]),
        ("lan:5000", {"insecure": ("lan:5000",)}, [Endpoint("lan:5000", "lan:5000", ("https", "http"), True)]),
        (
            "docker.io",
            {"mirrors": {"docker.io": ("http://127.0.0.1:5000", "https://m.example/hub/")}},
            [
                Endpoint("127.0.0.1:5000", "127.0.0.1:5000", ("http",), mirror=True),
                Endpoint("m.example", "m.example/hub", ("https",), mirror=True),
                Endpoint("docker.io", "registry-1.docker.io", ("https",)),
            ],
        ),
        (
            "lan",
            {"mirrors": {"lan": ("http://me:pass@m.example:80/hub",)}, "insecure": ("m.example:80",)},
            [
                Endpoint("m.example:80", "me:pass@m.example:80/hub", ("http",), True, mirror=True),
                Endpoint("lan", "lan", ("https",)),
            ],
        ),
    ],
)
def test_endpoints(domain: str, settings: dict[str, Any], expected: list[Endpoint]) -> None:
    assert list(endpoints_for(domain, RegistrySettings()._replace(**settings))) == expected


@pytest.mark.parametrize(
    ("scheme", "host", "env", "expected"),
    [
        ("https", "a.example", {}, None),
        ("https", "a.example", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https", "a.example", {"https_proxy": "p:1"}, "http://p:1"),
        ("http", "a.example", {"HTTPS_PROXY": "http://p:1"}, None),
        ("http", "a.example", {"ALL_PROXY": "http://p:1"}, "http://p:1"),
        ("https", "127.0.0.1", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https", "localhost", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https", "a.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "b.example, .example"}, None),
        ("https", "a.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        ("https", "aexample", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example"}, "http://p:1"),
        ("https", "10.1.2.3", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, None),
        ("https", "11.1.2.3", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "http://p:1"),
    ],
)
def test_proxy(scheme: str, host: str, env: dict[str, str], expected: str | None) -> None:
    assert proxy_for(scheme, host, env) == expected
