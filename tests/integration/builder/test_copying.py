"""COPY and ADD of files that are here: what is taken, where it goes, with which owner, mode, times and attributes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import socket
import tarfile
from typing import TYPE_CHECKING

import pytest
import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.builder.conftest import Builder

pytestmark = [pytest.mark.requires("userns", "subids", "overlay"), pytest.mark.slow]

_TREE: dict[str, str | bytes] = {
    "src/a.txt": "a", "src/x/b.txt": "b", "src/x/y/c.txt": "c", "src/x/y/c.md": "m", "hom1.txt": "1", "hom2.md": "2"
}  # fmt: skip


def _archive(*entries: tuple[str, bytes | None], uid: int = 0) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            entry.uid, entry.gid, entry.mtime = uid, uid, 1_000_000_000
            entry.mode = 0o640
            if content is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o750
            else:
                entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content or b""))
    return data.getvalue()


def _layer(builder: Builder, lines: str, files: dict[str, str | bytes]) -> dict[str, tarfile.TarInfo]:
    builder.build({"Dockerfile": f"FROM busybox\n{lines}\n", **files})
    return {entry.name: entry for entry in builder.layers()[-1]}


def test_parents_with_any_depth_and_a_pivot(builder: Builder) -> None:
    found = _layer(builder, "COPY --parents ./src/**/*.txt /p/", _TREE)
    assert sorted(found) == ["p", "p/src", "p/src/a.txt", "p/src/x", "p/src/x/b.txt", "p/src/x/y", "p/src/x/y/c.txt"]
    found = _layer(builder, "COPY --parents --exclude=**/c.* src/./x /p/", _TREE)
    assert sorted(found) == ["p", "p/x", "p/x/b.txt", "p/x/y"]
    failed = builder.build({"Dockerfile": "FROM busybox\nCOPY --parents src/no /p/\n", **_TREE}, status=1)
    assert '"/src/no": not found' in failed.stderr
    assert "2 | COPY" in failed.stderr


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("requirement.txt", "  mend: did you mean requirements.txt?"),
        ("sub/bta", "  mend: did you mean sub/beta?"),
        ("xyzzy", "    | ^"),
        ("../xyzzy", "  mend: sandbox build -f Dockerfile .. with a context further up"),
        ("hidden", "  mend: a last line !hidden in the ignore file takes it in"),
    ],
)
def test_a_file_that_is_not_there_is_answered_with_the_one_meant(builder: Builder, written: str, said: str) -> None:
    files: dict[str, str | bytes] = {
        "Dockerfile": f"FROM busybox\nCOPY {written} /\n", ".dockerignore": "hidden",
        "requirements.txt": "", "sub/beta": "", "hidden": "",
    }  # fmt: skip
    refused = builder.build(files, status=1).stderr
    assert refused.splitlines()[-1] == said
    assert "openat2" not in refused


def test_what_is_excluded_is_no_part_of_the_cache_key(builder: Builder) -> None:
    context = builder.context({"Dockerfile": "FROM busybox\nCOPY --exclude=*.md hom* /d/\n", **_TREE})
    builder.sandbox.run("build", "-t", "made", context)
    assert sorted(name for name in builder.tree() if name.startswith("d/")) == ["d/hom1.txt"]
    (context / "hom2.md").write_text("changed")
    assert "CACHED" in builder.sandbox.run("build", context).stderr
    (context / "hom1.txt").write_text("changed")
    assert "CACHED" not in builder.sandbox.run("build", context).stderr


def test_a_linked_layer_reads_nothing_of_what_is_below_and_stays_when_that_changes(builder: Builder) -> None:
    text = (
        "FROM busybox\nARG V\nRUN mkdir /app && echo $V > /app/old && ln -s /app /link\n"
        "COPY --link --chown=daemon f /app/new\nCOPY --link f /link/f\n"
    )
    context = builder.context({"Dockerfile": text, "f": "linked"})
    builder.sandbox.run("build", "-t", "made", context)
    tree = builder.tree()
    assert builder.run("cat", "/app/old", "/app/new") == "\nlinked"
    assert tree["link"].isdir()
    assert "link/f" in tree
    assert (tree["app/new"].uid, tree["app/new"].gid) == (2, 2)
    first = builder.layers()[-1].getnames()
    again = builder.sandbox.run("build", "-t", "made", "--build-arg", "V=2", context)
    # the name of --chown is looked up below; the other is the very layer of before
    assert again.stderr.count("CACHED") == 1
    assert builder.layers()[-1].getnames() == first
    assert builder.run("cat", "/app/old", "/link/f") == "2\nlinked"


@pytest.mark.parametrize(
    ("compress", "suffix"),
    [(bytes, ""), (gzip.compress, ".gz"), (bz2.compress, ".bz2"), (lzma.compress, ".xz"),
     (zstandard.ZstdCompressor().compress, ".zst")],
    ids=["tar", "gzip", "bzip2", "xz", "zstd"],
)  # fmt: skip
def test_archives_are_unpacked_by_their_content(
    builder: Builder, compress: Callable[[bytes], bytes], suffix: str
) -> None:
    data = compress(_archive(("d", None), ("d/f", b"content"), uid=7))
    lines = f"ADD a{suffix} /in/\nADD --unpack=false a{suffix} /as/\nADD --chown=3:4 --chmod=777 a{suffix} /own/"
    builder.build({"Dockerfile": f"FROM busybox\n{lines}\n", f"a{suffix}": data})
    tree = builder.tree()
    unpacked = tree["in/d/f"]
    assert (unpacked.uid, unpacked.mode, unpacked.mtime, unpacked.size) == (7, 0o640, 1_000_000_000, 7)
    assert tree["in/d"].mode == 0o750
    assert tree[f"as/a{suffix}"].size == len(data)
    # an archive's own modes stay, BuildKit's chmod is for what is copied
    assert (tree["own/d/f"].uid, tree["own/d/f"].gid, tree["own/d/f"].mode) == (3, 4, 0o640)


def test_a_damaged_archive_is_an_error_and_what_is_none_is_copied(builder: Builder) -> None:
    whole = gzip.compress(_archive(("f", os.urandom(100_000))))
    failed = builder.build({"Dockerfile": "FROM busybox\nADD a.tgz /d/\n", "a.tgz": whole[:50_000]}, status=1)
    assert "cannot unpack /a.tgz" in failed.stderr
    assert "2 | ADD a.tgz /d/" in failed.stderr
    builder.build({"Dockerfile": "FROM busybox\nADD a.gz b /d/\n", "a.gz": gzip.compress(b"text"), "b": ""})
    assert {"d/a.gz", "d/b"} <= builder.tree().keys()


def test_an_archive_stays_where_it_is_unpacked(builder: Builder) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("link/planted"))
    builder.build({"Dockerfile": "FROM busybox\nADD a.tar /d/\n", "a.tar": data.getvalue()})
    assert "etc/planted" not in builder.tree()
    for name in ("../planted", "d/.wh.f"):
        bad = _archive((name, b""))
        failed = builder.build({"Dockerfile": "FROM busybox\nADD a.tar /d/\n", "a.tar": bad}, status=1)
        assert "cannot unpack /a.tar" in failed.stderr


def test_modes_and_owners(builder: Builder) -> None:
    lines = (
        "RUN echo own:x:41:42::/: >> /etc/passwd && echo grp:x:43: >> /etc/group\n"
        "COPY --chmod=u=rwX,go=rX --chown=own:grp src /d/\nADD --chmod=0600 --chown=own f /e/f\n"
        "COPY --chmod=4755 --chown=9 <<EOF /s\ntext\nEOF"
    )
    builder.build({"Dockerfile": f"FROM busybox\n{lines}\n", "src/run": "", "f": ""})
    tree = builder.tree()
    assert [(tree[name].uid, tree[name].gid, tree[name].mode) for name in ("d", "d/run", "e/f", "e", "s")] == [
        (41, 43, 0o755), (41, 43, 0o644), (41, 42, 0o600), (41, 42, 0o600), (9, 9, 0o4755)
    ]  # fmt: skip
    failed = builder.build({"Dockerfile": "FROM busybox\nCOPY --chown=nobody-here f /f\n", "f": ""}, status=1)
    assert "nobody-here" in failed.stderr
    failed = builder.build({"Dockerfile": "FROM busybox\nCOPY --chmod=999 f /f\n", "f": ""}, status=1)
    assert "invalid chmod" in failed.stderr


def test_times_links_attributes_and_odd_files_are_kept(builder: Builder) -> None:
    context = builder.context(
        {"Dockerfile": "FROM busybox\nCOPY t /t\nCOPY t /bin\n", "t/f": "x", "t/dangling": "-> nowhere"}
    )
    os.link(context / "t/f", context / "t/g")
    os.mkfifo(context / "t/fifo", 0o640)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(context / "t/sock"))
        os.setxattr(context / "t/f", "user.note", b"kept")
        for name in ("t/f", "t/dangling", "t/fifo", "t"):
            os.utime(context / name, (5, 1_111_111_111), follow_symlinks=False)
        builder.sandbox.run("build", "-t", "made", context)
    tree = builder.tree()
    assert tree["t/g"].islnk()
    assert tree["t/dangling"].linkname == "nowhere"
    assert {tree[name].mtime for name in ("t/f", "t/dangling", "t/fifo", "t", "bin")} == {1_111_111_111}
    assert (tree["t/fifo"].type, tree["t/fifo"].mode) == (tarfile.FIFOTYPE, 0o640)
    assert tree["t/f"].pax_headers["SCHILY.xattr.user.note"] == "kept"


def test_what_is_in_the_way_is_replaced_but_a_directory_is_not(builder: Builder) -> None:
    text = (
        "FROM busybox\nCOPY one /d\nRUN ln -sf /etc/passwd /d/link && ln -f /d/plain /d/hard\n"
        "COPY two three/ /d/\n"
        "CMD cat /d/plain /d/link /d/hard /d/sub/below && test ! -L /d/link && wc -l < /etc/passwd\n"
    )
    files: dict[str, str | bytes] = {
        "one/plain": "1 plain\n", "one/link": "1 link\n", "one/sub/below": "1 below\n",
        "two/plain": "2 plain\n", "two/link": "2 link\n", "three/plain": "3 plain\n", "three/sub/below": "3 below\n",
    }  # fmt: skip
    builder.build({"Dockerfile": text, **files})
    *lines, accounts = builder.run().splitlines()
    assert lines == ["3 plain", "2 link", "1 plain", "3 below"]
    assert int(accounts) >= 1
    names = {entry.name for entry in builder.layers()[-1]}
    # the FUSE overlay takes the other name of a linked file along
    assert names - {"d/hard"} == {"d", "d/link", "d/plain", "d/sub", "d/sub/below"}
    failed = builder.build({"Dockerfile": "FROM busybox\nRUN mkdir -p /d/plain/x\nCOPY one /d\n", **files}, status=1)
    assert "cannot replace to directory plain with file" in failed.stderr
    assert "3 | COPY one /d" in failed.stderr
