"""Every name and attribute that file systems and we keep our books in, set by a container, a build's step and an image:
none of it is believed, and none of it breaks what reads the tree later.
"""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.integration.runtime.containers import compile_static

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox", "gcc"), pytest.mark.slow]

_NAMES = (
    *(f"user.sandbox.{name}" for name in ("owner", "number", "probe", "x")),
    *(f"{space}.overlay.{name}" for space in ("user", "trusted") for name in (
        "opaque", "whiteout", "whiteouts", "redirect", "metacopy", "origin", "impure", "nlink", "upper", "uuid",
        "protattr", "sandbox.number", "overlay.opaque", "overlay.whiteout",
    )),
    *(f"user.fuseoverlayfs.{name}" for name in ("opaque", "origin", "override_stat", "nlink")),
    "user.containers.override_stat", "security.capability",
)  # fmt: skip
_VALUES = ("0:0", "0", "x:y", "", "y", "x", "-1", "fffffffffffffffff", "/etc", "0:0:4755", "0:0:0104755")
#: sets each name to each value in turn on each file, the last accepted value staying, and never fails
_MARKER = """
#include <sys/xattr.h>
#include <string.h>
static const char *names[] = {NAMES};
static const char *values[] = {VALUES};
int main(int argc, char **argv) {
  unsigned chosen = argv[1][0] - 'a';
  for (int file = 2; file < argc; file++)
    for (unsigned name = 0; name < sizeof names / sizeof *names; name++)
      lsetxattr(argv[file], names[name], values[chosen], strlen(values[chosen]), 0);
  return 0;
}
"""
#: what reads like a whiteout, in a directory that the image has things in
_DOTTED = ".wh.passwd .wh..wh..opq .wh..opq .wh..wh.plnk .wh. .wh.. .wh..wh. .wh..wh..wh.x"
_MARK = "user.sandbox.owner"


@pytest.fixture
def marked(sandbox: Sandbox, busybox_tar: Path, tmp_path: Path) -> str:
    """An image with a program that sets them all, files of owners outside the map, and a layer that forges them."""
    quoted = {key: ", ".join(f'"{word}"' for word in words) for key, words in (("NAMES", _NAMES), ("VALUES", _VALUES))}
    program = tmp_path / "mark"
    compile_static(_MARKER.replace("NAMES", quoted["NAMES"]).replace("VALUES", quoted["VALUES"]), program)
    path = tmp_path / "image.tar"
    path.write_bytes(busybox_tar.read_bytes())
    with tarfile.open(path, "a", format=tarfile.PAX_FORMAT) as archive:
        archive.add(program, "bin/mark", filter=_by_root)
        for name, kind, data in (
            ("far", tarfile.DIRTYPE, b""), ("far/file", tarfile.REGTYPE, b"x"), ("far/link", tarfile.SYMTYPE, b"")
        ):  # fmt: skip
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname = kind, len(data), "file" if kind == tarfile.SYMTYPE else ""
            entry.uid, entry.gid, entry.mode = 700_000, 700_001, 0o4755 if data else 0o755
            archive.addfile(entry, io.BytesIO(data))
        for number, value in enumerate(_VALUES):
            entry = tarfile.TarInfo(f"forged{number}")
            entry.type, entry.uid, entry.mode = (tarfile.DIRTYPE if number % 2 else tarfile.REGTYPE), 1000, 0o755
            entry.pax_headers = {f"SCHILY.xattr.{name}": value for name in _NAMES if name != "security.capability"}
            archive.addfile(entry)
    sandbox.run("import", path, "marked")
    return "marked"


def _by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.mode = 0o755
    return entry


def _exported(sandbox: Sandbox, name: str, path: Path) -> dict[str, tarfile.TarInfo]:
    done = sandbox.run("export", "-o", path, name)
    assert done.stderr == ""
    with tarfile.open(path) as archive:
        return {member.name: member for member in archive}


def _check_image(members: dict[str, tarfile.TarInfo]) -> None:
    """Nothing of the image is hidden, and its owners are those of its archive."""
    assert {"etc/passwd", "etc/group", "bin/busybox", "var/data/file", "far/file"} <= members.keys()
    for name in ("far/file", "far/link"):
        assert (members[name].uid, members[name].gid) == (700_000, 700_001)
    assert members["far/file"].mode == 0o4755
    for number in range(len(_VALUES)):
        assert members[f"forged{number}"].uid == 1000
        assert not [key for key in members[f"forged{number}"].pax_headers if "overlay" in key or ".sandbox." in key]


def _forge(directory: str) -> str:
    """A script that makes set-user-id files and directories with each value, all of whoever runs it."""
    letters = "abcdefghijklmnop"[: len(_VALUES)]
    return (
        f"mkdir -p {directory}; cd {directory}; for v in {' '.join(letters)}; do"
        " echo x > $v.file; chmod 4755 $v.file; mkdir $v.dir; mark $v $v.file $v.dir; chmod 4755 $v.file; done"
    )


def test_a_container_forges_no_owner_and_hides_nothing(sandbox: Sandbox, marked: str, tmp_path: Path) -> None:
    sandbox.run("run", "--name", "user", "-u", "1000:1000", "--network", "none", marked, "sh", "-c", _forge("/tmp/u"))
    members = _exported(sandbox, "user", tmp_path / "user.tar")
    _check_image(members)
    made = {name: member for name, member in members.items() if name.startswith("tmp/u")}
    assert len(made) == 1 + 2 * len(_VALUES)
    assert {(member.uid, member.gid) for member in made.values()} == {(1000, 1000)}
    assert (members["far"].uid, members["far"].gid) == (700_000, 700_001)


