"""What a build remembers of files, and which records a prune takes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandbox.builder.cache.cache_usage import CacheRecord, PruneRequest, choose, freed_bytes
from sandbox.builder.sources.digest_memory import DigestMemory
from sandbox.paths import Paths

if TYPE_CHECKING:
    from pathlib import Path

_DIGEST = b"d" * 32
_LATER_NS = 10**10


@pytest.fixture
def root(tmp_path: Path) -> int:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "f").write_text("x")
    return os.open(tmp_path / "context", os.O_RDONLY)


def _paths(tmp_path: Path) -> Paths:
    return Paths(str(tmp_path / "data"), str(tmp_path / "run"), str(tmp_path / "config"))


def test_a_digest_is_kept_only_of_a_file_that_had_settled(tmp_path: Path, root: int) -> None:
    status = os.stat("f", dir_fd=root)
    for began_ns, kept in ((status.st_ctime_ns, None), (status.st_ctime_ns + _LATER_NS, _DIGEST)):
        memory = DigestMemory(_paths(tmp_path), root)
        memory.add(status, status, began_ns, _DIGEST)
        memory.save()
        assert DigestMemory(_paths(tmp_path), root).find(status) == kept
    os.close(root)


def test_a_file_that_changed_while_it_was_read_is_not_kept(tmp_path: Path, root: int) -> None:
    before = os.stat("f", dir_fd=root)
    os.utime("f", (1, 1), dir_fd=root)
    after = os.stat("f", dir_fd=root)
    memory = DigestMemory(_paths(tmp_path), root)
    memory.add(before, after, after.st_ctime_ns + _LATER_NS, _DIGEST)
    assert memory.find(before) is None
    assert memory.find(after) is None
    os.close(root)


def test_a_damaged_memory_is_none(tmp_path: Path, root: int) -> None:
    status = os.stat("f", dir_fd=root)
    memory = DigestMemory(_paths(tmp_path), root)
    memory.add(status, status, status.st_ctime_ns + _LATER_NS, _DIGEST)
    memory.save()
    (path,) = (tmp_path / "data" / "cache" / "contexts").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert DigestMemory(_paths(tmp_path), root).find(status) is None
    os.close(root)


def _record(name: str, size: int, used_ns: int, *, shared: bool = False, chain: str = "") -> CacheRecord:
    return CacheRecord(name, "regular", name, size, 0, used_ns, 1, shared, chain or name)


_RECORDS = (
    _record("old", 100, 1),
    _record("new", 100, 3),
    _record("kept", 100, 2, shared=True),
    _record("twin", 100, 4, chain="new"),
)


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (PruneRequest(), ["old", "new", "twin"]),
        (PruneRequest(all=True), ["old", "kept", "new", "twin"]),
        (PruneRequest(before_ns=3), ["old"]),
        (PruneRequest(ids=("ne",)), ["new"]),
        (PruneRequest(kinds=("exec.cachemount",)), []),
        (PruneRequest(keep_bytes=200), []),
        (PruneRequest(keep_bytes=150), ["old"]),
        (PruneRequest(keep_bytes=0), ["old", "new", "twin"]),
    ],
)
def test_what_a_prune_takes(request_: PruneRequest, names: list[str]) -> None:
    assert [record.id for record in choose(_RECORDS, request_)] == names


def test_a_layer_of_two_steps_is_freed_once() -> None:
    assert freed_bytes(_RECORDS, _RECORDS) == 200
    assert freed_bytes(_RECORDS[:2], _RECORDS) == 100
