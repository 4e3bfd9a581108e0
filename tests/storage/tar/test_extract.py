"""An archive extracted over a tree that is there, by whoever is nobody special: Docker's rules, and no way out."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest

from storage.errors import StorageError
from storage.tar.extract import Extracted, Extraction, Place, Rules
from storage.tar.writer import TarWriter

if TYPE_CHECKING:
    from pathlib import Path

OURS = Rules(owner="caller", special=False)
STRICT = OURS._replace(keeps_kinds=True)


def _entry(name: str, content: bytes | None = None, **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.mtime = 1_700_000_000
    for field, value in fields.items():
        setattr(entry, field, value)
    if content is not None:
        entry.size = len(content)
    return entry, content or b""


def _link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return _entry(name, type=tarfile.SYMTYPE, linkname=target)


def _directory(name: str, mode: int = 0o755) -> tuple[tarfile.TarInfo, bytes]:
    return _entry(name, type=tarfile.DIRTYPE, mode=mode)


def _archive(*entries: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))
    stream.seek(0)
    return stream


def _extract(
    target: Path, *entries: tuple[tarfile.TarInfo, bytes], rules: Rules = OURS, root: Path | None = None
) -> Extracted:
    fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY) if root else -1
    try:
        place = Place(fd, root_fd, os.fsencode(target.relative_to(root))) if root else Place(fd)
        return Extraction(_archive(*entries)).extract(place, rules)
    finally:
        os.close(fd)
        if root_fd >= 0:
            os.close(root_fd)


def test_files_directories_links_modes_and_times(tmp_path: Path) -> None:
    done = _extract(
        tmp_path, _directory("d", 0o500), _entry("d/file", b"content", mode=0o640), _link("d/link", "../../out"),
        _entry("d/again", type=tarfile.LNKTYPE, linkname="d/file"), _entry("d/pipe", type=tarfile.FIFOTYPE, mode=0o622),
    )  # fmt: skip
    file = tmp_path / "d/file"
    assert file.read_bytes() == b"content"
    assert (stat.S_IMODE(file.stat().st_mode), file.stat().st_mtime) == (0o640, 1_700_000_000)
    assert os.readlink(tmp_path / "d/link") == "../../out"
    assert (tmp_path / "d/again").samefile(file)
    assert stat.S_ISFIFO((tmp_path / "d/pipe").stat().st_mode)
    assert stat.S_IMODE((tmp_path / "d/pipe").stat().st_mode) == 0o622
    assert (stat.S_IMODE((tmp_path / "d").stat().st_mode), (tmp_path / "d").stat().st_mtime) == (0o500, 1_700_000_000)
    assert done == Extracted(5 * 512 + 512 + 1024, ())
    (tmp_path / "d").chmod(0o700)


def test_what_is_in_the_way_goes_and_links_are_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("kept")
    target = tmp_path / "target"
    (target / "dir/full").mkdir(parents=True)
    (target / "link").symlink_to(outside)
    _extract(target, _entry("link", b"new"), _entry("dir", b"a file now"))
    assert outside.read_text() == "kept"
    assert (target / "link").read_text() == "new"
    assert not (target / "link").is_symlink()
    assert (target / "dir").read_text() == "a file now"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (_entry("dir", b"x"), "cannot overwrite directory 'dir' with non-directory"),
        (_directory("file"), "cannot overwrite non-directory 'file' with directory"),
    ],
)
def test_kinds_are_kept_where_that_is_asked_for(
    tmp_path: Path, entry: tuple[tarfile.TarInfo, bytes], message: str
) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").write_text("kept")
    with pytest.raises(StorageError, match=message):
        _extract(tmp_path, entry, rules=STRICT)
    assert (tmp_path / "file").read_text() == "kept"
    assert (tmp_path / "dir").is_dir()


@pytest.mark.parametrize("name", ["../out", "a/../../out", "d/../../out"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(StorageError, match="refused the name"):
        _extract(target, _entry(name, b"x"))
    assert os.listdir(tmp_path) == ["target"]


@pytest.mark.parametrize("where", ["/abs", "..", "../target/../.."])
def test_no_link_of_the_archive_is_gone_through(tmp_path: Path, where: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(StorageError, match="cannot write"):
        _extract(target, _link("l", where), _entry("l/out", b"x"))
    assert sorted(os.listdir(tmp_path)) == ["target"]


def test_hard_links_lead_to_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    target = tmp_path / "target"
    target.mkdir()
    for link_name in ("../secret", "l/secret"):
        hard = _entry("h", type=tarfile.LNKTYPE, linkname=link_name)
        with pytest.raises(StorageError):
            _extract(target, _link("l", ".."), hard)
    assert not (target / "h").exists()


def test_links_in_a_root_are_followed_as_in_a_chroot(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (root / "to").mkdir()
    (root / "to/absolute").symlink_to("/real")
    (root / "to/out").symlink_to("../../../real")
    _extract(root / "to", _entry("absolute/a", b"1"), _entry("out/b", b"2"), root=root)
    assert sorted(os.listdir(root / "real")) == ["a", "b"]
    assert sorted(os.listdir(tmp_path)) == ["root"]


def test_what_has_come_in_a_directorys_place_is_not_described(tmp_path: Path) -> None:
    root, inside = tmp_path / "root", tmp_path / "root/inside"
    inside.mkdir(parents=True)
    (root / "victim").mkdir(mode=0o700)
    _extract(inside, _directory("d", 0o777), _link("d", "/victim"), root=root)
    assert os.readlink(inside / "d") == "/victim"
    assert stat.S_IMODE((root / "victim").stat().st_mode) == 0o700


def test_the_first_component_takes_another_name(tmp_path: Path) -> None:
    rules = OURS._replace(renamed=(b"src", b"dst"))
    _extract(
        tmp_path, _directory("src"), _entry("src/src", b"x"),
        _entry("src/h", type=tarfile.LNKTYPE, linkname="src/src"), rules=rules,
    )  # fmt: skip
    assert sorted(os.listdir(tmp_path / "dst")) == ["h", "src"]
    _extract(tmp_path, _directory("."), _entry("./in", b"x"), rules=OURS._replace(renamed=(b".", b"all")))
    assert os.listdir(tmp_path / "all") == ["in"]


def test_nothing_special_is_made_for_a_user(tmp_path: Path) -> None:
    null = _entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)
    done = _extract(tmp_path, _entry("su", b"x", mode=0o6755), _directory("sg", 0o2755), null)
    assert stat.S_IMODE((tmp_path / "su").stat().st_mode) == 0o755
    assert not (tmp_path / "sg").stat().st_mode & stat.S_ISGID
    assert done.notes == ("left out 'null': a device",)


def test_a_directory_laid_over_one_keeps_its_content(tmp_path: Path) -> None:
    (tmp_path / "d/old").mkdir(parents=True)
    _extract(tmp_path, _directory("d", 0o711), _entry("d/new", b"x"), rules=STRICT)
    assert sorted(os.listdir(tmp_path / "d")) == ["new", "old"]
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o711


def test_the_place_itself_is_not_described(tmp_path: Path) -> None:
    before = tmp_path.stat().st_mode
    _extract(tmp_path, _directory(".", 0o700), _entry("./x", b"x"))
    assert tmp_path.stat().st_mode == before


def test_half_a_file_is_not_left(tmp_path: Path) -> None:
    stream = _archive(_entry("big", bytes(100_000)))
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(StorageError, match="truncated"):
            Extraction(io.BytesIO(stream.getvalue()[:50_000])).extract(Place(fd), OURS)
    finally:
        os.close(fd)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("missing", [0, 1, 411, 412])
def test_the_last_padding_may_be_missing(tmp_path: Path, missing: int) -> None:
    stream = _archive(_entry("first", b"x" * 100), _entry("last", b"y" * 100))
    whole = stream.getvalue()[: 4 * 512]
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        Extraction(io.BytesIO(whole[: len(whole) - missing])).extract(Place(fd), OURS)
        with pytest.raises(StorageError, match="truncated"):
            Extraction(io.BytesIO(whole[:-413])).extract(Place(fd), OURS)
    finally:
        os.close(fd)
    assert (tmp_path / "first").read_bytes() == b"x" * 100


def test_names_of_any_bytes(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\n\x01 \xc3\xa9")
    _extract(tmp_path, _entry(name, b"x"))
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("hole_at", ["start", "middle", "end", "whole"])
@pytest.mark.parametrize("says_where", [True, False])
def test_holes_are_left_out_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hole_at: str, says_where: bool
) -> None:
    if not says_where:
        # as of a file system of FUSE
        monkeypatch.setattr("storage.tar.writer.extents", lambda _fd, size: iter([(0, size)]))
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    mebibyte = 1 << 20
    with (tmp_path / "from/file").open("wb") as file:
        for part in {"start": "_x", "middle": "x_x", "end": "x_", "whole": "_"}[hole_at]:
            if part == "x":
                file.write(b"x" * mebibyte)
            else:
                file.seek(mebibyte, os.SEEK_CUR)
        file.truncate(file.tell())
    target, source = (os.open(tmp_path / name, os.O_RDONLY) for name in ("to", "from"))
    with (tmp_path / "archive").open("w+b") as archive:
        writer = TarWriter(archive.fileno(), sparse=True)
        writer.add_tree(source)
        writer.finish(512)
        archive.seek(0)
        Extraction(archive).extract(Place(target), OURS)
    os.close(target)
    os.close(source)
    copy = tmp_path / "to/file"
    assert copy.read_bytes() == (tmp_path / "from/file").read_bytes()
    assert copy.stat().st_blocks == (tmp_path / "from/file").stat().st_blocks
    assert (tmp_path / "archive").stat().st_size < copy.stat().st_size


def test_large_files_pass_through_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "from/file").write_bytes(os.urandom(5_000_001))
    (tmp_path / "from/small").write_bytes(b"x")
    target, source = (os.open(tmp_path / name, os.O_RDONLY) for name in ("to", "from"))
    read_fd, write_fd = os.pipe()
    child = os.fork()
    if child == 0:
        writer = TarWriter(write_fd)
        writer.add_tree(source)
        writer.finish(512)
        os._exit(0)
    os.close(write_fd)
    with open(read_fd, "rb", buffering=0) as pipe:
        done = Extraction(pipe, pipe.fileno()).extract(Place(target), OURS)
    os.waitpid(child, 0)
    os.close(target)
    os.close(source)
    for name in ("file", "small"):
        assert (tmp_path / "to" / name).read_bytes() == (tmp_path / "from" / name).read_bytes()
    assert done.size_bytes == 512 + 5_000_192 + 1024 + 1024
