"""Blobs are there whole and right, or not there."""

from __future__ import annotations

import errno
import os
import signal
import stat
from typing import TYPE_CHECKING

import pytest

from storage.content import ContentStore
from storage.digests import Digest, chain_ids, digest_of, parse_digest
from storage.errors import StorageError
from storage.syscalls import mount
from tests.storage.namespace import call_in_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA = b"some content" * 1000
DIGEST = digest_of(DATA)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(str(tmp_path / "blobs"))


def _names(store: ContentStore, directory: str) -> list[str]:
    return os.listdir(os.path.join(os.path.dirname(os.path.dirname(store.path(DIGEST))), directory))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "sha256:" + "a" * 63,
        "sha256:" + "A" * 64,
        "sha512:" + "a" * 128,
        "sha256:" + "../" * 21 + "a",
        "a" * 64,
        "sha256:" + "a" * 64 + "\n",
        "sha256:" + "a" * 63 + "/",
        "sha256:" + "\u0661" * 64,
    ],
)
def test_what_is_no_digest_is_refused_before_any_path(store: ContentStore, text: str) -> None:
    with pytest.raises(StorageError, match="not a sha256 digest"):
        parse_digest(text)
    with pytest.raises(StorageError, match="not a sha256 digest"):
        store.path(Digest(text))


def test_chain_ids_of_the_image_specification() -> None:
    first, second = digest_of(b"1"), digest_of(b"2")
    assert chain_ids([]) == ()
    assert chain_ids([first, second]) == (first, digest_of(f"{first} {second}".encode()))


def test_put_read_and_delete(store: ContentStore) -> None:
    assert store.put(DATA) == DIGEST
    assert store.put(DATA) == DIGEST
    assert (store.has(DIGEST), store.size(DIGEST), store.read(DIGEST)) == (True, len(DATA), DATA)
    with store.open(DIGEST) as blob:
        assert blob.read() == DATA
    assert store.digests() == (DIGEST,)
    assert _names(store, "partial") == []
    store.delete(DIGEST)
    store.delete(DIGEST)
    assert not store.has(DIGEST)
    with pytest.raises(StorageError, match="no blob"):
        store.open(DIGEST)


def test_only_this_user_can_read_blobs(store: ContentStore) -> None:
    store.put(DATA)
    path = store.path(DIGEST)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


def test_a_broken_download_is_resumed(store: ContentStore) -> None:
    with store.writer(DIGEST, len(DATA)) as writer:
        writer.append(DATA[:5000])
        with pytest.raises(StorageError, match="ended after 5000 of"):
            writer.commit()
    assert not store.has(DIGEST)
    with store.writer(DIGEST, len(DATA)) as writer:
        assert writer.offset == 5000
        writer.append(DATA[5000:])
        writer.commit()
    assert store.read(DIGEST) == DATA


def test_restart_throws_the_partial_away(store: ContentStore) -> None:
    with store.writer(DIGEST, None) as writer:
        writer.append(b"from another server")
    with store.writer(DIGEST, None) as writer:
        writer.restart()
        writer.append(DATA)
        writer.commit()
    assert store.read(DIGEST) == DATA


def test_wrong_content_leaves_nothing(store: ContentStore) -> None:
    with store.writer(DIGEST, len(DATA)) as writer:
        writer.append(DATA[:-1] + b"!")
        with pytest.raises(StorageError, match="does not match its digest"):
            writer.commit()
    assert _names(store, "partial") == _names(store, "sha256") == []


def test_more_bytes_than_declared_leave_nothing(store: ContentStore) -> None:
    with store.writer(DIGEST, 100) as writer, pytest.raises(StorageError, match="larger than the 100 bytes"):
        writer.append(DATA)
    assert _names(store, "partial") == []


def test_right_digest_but_wrong_size_is_refused(store: ContentStore) -> None:
    with store.writer(DIGEST, len(DATA) + 1) as writer:
        writer.append(DATA)
        with pytest.raises(StorageError, match="ended after"):
            writer.commit()
    assert not store.has(DIGEST)


