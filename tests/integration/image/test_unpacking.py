"""The worker that unpacks: what it leaves when the disk is full, and that it looks at the layers below."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.image.transfer.unpacking import _Worker
from sandbox.runtime.user_namespace import call_in_user_namespace
from storage.content import ContentStore
from storage.digests import chain_ids, digest_of, parse_digest
from storage.layers.store import LayerStore
from storage.syscalls import mount
from tests.integration.image.conftest import NOISE
from tests.integration.image.hostile import make_layer
from tests.subordinate import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.requires("userns", "subids")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory whose content may come to belong to subordinate ids."""
    directory = tmp_path / "place"
    directory.mkdir()
    yield directory
    remove_tree(str(directory))


def _diff_id(layer: bytes) -> str:
    import gzip

    return digest_of(gzip.decompress(layer))


def _unpack_on_a_small_disk(target: str, blob_path: str, diff_id: str) -> list[Any]:
    mount("tmpfs", target, "tmpfs", 0, "size=1m")
    store = LayerStore(f"{target}/layers")
    worker = _Worker(store, lambda _message: None)
    answer = worker.answer({"do": "unpack", "chain": diff_id, "blob": blob_path, "diff_id": diff_id, "lowers": []})
    return [answer, os.listdir(f"{target}/layers"), os.listdir(f"{target}/layers/.stage")]


def test_disk_full(place: Path) -> None:
    layer = make_layer({"noise": NOISE})
    content = ContentStore(str(place / "blobs"))
    blob = content.put(layer)
    (place / "small").mkdir()
    result = call_in_user_namespace(_unpack_on_a_small_disk, str(place / "small"), content.path(blob), _diff_id(layer))
    assert isinstance(result, list)
    answer, left, staged = result
    assert "disk is full" in answer["error"][1]
    assert left == [".stage"]
    assert staged == []


def _words_of_progress(root: str, blob_path: str, diff_id: str) -> list[Any]:
    words: list[dict[str, Any]] = []
    worker = _Worker(LayerStore(root), words.append)
    worker.answer({"do": "unpack", "chain": diff_id, "blob": blob_path, "diff_id": diff_id, "lowers": []})
    worker.close()
    return words


def test_how_much_has_been_unpacked_is_told_every_now_and_then(place: Path) -> None:
    layer = make_layer({"noise": os.urandom(9 << 20)})
    (place / "blob").write_bytes(layer)
    words = call_in_user_namespace(_words_of_progress, str(place / "layers"), str(place / "blob"), _diff_id(layer))
    assert isinstance(words, list)
    counts = [word["unpacked"] for word in words]
    assert counts == sorted(set(counts))
    assert len(counts) == 4
    assert counts[-1] <= len(layer)


def _store_on_a_small_disk(target: str) -> str:
    mount("tmpfs", target, "tmpfs", 0, "size=1m")
    store = ContentStore(target)
    try:
        store.put(NOISE)
    except Exception as error:  # noqa: BLE001  told to the test
        return f"{error} {getattr(error, 'cause', '')} {os.listdir(f'{target}/partial')}"
    return ""


def test_disk_full_while_downloading(place: Path) -> None:
    said = call_in_user_namespace(_store_on_a_small_disk, str(place))
    assert "disk is full" in str(said)
    assert str(said).endswith("[]")


def _unpack_two(root: str, blobs: list[str], diff_ids: list[str]) -> list[int]:
    store = LayerStore(root)
    worker = _Worker(store, lambda _message: None)
    chain = chain_ids([parse_digest(diff_id) for diff_id in diff_ids])
    lowers: list[str] = []
    for blob, diff_id, chain_id in zip(blobs, diff_ids, chain, strict=True):
        request = {"chain": chain_id, "blob": blob, "diff_id": diff_id, "lowers": lowers}
        for verb in ("unpack", "finish"):
            answer = worker.answer({"do": verb, **request})
            assert "error" not in answer, answer
        lowers = [store.path(chain_id), *lowers]
    return [stat.S_IMODE(os.stat(f"{store.path(chain_id)}/tmp").st_mode) for chain_id in chain]


def test_a_directory_only_named_in_a_path_is_as_below(place: Path) -> None:
    import gzip
    import io
    import tarfile

    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        header = tarfile.TarInfo("tmp")
        header.type, header.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(header)
    layers = [gzip.compress(raw.getvalue()), make_layer({"tmp/x": b"1"})]
    content = ContentStore(str(place / "blobs"))
    paths = [content.path(content.put(layer)) for layer in layers]
    modes = call_in_user_namespace(_unpack_two, str(place / "layers"), paths, [_diff_id(layer) for layer in layers])
    assert modes == [0o1777, 0o1777]