def test_root_of_a_container_marks_everything_and_breaks_nothing(sandbox: Sandbox, marked: str, tmp_path: Path) -> None:
    script = (
        f"{_forge('/root/r')}; cd /etc; for n in {_DOTTED}; do echo > $n; done;"
        f" cd /far; for n in {_DOTTED}; do mkdir $n; done;"
        " for v in a b c d e f g h i j k; do mark $v / /etc /etc/passwd /far /far/file /far/link /etc/.wh.passwd; done;"
        " true"
    )
    sandbox.run("run", "--name", "root", "--network", "none", marked, "sh", "-c", script)
    members = _exported(sandbox, "root", tmp_path / "root.tar")
    assert {"etc/passwd", "etc/group", "bin/busybox", "var/data/file", "far/file"} <= members.keys()
    assert {(m.uid, m.gid) for name, m in members.items() if name.startswith("root/r")} == {(0, 0)}
    # it starts again over what it wrote, and sees what it saw
    again = sandbox.run("start", "-a", "root")
    assert "Traceback" not in again.stderr
    after = _exported(sandbox, "root", tmp_path / "after.tar")
    assert members.keys() == after.keys()
    # as a layer that is refused, or hides nothing of itself
    imported = sandbox.run("import", tmp_path / "root.tar", "again", status=None)
    assert "Traceback" not in imported.stderr
    if imported.status == 0:
        listed = sandbox.run("run", "--rm", "--network", "none", "again", "ls", "/etc/passwd", "/far/file")
        assert listed.lines == ["/etc/passwd", "/far/file"]
    else:
        assert "a whiteout without a name" in imported.stderr


def test_a_build_step_forges_no_owner(sandbox: Sandbox, marked: str, tmp_path: Path) -> None:
    dockerfile = (
        f"FROM {marked}\nUSER 1000:1000\nRUN {_forge('/tmp/u')}\nUSER 0\nRUN echo > /far/new; mark a /far/new /far\n"
    )
    context = tmp_path / "context"
    context.mkdir()
    sandbox.run("build", "--network", "none", "-t", "built", "-f", "-", context, input=dockerfile)
    sandbox.run("create", "--name", "built", "built")
    members = _exported(sandbox, "built", tmp_path / "built.tar")
    _check_image(members)
    made = {name: member for name, member in members.items() if name.startswith("tmp/u")}
    assert {(member.uid, member.gid) for member in made.values()} == {(1000, 1000)}
    assert (members["far"].uid, members["far"].gid) == (700_000, 700_001)
    assert (members["far/new"].uid, members["far/new"].gid) == (0, 0)
    # what leaves for others says the same
    sandbox.run("save", "-o", tmp_path / "saved.tar", "built")
    saved = _saved_members(tmp_path / "saved.tar")
    assert {(m.uid, m.gid) for m in saved if m.name.startswith("tmp/u/")} == {(1000, 1000)}
    assert [m.uid for m in saved if m.name == "far"] == [700_000, 700_000]
    assert [m.uid for m in saved if m.name == "far/new"] == [0]
    by_steps = [m for m in saved if m.name.startswith(("tmp/u/", "far"))]
    assert not [key for m in by_steps for key in m.pax_headers if ".sandbox." in key or "overlay" in key]


def _saved_members(path: Path) -> list[tarfile.TarInfo]:
    """The entries of all layers of a saved image."""
    members: list[tarfile.TarInfo] = []
    with tarfile.open(path) as saved:
        for entry in saved:
            file = saved.extractfile(entry) if entry.isfile() else None
            data = b"" if file is None else file.read()
            if data[257:262] == b"ustar":
                with tarfile.open(fileobj=io.BytesIO(data)) as layer:
                    members.extend(layer)
    return members


def test_an_added_archive_keeps_its_owners(sandbox: Sandbox, marked: str, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    with tarfile.open(context / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for name, uid, key in (("own", 5, "user.sandbox.owner"), ("far", 700_000, "user.overlay.opaque")):
            entry = tarfile.TarInfo(name)
            entry.uid = entry.gid = uid
            entry.mode = 0o6755
            entry.pax_headers = {f"SCHILY.xattr.{key}": "0:0"}
            archive.addfile(entry)
    (context / ".wh.passwd").write_text("")
    dockerfile = f"FROM {marked}\nADD a.tar /opt/\nADD --chown=7:8 a.tar /chowned/\n"
    sandbox.run("build", "-t", "added", "-f", "-", context, input=dockerfile)
    sandbox.run("create", "--name", "added", "added")
    members = _exported(sandbox, "added", tmp_path / "added.tar")
    owners = {name: (m.uid, m.gid, m.mode) for name, m in members.items() if name.startswith(("opt/", "chowned/"))}
    assert owners["opt/own"] == (5, 5, 0o6755)
    assert owners["opt/far"] == (700_000, 700_000, 0o6755)
    assert owners["chowned/own"][:2] == owners["chowned/far"][:2] == (7, 8)
    refused = sandbox.run("build", "-f", "-", context, input=f"FROM {marked}\nCOPY . /etc/\n", status=1)
    assert "Traceback" not in refused.stderr
    assert ".wh.passwd" in refused.stderr
