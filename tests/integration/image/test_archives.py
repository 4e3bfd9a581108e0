"""`load`, `save`, `import`: archives of other tools read, ours read by them, damaged and hostile ones refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.image.conftest import layers
from tests.integration.image.hostile import Hostile, Image, make_layer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = pytest.mark.requires("userns", "subids")


def _skopeo(*words: str) -> str:
    done = subprocess.run(["skopeo", "--insecure-policy", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _image_id(sandbox: Sandbox, name: str) -> str:
    return sandbox.run("image", "inspect", "-f", "{{.Id}}", name).stdout.strip()


def _config_digest(layout: Path) -> str:
    document = json.loads(_skopeo("inspect", "--raw", f"oci:{layout}:latest"))
    digest = document["config"]["digest"]
    assert isinstance(digest, str)
    return digest


@pytest.mark.requires("skopeo")
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
@pytest.mark.parametrize("compressed", [False, True])
def test_load_what_skopeo_saved(
    sandbox: Sandbox, busybox_layout: Path, tmp_path: Path, form: str, compressed: bool
) -> None:
    archive = tmp_path / "image.tar"
    _skopeo("copy", "-q", f"oci:{busybox_layout}:latest", f"{form}:{archive}:example.org/busybox:1")
    data = gzip.compress(archive.read_bytes(), 1) if compressed else archive.read_bytes()
    loaded = sandbox.run("load", input=data)
    assert loaded.lines == ["Loaded image: example.org/busybox:1"]
    if form == "oci-archive":
        assert _image_id(sandbox, "example.org/busybox:1") == _config_digest(busybox_layout)
    assert len(layers(sandbox.home)) == len(
        sandbox.run(
            "image", "inspect", "-f", "{{range .RootFS.Layers}}x {{end}}", "example.org/busybox:1"
        ).stdout.split()
    )


def test_load_an_oci_layout_that_umoci_made(sandbox: Sandbox, busybox_layout: Path, tmp_path: Path) -> None:
    archive = tmp_path / "layout.tar"
    subprocess.run(["tar", "-C", busybox_layout, "-cf", archive, "."], check=True)
    # the layout calls it "latest", which names no repository
    (line,) = sandbox.run("load", "-i", archive).lines
    assert line == f"Loaded image ID: {_config_digest(busybox_layout)}"


@pytest.mark.requires("skopeo")
def test_save_is_read_by_others_and_by_us(sandbox: Sandbox, busybox_image: str, tmp_path: Path) -> None:
    sandbox.run("pull", "-q", busybox_image)
    sandbox.run("tag", busybox_image, "mine:1")
    image_id = _image_id(sandbox, "mine:1")
    archive = tmp_path / "mine.tar"
    sandbox.run("save", "-o", archive, "mine:1")
    assert json.loads(_skopeo("inspect", f"docker-archive:{archive}:mine:1"))["Os"] == "linux"
    raw = json.loads(_skopeo("inspect", "--raw", f"oci-archive:{archive}:1"))
    assert raw["config"]["digest"] == image_id
    # a whole copy makes skopeo verify every layer against the config
    _skopeo("copy", "-q", f"docker-archive:{archive}:mine:1", f"dir:{tmp_path}/copy")
    sandbox.run("rmi", "mine:1", busybox_image)
    assert not layers(sandbox.home)
    assert sandbox.run("load", "-i", archive).lines == ["Loaded image: mine:1"]
    assert _image_id(sandbox, "mine:1") == image_id


def test_save_several_to_standard_output(sandbox: Sandbox, hostile: Hostile, busybox_image: str) -> None:
    sandbox.run("pull", "-q", busybox_image)
    sandbox.run("pull", "-q", f"{hostile.host}/x")
    process = sandbox.spawn("save", busybox_image, f"{hostile.host}/x")
    data, err = process.communicate()
    assert process.returncode == 0, err
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        member = tar.extractfile("manifest.json")
        assert member is not None
        assert [entry["RepoTags"] for entry in json.load(member)] == [[busybox_image], [f"{hostile.host}/x:latest"]]


def test_a_name_that_an_archive_takes_from_another_image(sandbox: Sandbox, tmp_path: Path) -> None:
    archive = tmp_path / "mine.tar"
    first = sandbox.run("import", "-", "mine:1", input=make_layer({"a": b"1"})).stdout.strip()
    sandbox.run("save", "-o", archive, "mine:1")
    assert sandbox.run("load", "-i", archive).lines == ["Loaded image: mine:1"]
    second = sandbox.run("import", "-", "mine:1", input=make_layer({"a": b"2"})).stdout.strip()
    assert sandbox.run("load", "-i", archive).lines == [
        f"The image mine:1 already exists, renaming the old one with ID {second} to empty string",
        "Loaded image: mine:1",
    ]
    assert _image_id(sandbox, "mine:1") == first


def test_save_fails_whole(sandbox: Sandbox, tmp_path: Path) -> None:
    assert "No such image" in sandbox.run("save", "-o", tmp_path / "x", "nonesuch", status=1).stderr
    assert not list(tmp_path.iterdir())


def test_save_to_where_nothing_can_be(sandbox: Sandbox, hostile: Hostile, tmp_path: Path) -> None:
    sandbox.run("pull", "-q", f"{hostile.host}/x")
    failed = sandbox.run("save", "-o", tmp_path / "no/such/file", f"{hostile.host}/x", status=1)
    assert "cannot write" in failed.stderr
    assert "No space left" in sandbox.run("save", "-o", "/dev/full", f"{hostile.host}/x", status=1).stderr


# --- archives nobody should have made


def _archive(members: dict[str, bytes | str]) -> bytes:
    """A tar of files; a text is a symlink's target."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            if isinstance(content, str):
                header.type, header.linkname = tarfile.SYMTYPE, content
                tar.addfile(header)
            else:
                header.size = len(content)
                tar.addfile(header, io.BytesIO(content))
    return raw.getvalue()


