"""The image store: what a text finds, and what a name does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.errors import ConflictError, ImageError, NotFoundError
from sandbox.image.references import parse_reference
from sandbox.image.store import (
    ImageRecord,
    digests_of,
    find_image,
    get_image,
    list_images,
    names_of,
    record_image,
    set_name,
    tag_image,
)
from sandbox.paths import Paths
from sandbox.state import connect_state
from sandbox.transactions import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

ALPINE = "sha256:" + "a1" * 32
BUSYBOX = "sha256:" + "a2" * 32
INDEX = "sha256:" + "f0" * 32


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect_state(Paths(str(tmp_path), str(tmp_path), str(tmp_path)))
    _add(connection, ALPINE, "alpine", 2)
    _add(connection, BUSYBOX, "ghcr.io/x/busybox:1.36", 1)
    yield connection
    connection.close()


def _add(connection: sqlite3.Connection, image_id: str, name: str, created_ns: int) -> None:
    record = ImageRecord(image_id, "", ("sha256:" + "0" * 64,), {"os": "linux"}, "linux/amd64", INDEX, created_ns, 1, 2)
    reference = parse_reference(name)
    with transaction(connection):
        record_image(connection, record, [reference], [(reference.repository, INDEX)])


@pytest.mark.parametrize(
    ("text", "image_id", "name"),
    [
        ("alpine", ALPINE, "alpine:latest"),
        ("docker.io/library/alpine", ALPINE, "alpine:latest"),
        ("alpine:latest", ALPINE, "alpine:latest"),
        (f"alpine@{INDEX}", ALPINE, f"alpine@{INDEX}"),
        (f"alpine:3@{INDEX}", ALPINE, f"alpine:3@{INDEX}"),
        ("ghcr.io/x/busybox:1.36", BUSYBOX, "ghcr.io/x/busybox:1.36"),
        (ALPINE, ALPINE, ALPINE),
        (ALPINE[7:], ALPINE, ALPINE),
        ("a1a1", ALPINE, ALPINE),
        ("sha256:a2", BUSYBOX, BUSYBOX),
    ],
)
def test_found(connection: sqlite3.Connection, text: str, image_id: str, name: str) -> None:
    found = find_image(connection, text)
    assert found is not None
    assert (found.id, found.name) == (image_id, name)
    assert found.layers == ("sha256:" + "0" * 64,)
    assert found.config == {"os": "linux"}


@pytest.mark.parametrize("text", ["alpine:3", "busybox", "a3", "ghcr.io/x/busybox", f"busybox@{INDEX}", "0" * 64])
def test_not_found(connection: sqlite3.Connection, text: str) -> None:
    assert find_image(connection, text) is None
    with pytest.raises(NotFoundError, match="No such image"):
        get_image(connection, text)


def test_ambiguous_prefix(connection: sqlite3.Connection) -> None:
    with pytest.raises(ConflictError, match="ambiguous"):
        find_image(connection, "a")


def test_a_name_wins_over_an_id(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        tag_image(connection, BUSYBOX, "a1a1")
    assert get_image(connection, "a1a1").id == BUSYBOX


@pytest.mark.parametrize("text", ["", "../x", "Alpine", "x y"])
def test_nonsense(connection: sqlite3.Connection, text: str) -> None:
    with pytest.raises(ImageError):
        find_image(connection, text)


def test_a_tag_moves(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        tag_image(connection, BUSYBOX, "alpine")
    assert get_image(connection, "alpine").id == BUSYBOX
    assert names_of(connection, ALPINE) == ()
    assert [str(name) for name in digests_of(connection, ALPINE)] == [f"docker.io/library/alpine@{INDEX}"]
    assert [image.id for image in list_images(connection)] == [ALPINE, BUSYBOX]


def test_a_name_needs_an_image(connection: sqlite3.Connection) -> None:
    with pytest.raises(NotFoundError):
        set_name(connection, parse_reference("x"), "sha256:" + "9" * 64)
    with pytest.raises(ImageError, match="digest"):
        tag_image(connection, ALPINE, f"x@{INDEX}")