def test_damage_on_disk_is_noticed(store: ContentStore) -> None:
    store.put(DATA)
    with open(store.path(DIGEST), "r+b") as blob:
        blob.write(b"X")
    with pytest.raises(StorageError, match="damaged"):
        store.read(DIGEST)
    with pytest.raises(StorageError, match="larger than 10 bytes"):
        store.read(DIGEST, 10)


def test_second_writer_waits_and_finds_it_done(store: ContentStore) -> None:
    started_read, started_write = os.pipe()
    with store.writer(DIGEST, len(DATA)) as writer:
        child = os.fork()
        if child == 0:
            os.write(started_write, b"s")
            with store.writer(DIGEST, len(DATA)) as second:
                os._exit(0 if second.done else 1)
        os.read(started_read, 1)
        writer.append(DATA)
        writer.commit()
    assert os.waitpid(child, 0)[1] == 0
    for fd in (started_read, started_write):
        os.close(fd)
    assert _names(store, "partial") == []


def test_twenty_writers_at_once(store: ContentStore) -> None:
    children = []
    for _ in range(20):
        child = os.fork()
        if child == 0:
            with store.writer(DIGEST, len(DATA)) as writer:
                if not writer.done:
                    for start in range(writer.offset, len(DATA), 700):
                        writer.append(DATA[start : start + 700])
                    writer.commit()
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 20
    assert store.read(DIGEST) == DATA


def test_sweep_removes_old_partials_that_nobody_writes(store: ContentStore) -> None:
    with store.writer(DIGEST, None) as writer:
        writer.append(b"x")
        store.sweep(0)
        assert len(_names(store, "partial")) == 1
    store.sweep()
    assert len(_names(store, "partial")) == 1
    store.sweep(0)
    assert _names(store, "partial") == []


@pytest.mark.usefixtures("_namespaces")
def test_full_disk_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    cause, left = call_in_namespace(_fill, str(tmp_path))
    assert "disk is full" in cause
    assert left == []


def _fill(place: str) -> tuple[str, list[str]]:
    mount("tmpfs", place, "tmpfs", 0, "size=1m")
    store = ContentStore(place)
    with store.writer(DIGEST, None) as writer:
        try:
            for _ in range(3):
                writer.append(bytes(500_000))
        except StorageError as error:
            return error.cause, os.listdir(f"{place}/partial")
    return "", []


@pytest.fixture(params=["without a name", "with a name"])
def either_store(request: pytest.FixtureRequest, store: ContentStore, monkeypatch: pytest.MonkeyPatch) -> ContentStore:
    """A store on a file system that has files without a name, and on one that has not."""
    if request.param == "with a name":
        plain_open = os.open

        def refuse(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            return plain_open(path, flags, mode, dir_fd=dir_fd)

        monkeypatch.setattr(os, "open", refuse)
    return store


def test_a_blob_that_gets_its_digest_at_the_end(either_store: ContentStore) -> None:
    for _ in range(2):
        with either_store.new_blob() as blob:
            os.write(blob.fd, DATA)
            blob.commit(DIGEST)
        assert either_store.read(DIGEST) == DATA
        assert stat.S_IMODE(os.stat(either_store.path(DIGEST)).st_mode) == 0o600
    assert _names(either_store, "partial") == []


def test_a_new_blob_without_its_end_leaves_nothing(either_store: ContentStore) -> None:
    def pieces() -> Iterator[bytes]:
        yield DATA
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StorageError, match="cannot store a blob") as raised:
        either_store.put_pieces(pieces())
    assert "full" in raised.value.cause
    with either_store.new_blob() as blob:
        os.write(blob.fd, DATA)
    assert _names(either_store, "partial") == _names(either_store, "sha256") == []


def test_a_killed_writer_of_a_new_blob_leaves_nothing_for_long(either_store: ContentStore) -> None:
    child = os.fork()
    if child == 0:
        with either_store.new_blob() as blob:
            os.write(blob.fd, DATA)
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with either_store.new_blob() as living:
        os.write(living.fd, DATA)
        either_store.sweep()
        living.commit(DIGEST)
    assert _names(either_store, "partial") == []
    assert either_store.read(DIGEST) == DATA
