"""Fixtures of the storage tests: a mapped user namespace to call functions in, and a stand for layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.storage.namespace import call_in_namespace, can_map
from tests.storage.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def _namespaces() -> None:
    missing = can_map()
    if missing:
        pytest.skip(f"no mapped user namespace here: {missing}")


@pytest.fixture
def tree(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Tree]:
    """A directory to unpack into; what is in it belongs to subordinate ids and is removed inside the namespace."""
    request.getfixturevalue("_namespaces")
    made = Tree(str(tmp_path_factory.mktemp("tree")))
    yield made
    call_in_namespace(made.clear)
