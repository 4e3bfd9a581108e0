"""Workers for the operations of these tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandbox.warm.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REGISTRY = "tests.sandbox.warm.operations"


@pytest.fixture
def workers() -> Iterator[Workers]:
    with Workers(REGISTRY) as made:
        yield made


class Pipe:
    """Two ends that are closed after the test."""

    def __init__(self) -> None:
        self.reads, self.writes = os.pipe()

    def read(self, size: int = 65536) -> bytes:
        return os.read(self.reads, size)

    def close(self) -> None:
        os.close(self.reads)
        os.close(self.writes)


@pytest.fixture
def make_pipe() -> Iterator[Callable[[], Pipe]]:
    made: list[Pipe] = []

    def make() -> Pipe:
        made.append(Pipe())
        return made[-1]

    yield make
    for pipe in made:
        pipe.close()


def is_there(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def children_of(pid: int) -> set[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return {int(word) for word in file.read().split()}
