"""Caches that leave this machine, and come back to an empty one."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.builder.conftest import Builder
    from tests.registry import Registry

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp"), pytest.mark.slow]

_TEXT = (
    "FROM busybox AS made\nRUN echo made > /made\nFROM busybox\nCOPY f /f\nCOPY --from=made /made /made\n"
    "RUN cat /proc/sys/kernel/random/uuid > /uuid\n"
)


def _forget(builder: Builder) -> None:
    builder.sandbox.run("rmi", "-f", "made", status=None)
    builder.sandbox.run("image", "rm", "-f", "made", status=None)
    builder.sandbox.run("builder", "prune", "-a", "-f")


def _build(builder: Builder, context: Path, *options: str) -> tuple[int, str]:
    """How many steps were cached, and what the last of them had written."""
    done = builder.sandbox.run("build", "-t", "made", *options, context)
    return done.stderr.count(" CACHED"), builder.run("cat", "/uuid")


def _context(builder: Builder) -> Path:
    return builder.context({"Dockerfile": _TEXT, "f": "file"})


@pytest.mark.parametrize(("mode", "cached"), [("min", 3), ("max", 4)])
def test_a_local_cache(builder: Builder, mode: str, cached: int) -> None:
    context = _context(builder)
    place = builder.sandbox.home.root / "cache"
    _none, first = _build(builder, context, "--cache-to", f"type=local,dest={place},mode={mode}")
    assert json.loads((place / "oci-layout").read_text())["imageLayoutVersion"] == "1.0.0"
    _forget(builder)
    found, again = _build(builder, context, "--cache-from", f"type=local,src={place}")
    assert (found, again) == (cached, first)
    assert builder.sandbox.run("system", "check").status == 0


@pytest.mark.parametrize(
    "member",
    [
        7, {}, {"records": 3, "others": 4}, {"records": [["k" * 64, 99, "", ""], ["k", 0, "", ""], [1, 2], None]},
        {"others": ["../../etc"]}, {"others": [{"a": 1}]},
    ],
)  # fmt: skip
def test_a_cache_that_lies_about_itself_does_no_harm(builder: Builder, member: object) -> None:
    context = _context(builder)
    place = builder.sandbox.home.root / "cache"
    _build(builder, context, "--cache-to", f"type=local,dest={place}")
    _rewrite(place, member)
    _forget(builder)
    done = builder.sandbox.run("build", "-t", "made", "--cache-from", f"type=local,src={place}", context)
    assert "Traceback" not in done.stderr
    assert " CACHED" not in done.stderr
    assert builder.sandbox.run("system", "check").status == 0


def _rewrite(place: Path, member: object) -> None:
    """Change what a layout's config says of its steps, all digests being right."""

    def store(document: object) -> tuple[str, int]:
        data = json.dumps(document).encode()
        digest = hashlib.sha256(data).hexdigest()
        (place / "blobs" / "sha256" / digest).write_bytes(data)
        return f"sha256:{digest}", len(data)

    index = json.loads((place / "index.json").read_text())
    (entry,) = index["manifests"]
    manifest = json.loads((place / "blobs" / "sha256" / entry["digest"][7:]).read_text())
    config = json.loads((place / "blobs" / "sha256" / manifest["config"]["digest"][7:]).read_text())
    config["sandbox.buildcache.v1"] = member
    manifest["config"]["digest"], manifest["config"]["size"] = store(config)
    entry["digest"], entry["size"] = store(manifest)
    (place / "index.json").write_text(json.dumps(index))


def test_a_registry_cache_leaves_no_image_here(builder: Builder, registry: Registry) -> None:
    context = _context(builder)
    ref = f"{registry.host}/cache:main"
    images = len(builder.sandbox.run("images", "-aq").lines)
    _none, first = _build(builder, context, "--cache-to", f"type=registry,ref={ref},mode=max")
    assert len(builder.sandbox.run("images", "-aq").lines) == images + 1
    _forget(builder)
    found, again = _build(builder, context, "--cache-from", f"type=registry,ref={ref}")
    assert (found, again) == (4, first)
    assert ref.partition("/")[0] not in builder.sandbox.run("images").stdout


def test_an_inline_cache(builder: Builder, registry: Registry) -> None:
    context = _context(builder)
    ref = f"{registry.host}/app:1"
    builder.sandbox.run("build", "-t", ref, "--cache-to", "type=inline", "--push", context)
    first = builder.run("cat", "/uuid", name=ref)
    builder.sandbox.run("rmi", "-f", ref)
    _forget(builder)
    _found, again = _build(builder, context, "--cache-from", ref)
    assert again == first


def test_a_cache_that_is_not_there_is_a_warning(builder: Builder) -> None:
    done = builder.build({"Dockerfile": "FROM busybox\n"}, "--cache-from", "type=local,src=/nowhere")
    assert "WARNING: cannot use the cache /nowhere" in done.stderr


@pytest.mark.parametrize(
    "text", ["type=local", "type=registry", "type=gha", "type=local,dest=x,mode=all", "type=local,dest=x,bogus=1"]
)
def test_what_is_no_cache_is_refused(builder: Builder, text: str) -> None:
    failed = builder.build({"Dockerfile": "FROM scratch\n"}, "--cache-to", text, status=125)
    assert "--cache-to" in failed.stderr
