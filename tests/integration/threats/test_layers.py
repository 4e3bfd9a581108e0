"""What a layer may try, pulled and run by the real command: nothing is written outside, nothing comes in."""

from __future__ import annotations

import gzip
import os
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.image.conftest import layers
from tests.integration.image.hostile import Image
from tests.storage.tree import Archive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.command import Sandbox
    from tests.integration.image.hostile import Hostile

pytestmark = pytest.mark.requires("userns", "subids", "busybox")


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A directory of the host that must stay as it is."""
    place = tmp_path / "canary"
    place.mkdir()
    (place / "marker").write_text("of the host")
    return place


def _unharmed(canary: Path) -> bool:
    return os.listdir(canary) == ["marker"] and (canary / "marker").read_text() == "of the host"


def _attempts(target: str) -> dict[str, Archive]:
    up = "../" * 12 + target.lstrip("/")
    return {
        "dots": Archive().file(f"{up}/new", b"evil"),
        "dots that come back": Archive().directory("a").file(f"a/../../{up}/marker", b"evil"),
        "absolute name": Archive().file(f"{target}/marker", b"evil"),
        "absolute link": Archive().symlink("l", target).file("l/marker", b"evil").file("l/new", b"evil"),
        "climbing link": Archive().symlink("l", up).file("l/marker", b"evil").file("l/new", b"evil"),
        "link then whiteout": Archive().symlink("l", target).file("l/.wh.marker"),
        "hard link out": Archive().link("h", f"{target}/marker").file("h", b"evil"),
        "hard link out by dots": Archive().link("h", f"{up}/marker").file("h", b"evil"),
        "hard link through a link": Archive().symlink("l", target).link("h", "l/marker").file("h", b"evil"),
    }


@pytest.mark.parametrize("attempt", sorted(_attempts("")))
def test_a_layer_writes_nothing_outside(
    sandbox: Sandbox, serve: Callable[[Image], Hostile], canary: Path, attempt: str
) -> None:
    server = serve(Image(gzip.compress(_attempts(os.fspath(canary))[attempt].bytes())))
    done = sandbox.run("pull", f"{server.host}/x", status=None)
    assert _unharmed(canary)
    assert "Traceback" not in done.stderr
    if done.status:
        assert done.status == 1
        assert "cannot unpack layer" in done.stderr
        assert layers(sandbox.home) == set()
        assert sandbox.run("images", "-q").stdout == ""


def test_a_device_is_skipped_with_a_note(sandbox: Sandbox, serve: Callable[[Image], Hostile]) -> None:
    archive = Archive().directory("dev").add("dev/sda", tarfile.BLKTYPE, devmajor=8)
    archive.add("dev/mem", tarfile.CHRTYPE, devmajor=1, devminor=1)
    server = serve(Image(gzip.compress(archive.file("etc/x", b"x").bytes())))
    done = sandbox.run("pull", f"{server.host}/x")
    assert "dev/sda" in done.stdout + done.stderr
    (layer,) = layers(sandbox.home)
    tree = sandbox.home.data / f"sandbox/layers/{layer}/diff"
    assert sorted(str(path.relative_to(tree)) for path in tree.rglob("*")) == ["dev", "etc", "etc/x"]
    # what was left out is told where nothing else is wanted, too
    sandbox.run("save", "-o", sandbox.home.root / "saved.tar", f"{server.host}/x")
    for quiet in (("pull", "-q", f"{server.host}/x"), ("load", "-q", "-i", sandbox.home.root / "saved.tar")):
        sandbox.run("rmi", f"{server.host}/x")
        assert "dev/sda" in sandbox.run(*quiet).stderr


@pytest.mark.parametrize("link", ["absolute", "climbing"])
def test_a_volume_never_takes_the_hosts_files(
    sandbox: Sandbox, serve: Callable[[Image], Hostile], busybox_layer: bytes, canary: Path, link: str
) -> None:
    """CVE-2022-23648: the path of a volume is a link of the image that leads to the host's files."""
    target = os.fspath(canary) if link == "absolute" else "../" * 12 + os.fspath(canary).lstrip("/")
    upper = gzip.compress(Archive().symlink("data", target).bytes())
    config: dict[str, Any] = {"config": {"Volumes": {"/data": {}, "/data/../../../etc": {}}}}
    server = serve(Image(busybox_layer, upper, config=config))
    done = sandbox.run("run", "--rm", "--network", "none", f"{server.host}/x", "ls", "/data/", status=None)
    assert "marker" not in done.stdout
    assert _unharmed(canary)
    for volume in sandbox.home.data.glob("sandbox/volumes/*/_data/*"):
        assert volume.name != "marker"


