"""What image tests share: a registry that misbehaves, and a look into the store."""

from __future__ import annotations

import random
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.integration.image.hostile import Hostile, Image, make_layer, run_hostile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.command import Home

#: does not compress, and takes more than one read of a socket
NOISE = random.Random(1).randbytes(3 << 20)


@pytest.fixture
def serve() -> Iterator[Callable[[Image], Hostile]]:
    """Start a hostile registry for an image; several may run at once."""
    with ExitStack() as stack:
        yield lambda image: stack.enter_context(run_hostile(image))


@pytest.fixture
def hostile(serve: Callable[[Image], Hostile]) -> Hostile:
    """A registry with an image of two layers, one of 3 MB, that behaves until told otherwise."""
    return serve(Image(make_layer({"small": b"1"}), make_layer({"noise": NOISE})))


def blobs(home: Home) -> set[str]:
    """The digests of the whole blobs in a home's store."""
    return {f"sha256:{path.name}" for path in home.data.glob("sandbox/blobs/sha256/*")}


def layers(home: Home) -> set[str]:
    """The unpacked layers in a home's store, by directory name."""
    return {path.name for path in home.data.glob("sandbox/layers/*") if len(path.name) == 64}