def _docker_archive(**changes: Any) -> dict[str, bytes | str]:
    layer = make_layer({"x": b"1"})
    diff_id = "sha256:" + hashlib.sha256(gzip.decompress(layer)).hexdigest()
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    entry = {"Config": "config.json", "Layers": ["l/layer.tar"], "RepoTags": ["x:1"]}
    return {
        "config.json": json.dumps(changes.get("config", config)).encode(),
        "l/layer.tar": changes.get("layer", layer),
        "manifest.json": json.dumps([{**entry, **changes.get("entry", {})}]).encode(),
    }


def test_the_honest_archive(sandbox: Sandbox) -> None:
    assert sandbox.run("load", input=_archive(_docker_archive())).lines == ["Loaded image: x:1"]


def test_null_in_an_archive(sandbox: Sandbox) -> None:
    """As Go reads it: nothing was said."""
    members = _docker_archive(entry={"RepoTags": None, "Parent": None, "LayerSources": None})
    (loaded,) = sandbox.run("load", input=_archive(members)).lines
    assert loaded.startswith("Loaded image ID: sha256:")
    assert sandbox.run("load", input=_archive({"manifest.json": b"null"})).stdout == ""
    refused = sandbox.run("load", input=_archive({"manifest.json": b"[null]"}), status=1)
    assert "`Config`" in refused.stderr


def test_linked_members(sandbox: Sandbox) -> None:
    """Old Docker links layers that are the same."""
    members = _docker_archive(entry={"Layers": ["link/layer.tar"]})
    assert sandbox.run("load", input=_archive({**members, "link/layer.tar": "../l/layer.tar"})).lines
    looped = {**members, "link/layer.tar": "../other/layer.tar", "other/layer.tar": "../link/layer.tar"}
    assert "damaged" in sandbox.run("load", input=_archive(looped), status=1).stderr


