"""`sandbox system check`: each kind of damage is seen, told from what is whole, and mended where it can be."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from sandbox.paths import Paths
from storage.locks import lock_directory, unlock

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.upkeep.conftest import Store

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp", "umoci", "busybox"), pytest.mark.slow]


def _damage(path: os.PathLike[str]) -> None:
    """Change one byte, and no size."""
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        (last,) = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))


def test_a_whole_store_is_clean(store: Store) -> None:
    assert store.sandbox.run("system", "check").stdout == (
        "Checked 2 images, 1 container, 1 volume, 2 layers, 6 blobs, 1 step of the build cache: nothing is wrong\n"
    )
    assert store.check("--quick", clean=True)["checked"]["layers"] == 2
    store.is_whole()


# --- blobs


def test_a_blob_with_another_content_is_made_again_from_the_layer_that_was_built(store: Store) -> None:
    digest = store.manifest("made")["layers"][-1]["digest"]
    _damage(store.blob(digest))
    assert store.found("--quick", clean=True) == []
    assert store.found() == [("blob", digest)]
    assert store.found("--repair", clean=True) == [("blob", digest)]
    store.is_whole()
    assert digest == store.manifest("made")["layers"][-1]["digest"]


def test_a_missing_archive_of_a_built_layer_is_made_again(store: Store) -> None:
    digest = store.manifest("made")["layers"][-1]["digest"]
    store.blob(digest).unlink()
    assert ("image", "made:latest") in store.found("--quick")
    store.check("--repair", clean=True)
    store.is_whole()


def _lose_documents(store: Store) -> str:
    """The id of `made`: its config is damaged, its manifest gone."""
    manifest = store.manifest("made")
    store.blob(manifest["own digest"]).unlink()
    image = str(manifest["config"]["digest"])
    _damage(store.blob(image))
    return image


def test_documents_are_put_back_from_the_copy_of_the_record(store: Store) -> None:
    manifest = store.manifest("made")
    image = _lose_documents(store)
    assert store.found() == [("blob", image), ("blob", manifest["own digest"])]
    store.check("--repair", clean=True)
    assert store.manifest("made") == manifest
    store.is_whole()


def test_an_image_without_documents_is_forgotten_only_where_a_registry_has_it(store: Store) -> None:
    store.query("DELETE FROM build_cache")
    image = _lose_documents(store)
    (store.root / "images" / image.removeprefix("sha256:")).unlink()
    left = store.check("--repair", clean=False)["findings"][-1]
    assert left["name"] == "made:latest"
    assert left["mend"] == "build or load it again; sandbox rmi made:latest removes it"
    # what is left of it stays, and what can be removed is not kept by it
    assert store.sandbox.run("start", "-a", "job").status == 0
    store.sandbox.run("rm", "job")
    store.sandbox.run("tag", "busybox", "again")
    store.sandbox.run("rmi", "again")
    store.check("--repair", clean=False)
    assert store.tree("made").is_dir()
    store.query(
        "INSERT INTO image_digest SELECT 'docker.io/library/made', manifest_digest, id FROM image WHERE id = ?", image
    )
    document = store.check("--repair", clean=True)
    assert document["findings"][0]["mend"] == "sandbox pull made:latest"
    assert store.sandbox.run("images", "--format", "{{.Repository}}").lines == ["busybox"]


# --- layers


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo other >$1/made/deep/file", "has another"),
        ("rm $1/made/deep/file", "is missing"),
        ("touch $1/made/new", "does not belong there"),
        ("chmod 600 $1/made/deep/file", "has another mode"),
        ("chown 5:5 $1/made/deep", "has another owner"),
        ("cp -p $1/made/link $1/made/x && mv $1/made/x $1/made/link", "has another"),
        ("rm -r $1/made && touch $1/made", "has another kind"),
        ("rm $1/../layer.json", "layer.json"),
        ("echo [] >$1/../layer.json", "layer.json"),
        ("rm -r $1", "cannot be opened"),
    ],
)
def test_a_damaged_layer_is_unpacked_again(store: Store, script: str, said: str) -> None:
    store.in_namespace(script, store.tree("made"))
    (finding,) = store.check(clean=False)["findings"]
    assert (finding["kind"], finding["name"]) == ("layer", f"sha256:{store.layers('made')[-1]}")
    assert said in finding["problem"]
    store.check("--repair", clean=True)
    store.is_whole()


def test_a_missing_layer_is_unpacked_again(store: Store) -> None:
    store.in_namespace("rm -r $1", store.tree("busybox").parent)
    chain_id = f"sha256:{store.layers('busybox')[0]}"
    assert ("layer", chain_id) in store.found()
    store.check("--repair", clean=True)
    store.is_whole()


def test_a_layer_is_left_while_a_container_runs_on_it(store: Store) -> None:
    store.sandbox.run("run", "-d", "--name", "web", "--network", "none", "made", "sleep", "1000")
    store.in_namespace("echo other >$1/made/deep/file", store.tree("made"))
    (finding,) = [found for found in store.check("--repair", clean=False)["findings"] if not found["repaired"]]
    assert finding["mend"].startswith("sandbox stop web")
    assert store.sandbox.run("exec", "web", "echo", "here").stdout == "here\n"
    store.sandbox.run("rm", "-f", "web")
    store.check("--repair", clean=True)
    store.is_whole()


def test_a_damaged_layer_without_an_archive_is_kept_for_the_container_made_of_it(store: Store) -> None:
    store.blob(store.manifest("made")["layers"][-1]["digest"]).unlink()
    store.in_namespace("rm $1/layer.json", store.tree("made").parent)
    (left,) = [found for found in store.check("--repair", clean=False)["findings"] if not found["repaired"]]
    assert left["kind"] == "layer"
    assert left["mend"] == "sandbox export job saves what can be read; sandbox rm job"
    assert store.sandbox.run("start", "-a", "job").status == 0
    store.sandbox.run("rm", "job")
    # no registry has it: what is left of it goes when a person says so
    assert store.found("--repair") == [("layer", left["name"]), ("image", "made:latest")]
    assert store.tree("made").is_dir()
    store.sandbox.run("rmi", "made")
    store.sandbox.run("builder", "prune", "-af")
    store.check("--repair", clean=True)
    assert store.found(clean=True) == []
    assert store.sandbox.run("images", "--format", "{{.Repository}}").lines == ["busybox"]


def test_an_image_whose_archive_cannot_be_made_again_goes_on_and_says_what_to_do(store: Store) -> None:
    _damage(store.blob(store.manifest("busybox")["layers"][0]["digest"]))
    found = store.check("--repair", clean=False)["findings"]
    left = {finding["name"]: finding["mend"] for finding in found if not finding["repaired"]}
    names = ("made:latest", "busybox:latest")
    assert left == {name: f"build or load it again; sandbox rmi {name} removes it" for name in names}
    assert store.sandbox.run("run", "--rm", "--network", "none", "made", "cat", "/made/link").stdout == "made\n"


# --- records


def test_an_image_whose_layers_are_not_those_of_its_config(store: Store) -> None:
    store.query("UPDATE image SET layers = ? WHERE layers LIKE '%,%'", json.dumps([f"sha256:{'a' * 64}"]))
    assert store.found() == [("image", "made:latest")]
    store.check("--repair", clean=True)
    store.is_whole()


def test_a_row_of_the_build_cache_that_cannot_be_read(store: Store) -> None:
    store.query("INSERT INTO build_cache (key, layer) VALUES ('broken', '[1]')")
    assert store.found() == [("build cache", "broken")]
    store.check("--repair", clean=True)
    store.is_whole()


def test_a_step_of_the_build_cache_whose_layer_has_gone_is_no_fault(store: Store) -> None:
    store.sandbox.run("rm", "job")
    store.sandbox.run("rmi", "made")
    store.check("--repair", clean=True)
    assert store.found(clean=True) == []


def test_a_name_that_points_to_no_image(store: Store) -> None:
    store.query("INSERT INTO image_name VALUES ('docker.io/library/ghost:latest', ?)", f"sha256:{'b' * 64}")
    assert [kind for kind, _name in store.found()] == ["database"]


# --- containers and volumes


def _container(store: Store) -> str:
    return store.sandbox.run("ps", "-aq", "--no-trunc").stdout.strip()


def test_a_container_whose_directory_is_gone(store: Store) -> None:
    store.in_namespace("rm -r $1", store.root / "containers" / _container(store))
    assert store.found() == [("container", "job")]
    store.check("--repair", clean=True)
    # what it wrote went with its directory; what it is made of did not
    assert store.sandbox.run("start", "-a", "job").status == 0
    store.is_whole()


def test_a_created_container_gets_its_directory_back(store: Store) -> None:
    created = store.sandbox.run("create", "--name", "new", "--network", "none", "made", "true").stdout.strip()
    shutil.rmtree(store.root / "containers" / created)
    assert store.found() == [("container", "new")]
    store.check("--repair", clean=True)
    assert store.sandbox.run("start", "-a", "new").status == 0


def test_a_directory_that_belongs_to_no_container(store: Store) -> None:
    known = _container(store)
    store.query("DELETE FROM container")
    (store.root / "containers" / known / "record.json").write_text("lost")
    assert store.found() == [("container", known)]
    assert store.found("--repair") == [("container", known)]
    assert os.listdir(store.root / "containers") == [known]
    store.check("--repair", "--remove", known, clean=True)
    assert os.listdir(store.root / "containers") == []
    store.is_whole()


def test_a_container_whose_layer_is_missing(store: Store) -> None:
    chain_id = f"sha256:{store.layers('made')[-1]}"
    store.query("DELETE FROM build_cache")
    store.sandbox.run("rmi", "-f", store.manifest("made")["config"]["digest"])
    store.in_namespace("rm -r $1", store.root / "layers" / chain_id.removeprefix("sha256:"))
    assert ("container", "job") in store.found()
    assert ("container", "job") in store.found("--repair")
    store.sandbox.run("rm", "job")
    assert store.found("--repair", clean=True) == store.found(clean=True) == []


def test_a_volume_whose_directory_is_gone(store: Store) -> None:
    store.in_namespace("rm -r $1", store.root / "volumes/kept")
    assert store.found() == [("volume", "kept")]
    store.check("--repair", clean=True)
    # the container that mounts it can start again
    assert store.sandbox.run("start", "-a", "job").status == 0
    store.sandbox.run("rm", "job")
    store.in_namespace("rm -r $1", store.root / "volumes/kept")
    store.check("--repair", clean=True)
    assert store.query("SELECT * FROM volume") == []


def test_data_of_a_volume_without_a_record_is_taken_back(store: Store) -> None:
    store.query("DELETE FROM volume")
    assert store.found() == [("volume", "kept")]
    store.check("--repair", clean=True)
    assert store.query("SELECT name, anonymous FROM volume") == [("kept", 0)]
    assert store.sandbox.run("run", "--rm", "-v", "kept:/v", "--network", "none", "made", "cat", "/v/file").lines == [
        "data"
    ]


def test_a_volume_that_was_left_half_made(store: Store) -> None:
    (store.root / "volumes/half").mkdir()
    (store.root / "volumes/new/_data").mkdir(parents=True)
    (store.root / "volumes/new/fill").touch()
    (store.root / "volumes/marked").mkdir()
    (store.root / "volumes/marked/fill").touch()
    (store.root / "volumes/removed").mkdir()
    (store.root / "volumes/removed/.record.json.new").touch()
    found = store.check(clean=False)["findings"]
    assert [(finding["name"], finding["leftover"]) for finding in found] == [
        ("half", True), ("marked", True), ("new", True), ("removed", False),
    ]  # fmt: skip
    store.check("--repair", clean=True)
    assert os.listdir(store.root / "volumes") == ["kept"]


# --- what killed processes leave


def _leave_download(store: Store) -> None:
    (store.root / "blobs/partial" / ("a" * 64)).write_text("half")


def _leave_stage(store: Store) -> None:
    store.in_namespace('mkdir -p "$1" && chown 5:5 "$1"', store.root / "layers/.stage" / ("b" * 64) / "diff/x")


def _leave_build(store: Store) -> None:
    store.in_namespace('mkdir -p "$1" && chown 5:5 "$1"', store.root / "build/dead/1/upper/x")


def _leave_blob(store: Store) -> None:
    text = b"nobody's"
    (store.root / "blobs/sha256" / hashlib.sha256(text).hexdigest()).write_bytes(text)


def _leave_layer(store: Store) -> None:
    store.in_namespace('cp -a "$1" "$2"', store.tree("made").parent, store.root / "layers" / ("c" * 64))


def _leave_runtime(store: Store) -> None:
    name = Paths(str(store.root), "", "").runtime_prefix + "d" * 24
    (store.sandbox.home.runtime / "sandbox/containers" / name / "root").mkdir(parents=True)


def _leave_cache_mount(store: Store) -> None:
    store.in_namespace('mkdir -p "$1" && chown 5:5 "$1"', store.root / "build-mounts" / ("e" * 64) / "x")


def _leave_record_of_a_cache_mount(store: Store) -> None:
    store.query("INSERT INTO build_mount VALUES ('gone', '/cache', 1, 1, 1)")


@pytest.mark.parametrize(
    ("leave", "kind"),
    [
        (_leave_cache_mount, "build cache"),
        (_leave_record_of_a_cache_mount, "build cache"),
        (_leave_download, "download"),
        (_leave_stage, "stage"),
        (_leave_build, "build"),
        (_leave_blob, "blob"),
        (_leave_layer, "layer"),
        (_leave_runtime, "runtime"),
    ],
)
def test_leftovers_are_no_fault_and_go(store: Store, leave: Callable[[Store], None], kind: str) -> None:
    leave(store)
    (finding,) = store.check(clean=True)["findings"]
    assert (finding["kind"], finding["leftover"]) == (kind, True)
    store.check("--repair", clean=True)
    store.is_whole()


def test_what_a_living_process_is_making_is_left_alone(store: Store) -> None:
    place = store.root / "build/alive"
    fd = lock_directory(str(place))
    try:
        assert store.found("--repair", clean=True) == []
        assert place.is_dir()
    finally:
        unlock(fd)
        place.rmdir()


def test_a_check_waits_for_nobody_and_a_repair_for_who_makes_an_image(store: Store) -> None:
    with store.sandbox.spawn("build", "-q", "-", stdin=-1) as build:
        # it holds the store from before it asks for the Dockerfile
        assert build.stdin is not None
        document = None
        while document is None or not document["notes"]:
            document = store.check(clean=True)
        assert "is being made" in document["notes"][0]
        with store.sandbox.spawn("system", "check", "--repair") as repair:
            assert repair.stderr is not None
            assert b"waiting" in repair.stderr.readline()
            build.communicate(b"FROM busybox\nRUN true\n", timeout=60)
            assert build.returncode == 0
            output, _talk = repair.communicate(timeout=60)
            assert repair.returncode == 0, output
    store.is_whole()


def test_an_unknown_format_is_a_mistake(store: Store) -> None:
    assert "--format" in store.sandbox.run("system", "check", "--format", "xml", status=125).stderr
