"""The command line of `sandbox-overlay`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

import pytest

from storage.overlay.fuse.command import UsageError, main, parse, split_directories, split_options
from storage.overlay.fuse.owners import IdRange, parse_id_ranges
from storage.syscalls import MNT_DETACH, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, umount2
from tests.storage.namespace import call_in_namespace
from tests.storage.overlay.fuse_mount import NEEDS
from tests.storage.tree import Archive, Tree

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_fuse_overlayfs_order() -> None:
    command = parse(["-o", "lowerdir=/top:/bottom,upperdir=/u,workdir=/w,volatile", "-f", "/mnt"])
    assert command.overlay.lower == ("/bottom", "/top")
    assert (command.overlay.upper, command.overlay.work, command.overlay.volatile) == ("/u", "/w", True)
    assert (command.target, command.foreground, command.debug) == ("/mnt", True, False)


def test_helper_order_of_mount() -> None:
    command = parse(["overlay", "/mnt", "-o", "rw,nodev,lowerdir=/l,upperdir=/u", "-oworkdir=/w"])
    assert (command.target, command.mount.source, command.mount.flags) == ("/mnt", "overlay", MS_NODEV)
    command = parse(["overlay", "/mnt", "-o", "ro,nosuid,noexec,lowerdir=/l,upperdir=/u,workdir=/w"])
    assert command.mount.flags == MS_RDONLY | MS_NOSUID | MS_NOEXEC


def test_without_an_upper_directory_it_is_read_only() -> None:
    assert parse(["-o", "lowerdir=/l", "/mnt"]).mount.flags == MS_RDONLY


@pytest.mark.parametrize(
    "options",
    ["static_nlink,noacl,threaded=1,timeout=3", "xattr_permissions=0,allow_other,suid,dev", "squash_to_root", "x-a=b"],
)
def test_what_fuse_overlayfs_takes_is_taken(options: str) -> None:
    assert parse(["-o", f"lowerdir=/l,upperdir=/u,workdir=/w,{options}", "/mnt"]).target == "/mnt"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["/mnt"],
        ["-o"],
        ["-o", "upperdir=/u,workdir=/w", "/mnt"],
        ["-o", "lowerdir=/l,upperdir=/u", "/mnt"],
        ["-o", "lowerdir=/l,nonsense", "/mnt"],
        ["-o", "lowerdir=/l,uidmapping=0:1", "/mnt"],
        ["-o", "lowerdir=/l,uidmapping=0:-1:1", "/mnt"],
        ["-o", "lowerdir=/l,uidmapping=0:0:4294967296", "/mnt"],
        ["-o", "lowerdir=/l,gidmapping=:0:1_0:1", "/mnt"],
        ["-o", "lowerdir=/l,squash_to_uid=x", "/mnt"],
        ["-o", "lowerdir=/l,upperdir=/u,workdir=/w,xattr_permissions=2", "/mnt"],
        ["--nonsense", "/mnt"],
        ["a", "b", "c", "-o", "lowerdir=/l"],
    ],
)
def test_a_command_line_that_says_nothing(words: list[str]) -> None:
    with pytest.raises(UsageError):
        parse(words)


@pytest.mark.parametrize("text", ["0:1:1010:5:6:7", ":0:1:1010:5:6:7", "0:1:1010:5:6:7:", "::0:1:1010::5:6:7::"])
def test_colons_around_id_mappings_are_passed_over(text: str) -> None:
    assert parse_id_ranges(text) == (IdRange(1, 0, 1010), IdRange(6, 5, 7))
    owners = parse(["-o", f"lowerdir=/l,uidmapping={text},gidmapping=:", "/mnt"]).overlay.owners
    assert owners is not None
    assert (owners.uids, owners.gids) == (parse_id_ranges(text), ())


@pytest.mark.parametrize(
    ("mapping", "uids"),
    [
        # without options and with --userns=keep-id, --uidmap, --userns=auto, as podman 4.3 gives them
        ("", None),
        (":0:1:1003:1003:0:1:1004:1004:64533", (IdRange(1, 0, 1003), IdRange(0, 1003, 1), IdRange(1004, 1004, 64533))),
        (":0:1:1000", (IdRange(1, 0, 1000),)),
        (":0:1:1024", (IdRange(1, 0, 1024),)),
    ],
)
def test_podmans_command_line(mapping: str, uids: tuple[IdRange, ...] | None) -> None:
    options = f"lowerdir=/s/l/7U:/s/l/5B,upperdir=/s/f3/diff,workdir=/s/f3/work,,volatile,context={'a' * 9}"
    options += f",uidmapping={mapping},gidmapping={mapping}" if mapping else ""
    command = parse(["-o", options, "/s/f3/merged"])
    assert (command.overlay.lower, command.target) == (("/s/l/5B", "/s/l/7U"), "/s/f3/merged")
    owners = command.overlay.owners
    assert (owners and owners.uids) == (owners and owners.gids) == uids


@pytest.mark.parametrize(("word", "first"), [("--version", "sandbox-overlay: version "), ("--help", "usage: ")])
def test_what_it_is_told_is_told_with_success(word: str, first: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([word], [word[1:3].upper() if word == "--version" else "-h"], ["-o", "lowerdir=/l", word, "/mnt"]):
        assert main(words) == 0
        said = capsys.readouterr()
        assert said.out.startswith(first)
        assert said.err == ""


def test_escapes_in_directories() -> None:
    assert split_options("lowerdir=/a\\:b:/c\\,d,upperdir=/u") == {"lowerdir": "/a\\:b:/c,d", "upperdir": "/u"}
    assert split_directories("/a\\:b:/c\\\\d") == ["/a:b", "/c\\d"]


def test_a_missing_directory_is_named(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-f", "-o", f"lowerdir={tmp_path}/none", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"sandbox-overlay: cannot use {tmp_path}/none: No such file or directory\n"


@pytest.mark.requires(*NEEDS)
def test_it_goes_to_the_background_once_mounted(tree: Tree) -> None:
    tree.unpack(Archive().file("f", b"x").bytes())
    call_in_namespace(_in_background, tree.root, tree.layers)


def _in_background(place: str, layers: Sequence[str]) -> None:
    os.chdir(place)
    for name in ("u", "w", "m"):
        os.mkdir(name)
    assert main(["-o", f"lowerdir={layers[0]},upperdir=u,workdir=w", "m"]) == 0
    with open("m/f") as file:
        assert file.read() == "x"
    with open("/proc/mounts") as mounts:
        assert any(line.split()[2] == "fuse.sandbox-overlay" for line in mounts if f"{place}/m" in line)
    umount2("m", MNT_DETACH)


@pytest.mark.requires(*NEEDS)
def test_owners_may_be_mapped(tree: Tree) -> None:
    tree.unpack(Archive().file("f", b"x", uid=1005, gid=2005).bytes())
    call_in_namespace(_with_mapping, tree.root, tree.layers)


def _make_as_somebody() -> NoReturn:
    try:
        os.setgid(77)
        os.setuid(88)
        os.mkdir("m/d")
        os.symlink("x", "m/s")
    except OSError:
        os._exit(1)
    os._exit(0)


def _with_mapping(place: str, layers: Sequence[str]) -> None:
    os.chdir(place)
    for name in ("u", "w", "m"):
        os.mkdir(name)
    options = f"lowerdir={layers[0]},upperdir=u,workdir=w,uidmapping=1000:0:10,gidmapping=2000:0:10"
    assert main(["-o", options, "m"]) == 0
    try:
        status = os.stat("m/f")
        assert (status.st_uid, status.st_gid) == (5, 5)
        os.close(os.open("m/new", os.O_CREAT))
        os.chown("m/f", 6, -1)
        assert (os.stat("u/f").st_uid, os.stat("u/f").st_gid) == (1006, 2005)
        assert (os.stat("u/new").st_uid, os.stat("u/new").st_gid) == (1000, 2000)
        assert os.stat("m/new").st_uid == 0
        # who has no number gets the one that stands for all of them, as the caller and as the owner
        os.chown("m/f", 50, 60)
        os.chmod("m", 0o777)
        os.chmod(".", 0o755)
        child = os.fork()
        if child == 0:
            _make_as_somebody()
        assert os.waitpid(child, 0)[1] == 0
        for name in ("f", "d", "s"):
            for root in ("m", "u"):
                status = os.lstat(f"{root}/{name}")
                assert (status.st_uid, status.st_gid) == (65534, 65534)
    finally:
        umount2("m", MNT_DETACH)