@pytest.mark.parametrize(
    "changes",
    [
        {"entry": {"Config": "/etc/passwd"}},
        {"entry": {"Config": "../../../../etc/passwd"}},
        {"entry": {"Layers": ["/etc/passwd"]}},
        {"entry": {"Layers": []}},
        {"entry": {"Layers": ["l/layer.tar", "l/layer.tar"]}},
        {"entry": {"RepoTags": ["../../x"]}},
        {"entry": {"RepoTags": ["x:1", "UPPER"]}},
        {"entry": {"Layers": "x"}},
        {"entry": {"Layers": [None]}},
        {"entry": {"Layers": None}},
        {"entry": {"Config": None}},
        {"entry": {"RepoTags": [None]}},
        {"entry": {"RepoTags": "x:1"}},
        {"config": {"rootfs": None}},
        {"config": None},
        {"config": {}},
        {"config": {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ["sha256:../x"]}}},
        {"layer": b"nonsense"},
        {"layer": make_layer({"../../marker": b""})},
    ],
)
def test_refused(sandbox: Sandbox, changes: dict[str, Any]) -> None:
    failed = sandbox.run("load", input=_archive(_docker_archive(**changes)), status=1)
    assert failed.stderr.startswith("Error: ")
    assert not sandbox.run("images", "-q").lines
    assert not layers(sandbox.home)


def test_links_to_the_host(sandbox: Sandbox, tmp_path: Path) -> None:
    """A member that is a symlink to a file of this machine is not that file (CVE-2014-9356 class)."""
    secret = tmp_path / "secret.json"
    secret.write_bytes(b"{}")
    members = _docker_archive(entry={"Config": "config-link"})
    failed = sandbox.run("load", input=_archive({**members, "config-link": str(secret)}), status=1)
    assert "damaged" in failed.stderr


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("compressed", [False, True])
def test_truncated(sandbox: Sandbox, keep: float, compressed: bool) -> None:
    data = _archive(_docker_archive())
    # without the zeros at the end, which mean nothing
    data = gzip.compress(data) if compressed else data.rstrip(b"\0")
    failed = sandbox.run("load", input=data[: int(len(data) * keep)], status=1)
    assert failed.stderr.startswith("Error: ")
    assert not sandbox.run("images", "-q").lines


@pytest.mark.parametrize("data", [b"", b"\0" * 1024, b"hello" * 1000, gzip.compress(b""), b"\x1f\x8b\x08\x00garbage"])
def test_no_archive(sandbox: Sandbox, data: bytes) -> None:
    failed = sandbox.run("load", input=data, status=1)
    assert failed.stderr.startswith("Error: ")


def test_oci_blob_that_is_not_its_name(sandbox: Sandbox, busybox_layout: Path, tmp_path: Path) -> None:
    archive = tmp_path / "layout.tar"
    subprocess.run(["tar", "-C", busybox_layout, "-cf", archive, "."], check=True)
    manifest = json.loads(_skopeo("inspect", "--raw", f"oci:{busybox_layout}:latest"))
    layer = manifest["layers"][0]["digest"].replace(":", "/")
    raw = io.BytesIO()
    with tarfile.open(archive) as source, tarfile.open(fileobj=raw, mode="w") as target:
        for member in source:
            data = source.extractfile(member)
            content = data.read() if data else b""
            if member.name.endswith(layer):
                content = content[:-1] + bytes([content[-1] ^ 1])
            target.addfile(member, io.BytesIO(content) if data else None)
    failed = sandbox.run("load", input=raw.getvalue(), status=1)
    assert "does not match its digest" in failed.stderr


# --- import


