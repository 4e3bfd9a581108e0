"""What several files of these tests stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.net.forward_world import ForwardWorld, forward_world

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def module_world() -> Iterator[ForwardWorld]:
    """Host, client and container, between which a forwarder of the test's choice carries ports."""
    with forward_world() as world:
        yield world
