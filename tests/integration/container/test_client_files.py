"""A container's files by the Python API, as programs written for docker-py move them."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest

import sandbox
from sandbox.client.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sandbox import Client
    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]


@pytest.fixture
def box(request: pytest.FixtureRequest) -> Iterator[Client]:
    command: Sandbox = request.getfixturevalue("sandbox")
    with sandbox.Client(environment=command.env, remove_created=True) as client:
        yield client


def _archive(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.uid = len(content), 1000
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def _read(pieces: Iterable[bytes]) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        return {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isfile()}  # type: ignore[union-attr]


@pytest.mark.parametrize("runs", [True, False])
def test_archives_go_in_and_out(box: Client, busybox: str, tmp_path: Path, runs: bool) -> None:
    web = box.containers.create(busybox, ["busybox", "sleep", "1000000"], name="web", network_mode="none", user="1000")
    if runs:
        web.start()
    data = _archive(one=b"1" * 100_000, two=b"2")
    assert web.put_archive("/tmp", data) is True
    (tmp_path / "file").write_bytes(_archive(three=b"3"))
    with (tmp_path / "file").open("rb") as file:
        web.put_archive("tmp/", file)
    web.put_archive("/tmp", (data[start : start + 1000] for start in range(0, len(data), 1000)))
    pieces, described = web.get_archive("/tmp/one")
    assert (described["name"], described["size"], described["linkTarget"]) == ("one", 100_000, "")
    assert _read(pieces) == {"one": b"1" * 100_000}
    pieces, described = web.get_archive("/tmp", chunk_size=700)
    assert described["mode"] == 1 << 31 | 1 << 20 | 0o777
    found = list(pieces)
    assert max(map(len, found)) <= 700
    assert sorted(_read(found)) == ["tmp/one", "tmp/three", "tmp/two"]
    assert {change["Path"]: change["Kind"] for change in web.diff()} == {
        "/tmp": 0, "/tmp/one": 1, "/tmp/three": 1, "/tmp/two": 1,
    }  # fmt: skip
    assert _read(web.export())["tmp/two"] == b"2"
    pieces, _described = web.get_archive("/bin")
    next(pieces)
    pieces.close()


def test_what_cannot_be_is_an_error_of_its_kind(box: Client, busybox: str) -> None:
    web = box.containers.create(busybox, "true", read_only=True)
    with pytest.raises(NotFound, match="Could not find the file /no in container"):
        web.get_archive("/no")
    with pytest.raises(InvalidArgument, match="container rootfs is marked read-only"):
        web.put_archive("/tmp", _archive(x=b"x" * 3_000_000))
    with pytest.raises(InvalidArgument, match="extraction point is not a directory"):
        web.put_archive("/etc/passwd", _archive(x=b"x"))
    with pytest.raises(NotFound):
        web.put_archive("/no", _archive(x=b"x"))

    def interrupted() -> Iterator[bytes]:
        yield _archive(x=b"x")[:100]
        raise OSError("the source broke")

    with pytest.raises(OSError, match="the source broke"):
        web.put_archive("/tmp", interrupted())