def test_import(sandbox: Sandbox, tmp_path: Path) -> None:
    archive = tmp_path / "root.tar"
    archive.write_bytes(_archive({"bin/sh": b"#!"}))
    image_id = sandbox.run(
        "import", "-c", 'CMD ["sh", "-l"]', "-c", "ENV A=1 B='2 3'", "-c", "EXPOSE 80", "-m", "made by hand",
        archive, "mine:2",
    ).stdout.strip()  # fmt: skip
    (document,) = json.loads(sandbox.run("image", "inspect", "mine:2").stdout)
    assert document["Id"] == image_id
    assert document["Config"]["Cmd"] == ["sh", "-l"]
    assert document["Config"]["Env"] == ["A=1", "B=2 3"]
    assert document["Config"]["ExposedPorts"] == {"80/tcp": {}}
    assert document["Comment"] == "made by hand"
    assert document["Size"] > 0


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_import_compressed_from_standard_input(sandbox: Sandbox, mode: str) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode=mode) as tar:  # type: ignore[call-overload]
        tar.addfile(tarfile.TarInfo("x"))
    image_id = sandbox.run("import", "-", input=raw.getvalue()).stdout.strip()
    assert sandbox.run("images", "-q", "--no-trunc").lines == [image_id]
    process = sandbox.spawn("save", image_id)
    data, _err = process.communicate()
    assert process.returncode == 0
    assert data


def test_import_from_a_url(sandbox: Sandbox, hostile: Hostile) -> None:
    data = _archive({"x": b"1"})

    def answer(handler: Any) -> bool:
        if handler.path != "/root.tar":
            return False
        handler.answer(200, data)
        return True

    hostile.hooks.append(answer)
    sandbox.run("import", f"http://{hostile.host}/root.tar", "mine")
    assert "cannot download" in sandbox.run("import", f"http://{hostile.host}/none", status=1).stderr


@pytest.mark.parametrize("change", ["RUN x", "CMD", "ENV", "nonsense"])
def test_import_with_a_bad_change(sandbox: Sandbox, change: str) -> None:
    failed = sandbox.run("import", "-c", change, "-", input=_archive({"x": b""}), status=1)
    assert failed.stderr.startswith("Error: ")
    assert not sandbox.run("images", "-q").lines


@pytest.mark.parametrize("words", [("load", "-i", "/nonesuch"), ("import", "/nonesuch")])
def test_no_such_file(sandbox: Sandbox, words: tuple[str, ...]) -> None:
    assert "cannot open /nonesuch" in sandbox.run(*words, status=1).stderr


# --- what cannot be had of a layer


def _with_a_device() -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        device = tarfile.TarInfo("sda")
        device.type, device.devmajor, device.devminor = tarfile.BLKTYPE, 8, 0
        tar.addfile(device)
        foreign = tarfile.TarInfo("foreign")
        foreign.uid = foreign.gid = 3_000_000
        tar.addfile(foreign)
    return gzip.compress(raw.getvalue(), mtime=0)


def test_every_way_in_names_what_could_not_be_had(sandbox: Sandbox, serve: Callable[[Image], Hostile]) -> None:
    layer = _with_a_device()
    server = serve(Image(layer))
    short = hashlib.sha256(layer).hexdigest()[:12]
    pulled = sandbox.run("pull", f"{server.host}/x")
    notes = [line for line in pulled.lines if line.startswith(f"{short}: passed over") or "became 0:0" in line]
    assert len(notes) == 2, pulled.stdout
    archive = sandbox.home.root / "x.tar"
    sandbox.run("save", "-o", archive, f"{server.host}/x")

    def load(*words: str) -> list[str]:
        sandbox.run("rmi", "-f", *sandbox.run("images", "-q").lines)
        return sandbox.run("load", *words, "-i", archive).lines

    assert load() == [*notes, f"Loaded image: {server.host}/x:latest"]
    assert load("-q") == [f"Loaded image: {server.host}/x:latest"]
    sandbox.run("rmi", "-f", *sandbox.run("images", "-q").lines)
    imported = sandbox.run("import", "-", input=layer)
    # its output is the ID alone
    assert imported.stderr.splitlines() == notes
    assert len(imported.lines) == 1
