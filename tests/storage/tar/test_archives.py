"""Our archives against GNU tar and Python's tarfile, and inherited directories."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import tarfile
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from storage.layers.undescribed_directories import inherit_directories
from storage.owner_book import owner_book_beside
from storage.syscalls import FICLONE
from storage.tar.writer import write_tree
from storage.true_owners import BookOwners
from tests.storage.namespace import call_in_namespace
from tests.storage.tree import Archive, Found, Tree, found_in

if TYPE_CHECKING:
    from collections.abc import Sequence


def _written(root: str) -> tuple[bytes, tuple[str, ...]]:
    """The archive of `root`; made by way of a file, so that nothing has to read meanwhile."""
    fd = os.open(root, os.O_RDONLY)
    out = os.memfd_create("archive")
    with closing(owner_book_beside(root)) as book:
        notes = write_tree(fd, out, BookOwners(book))
    with open(out, "rb") as file:
        file.seek(0)
        return file.read(), notes


def _make_tree(root: str) -> None:
    """A tree with everything in it that an archive may have to say."""
    for name in ("plain", "d" * 120, "deep/" + "/".join(["e" * 60] * 6), "tmp"):
        os.makedirs(f"{root}/{name}")
    os.chmod(f"{root}/tmp", 0o1777)
    for name, data in (("a", b"abc"), ("n\u00e4me", b"x"), ("empty", b""), ("l" * 200, os.urandom(70_000))):
        with open(f"{root}/plain/{name}", "wb") as file:
            file.write(data)
    with open(f"{root}/sparse", "wb") as file:
        for offset in range(0, 30 << 20, 3 << 20):
            file.seek(offset)
            file.write(b"data" * 1024)
        file.truncate(31 << 20)
    os.link(f"{root}/plain/a", f"{root}/hard")
    os.symlink("plain/a", f"{root}/soft")
    os.symlink("t" * 180, f"{root}/long-link")
    os.mkfifo(f"{root}/fifo", 0o620)
    os.setxattr(f"{root}/plain/a", "user.note", b"hello")
    os.chown(f"{root}/plain/empty", 33, 44)
    os.chmod(f"{root}/plain/empty", 0o6755)
    os.utime(f"{root}/hard", ns=(5, 1234567890123456789))
    os.utime(f"{root}/plain", ns=(5, 987654321098765432))


def _without_root_time(found: dict[str, Found]) -> dict[str, Found]:
    return {path: entry for path, entry in found.items() if path != "."}


@pytest.mark.parametrize("sparse", ["", "--sparse", "--sparse --sparse-version=0.0", "--sparse --sparse-version=0.1"])
@pytest.mark.parametrize("form", ["--format=gnu", "--format=posix --xattrs"])
def test_our_unpacking_equals_gnu_tars(tree: Tree, form: str, sparse: str) -> None:
    source, theirs, archive = f"{tree.root}/source", f"{tree.root}/theirs", f"{tree.root}/a.tar"
    expected = call_in_namespace(
        _pack_and_unpack_with_gnu_tar, source, theirs, archive, [*form.split(), *sparse.split()]
    )
    with open(archive, "rb") as file:
        tree.unpack(file.read())
    assert _without_root_time(tree.found()) == _without_root_time(expected)
    assert os.stat(f"{tree.layers[0]}/hard").st_nlink == 2
    if sparse:
        assert os.stat(f"{tree.layers[0]}/sparse").st_blocks * 512 < 1 << 20
    if "--xattrs" in form:
        assert os.getxattr(f"{tree.layers[0]}/hard", "user.note") == b"hello"


def _pack_and_unpack_with_gnu_tar(source: str, theirs: str, archive: str, options: Sequence[str]) -> dict[str, Found]:
    os.mkdir(source)
    _make_tree(source)
    os.mkdir(theirs)
    subprocess.run(["tar", "-C", source, *options, "-cf", archive, "."], check=True)
    subprocess.run(["tar", "-C", theirs, "--xattrs", "--numeric-owner", "-p", "-xf", archive], check=True)
    return found_in(theirs)


def _make_and_write(root: str) -> tuple[bytes, tuple[str, ...], dict[str, Found]]:
    os.mkdir(root)
    _make_tree(root)
    with socket.socket(socket.AF_UNIX) as bound:
        here = os.getcwd()
        os.chdir(root)
        bound.bind("socket")
        os.chdir(here)
    archive, notes = _written(root)
    return archive, notes, found_in(root)


def test_what_we_write_we_read(tree: Tree) -> None:
    archive, notes, expected = call_in_namespace(_make_and_write, f"{tree.root}/source")
    assert len(notes) == 1
    assert "socket" in notes[0]
    del expected["socket"]
    tree.unpack(archive)
    assert _without_root_time(tree.found()) == _without_root_time(expected)
    assert os.stat(f"{tree.layers[0]}/hard").st_nlink == 2
    assert os.getxattr(f"{tree.layers[0]}/hard", "user.note") == b"hello"
    assert call_in_namespace(_written, f"{tree.root}/source")[0] == archive


def test_what_we_write_gnu_tar_and_tarfile_read(tree: Tree) -> None:
    archive, _, expected = call_in_namespace(_make_and_write, f"{tree.root}/source")
    del expected["socket"]
    found = call_in_namespace(_unpack_with_gnu_tar, archive, f"{tree.root}/theirs")
    assert _without_root_time(found) == _without_root_time(expected)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert {member.name for member in tar} == set(expected) - {"."}


def _unpack_with_gnu_tar(archive: bytes, root: str) -> dict[str, Found]:
    os.mkdir(root)
    subprocess.run(["tar", "-C", root, "--xattrs", "--numeric-owner", "-p", "-xf", "-"], input=archive, check=True)
    return found_in(root)


def test_recorded_owners_are_written_back(tree: Tree) -> None:
    tree.unpack(Archive().file("a", uid=3_000_000, gid=7).bytes())
    archive, _ = call_in_namespace(_written, tree.layers[0])
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        member = tar.getmember("a")
    assert (member.uid, member.gid, member.pax_headers["uid"]) == (3_000_000, 7, "3000000")


def test_names_that_are_not_utf8(tree: Tree) -> None:
    os.mkdir(f"{tree.root}/source")
    with open(os.fsencode(f"{tree.root}/source/") + b"\xff\xfe", "wb"):
        pass
    archive, _ = call_in_namespace(_written, f"{tree.root}/source")
    tree.unpack(archive)
    assert os.listdir(os.fsencode(tree.layers[0])) == [b"\xff\xfe"]


def _inherit(layers: Sequence[str], implied: tuple[bytes, ...]) -> None:
    upper, *lower = [os.open(path, os.O_RDONLY) for path in layers[::-1]]
    inherit_directories(upper, implied, lower)


def test_implied_directories_inherit_from_below(tree: Tree) -> None:
    lower = Archive().directory("./", mode=0o700, uid=9).directory("tmp", mode=0o1777).directory("home/u", uid=5)
    tree.unpack(lower.symlink("link", "tmp").bytes())
    tree.unpack(Archive().directory("home/u", uid=6).bytes())
    result = tree.unpack(Archive().file("tmp/x").file("home/u/y").file("new/z").file("link/w").bytes())
    call_in_namespace(_inherit, tree.layers, result.implied)
    found = tree.found()
    assert (found["tmp"].mode, found["home/u"].uid, found["new"].mode) == (0o1777, 6, 0o755)
    assert (found["."].mode, found["."].uid, found["link"].mode) == (0o755, 0, 0o755)


def test_constant_of_ficlone_is_that_of_this_machine() -> None:
    # _IOW(0x94, 9, int) is written out, since Python has no name for it
    assert FICLONE == (1 << 30) | (4 << 16) | (0x94 << 8) | 9
