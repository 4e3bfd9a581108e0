"""What clients ask of a frontend, read: what is done, warned of, and refused."""

from __future__ import annotations

import pytest

from sandbox.api.buildkit.frontend_request import (
    FrontendBuild,
    prefixed,
    read_network,
    read_settings,
    refusal,
    warnings_of,
)
from sandbox.errors import UsageError


@pytest.mark.parametrize(
    ("frontend", "attributes", "has_inputs", "said"),
    [
        ("dockerfile.v0", {"filename": "Dockerfile"}, False, ""),
        ("gateway.v0", {"source": "docker/dockerfile:1"}, False, ""),
        ("gateway.v0", {"source": "docker/dockerfile@sha256:00"}, False, ""),
        ("gateway.v0", {"source": "somebody/else:1"}, False, "somebody/else:1 is not supported"),
        ("", {}, False, "LLB"),
        ("other.v0", {}, False, "'other.v0' is not supported"),
        ("dockerfile.v0", {}, True, "the result of another build"),
        ("dockerfile.v0", {"context:base": "oci-layout://x@sha256:1"}, False, "base=oci-layout"),
        ("dockerfile.v0", {"context:base": "docker-image://busybox"}, False, ""),
        ("dockerfile.v0", {"platform": "linux/amd64,linux/arm64"}, False, "multiple platforms"),
    ],
)
def test_refusals(frontend: str, attributes: dict[str, str], has_inputs: bool, said: str) -> None:
    found = refusal(frontend, attributes, has_inputs=has_inputs)
    assert said in found if said else not found


def test_caches_that_are_not_written() -> None:
    assert refusal("dockerfile.v0", {}, has_inputs=False, cache_exports=("inline", "registry")) == ""
    assert "type gha" in refusal("dockerfile.v0", {}, has_inputs=False, cache_exports=("inline", "gha"))


def test_what_is_left_out_is_said() -> None:
    assert warnings_of(FrontendBuild({"attest:provenance": "mode=min,inline-only=true,builder-id=x"})) == []
    caches = (("registry", {"ref": "x"}), ("local", {"src": "/x"}))
    assert warnings_of(FrontendBuild({"attest:sbom": "", "cgroup-parent": "x"}, cache_imports=caches)) == [
        "importing a cache of type local is not supported here, and left out",
        "cgroup-parent is not supported here, and left out",
        "sbom attestations are not made here",
    ]


def test_settings_of_run() -> None:
    settings = read_settings({"add-hosts": "a=10.0.0.1,b=::1", "shm-size": "65536", "ulimit": "nofile=10:20,core=0:0"})
    assert settings.extra_hosts == ("a:10.0.0.1", "b:::1")
    assert settings.shm_size_bytes == 65536
    assert [limit[1:] for limit in settings.limits] == [(10, 20), (0, 0)]
    assert (read_network({}), read_network({"force-network-mode": "none"})) == ("default", "none")
    with pytest.raises(UsageError, match='network mode "web" not supported'):
        read_network({"force-network-mode": "web"})
    assert prefixed({"build-arg:A": "1", "label:x": "2"}, "build-arg:") == {"A": "1"}