def test_a_group_of_the_image_takes_away_as_well(
    sandbox: Sandbox, serve: Callable[[Image], Hostile], busybox_layer: bytes
) -> None:
    """CVE-2022-2989 class: a file that others may read and one group may not; the user is in that group."""
    archive = Archive().file("etc/passwd", b"root:x:0:0::/:/bin/sh\nweb:x:1000:1000::/:/bin/sh\n")
    archive.file("etc/group", b"root:x:0:\nweb:x:1000:\nbarred:x:77:web\n").file("secret", b"s", mode=0o604, gid=77)
    server = serve(Image(busybox_layer, gzip.compress(archive.bytes())))
    words = ("run", "--rm", "--network", "none")
    for options in (("-u", "web"), ("-u", "1000"), ("-u", "1000:1000", "--group-add", "barred")):
        ids = sandbox.run(*words, *options, f"{server.host}/x", "id", "-G")
        assert ids.stdout.split() == ["1000", "77"]
        denied = sandbox.run(*words, *options, f"{server.host}/x", "cat", "/secret", status=1)
        assert "Permission denied" in denied.stderr
    assert sandbox.run(*words, "-u", "1000:1000", f"{server.host}/x", "cat", "/secret").stdout == "s"


@pytest.mark.parametrize("target", ["/proc", "/proc/sys", "/x/../proc", "/innocent/kernel"])
def test_a_volume_over_proc_is_refused(
    sandbox: Sandbox, serve: Callable[[Image], Hostile], busybox_layer: bytes, target: str
) -> None:
    """CVE-2019-16884: named as it is, or through a link of the image."""
    server = serve(Image(busybox_layer, gzip.compress(Archive().symlink("innocent", "proc/sys").bytes())))
    words = ("run", "--rm", "--network", "none", "-v", f"{sandbox.home.root}:{target}")
    refused = sandbox.run(*words, f"{server.host}/x", "true", status=None)
    assert refused.status in (125, 126, 127)
    assert "/proc" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert sandbox.run("ps", "-aq").stdout == ""


def test_foreign_urls_are_not_asked(sandbox: Sandbox, hostile_pair: tuple[Hostile, Hostile]) -> None:
    """A manifest that names other places for its layers: they are not asked, the registry itself is."""
    server, elsewhere = hostile_pair
    layer = server.image.manifest["layers"][0]
    layer["urls"] = [f"http://{elsewhere.host}/v2/x/blobs/{layer['digest']}"]
    layer["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    sandbox.run("pull", f"{server.host}/x")
    assert elsewhere.requests == []


@pytest.fixture
def hostile_pair(serve: Callable[[Image], Hostile]) -> tuple[Hostile, Hostile]:
    """Two registries with the same image."""
    image = Image(gzip.compress(Archive().file("x", b"1").bytes()))
    return serve(image), serve(image)


@pytest.mark.parametrize(
    "digest", ["sha256:../../../etc/passwd", "sha256:" + "A" * 64, "../x:" + "a" * 64, "md5:aa", ""]
)
def test_a_digest_is_no_path(sandbox: Sandbox, serve: Callable[[Image], Hostile], digest: str) -> None:
    """CVE-2024-3727: refused before it is asked for or a file is opened under its name."""
    server = serve(Image(gzip.compress(Archive().file("x", b"1").bytes())))
    server.image.manifest["layers"][0]["digest"] = digest
    refused = sandbox.run("pull", f"{server.host}/x", status=1)
    assert "Traceback" not in refused.stderr
    config = server.image.manifest["config"]["digest"]
    asked = {path for path, _headers in server.requests if "/blobs/" in path}
    assert asked <= {f"/v2/x/blobs/{config}"}
    assert {path.name for path in sandbox.home.data.glob("sandbox/blobs/sha256/*")} <= {config[7:]}


@pytest.mark.parametrize(
    "name", ["../x", "x/../y", "-x", "x:../y", "x@sha256:../y", "a\nb", "\x1b[2J", "http://x/y", "X"]
)
@pytest.mark.parametrize("verb", ["pull", "run", "rmi", "tag", "save"])
def test_an_image_name_is_no_path_and_no_option(sandbox: Sandbox, verb: str, name: str) -> None:
    """CVE-2014-9358: refused by the rule for names; nothing is asked or opened, escapes are not sent to a terminal."""
    words = {"tag": ("tag", "--", "busybox", name), "save": ("save", "-o", "x.tar", "--", name)}.get(
        verb, (verb, "--", name)
    )
    refused = sandbox.run(*words, status=None)
    assert refused.status in (1, 125)
    assert "\x1b" not in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (sandbox.home.root / "x.tar").exists()
