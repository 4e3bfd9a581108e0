"""Caches that leave this machine, and come back to an empty one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.build.conftest import Builder
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
