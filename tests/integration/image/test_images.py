"""Images that are here: listed, tagged, inspected, removed with all that nothing else needs."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

from tests.integration.image.conftest import blobs, layers

if TYPE_CHECKING:
    from tests.command import Sandbox
    from tests.integration.image.hostile import Hostile

pytestmark = pytest.mark.requires("userns", "subids")


@pytest.fixture
def name(sandbox: Sandbox, hostile: Hostile) -> str:
    """The name of an image that was pulled."""
    sandbox.run("pull", "-q", f"{hostile.host}/x")
    return f"{hostile.host}/x:latest"


def _images(sandbox: Sandbox, *words: str) -> list[str]:
    return sandbox.run("images", "--format", "{{.Repository}}:{{.Tag}}", *words).lines


def _use(sandbox: Sandbox, name: str, status: str) -> None:
    """A container of the image, as the database has it; running one is another room's test."""
    image_id = sandbox.run("image", "inspect", "-f", "{{.Id}}", name).stdout.strip()
    with sqlite3.connect(sandbox.home.data / "sandbox/state.db") as connection:
        (chain,) = connection.execute("SELECT layers FROM image WHERE id = ?", (image_id,)).fetchone()
        config = {"image": name, "image_id": image_id, "layers": json.loads(chain)}
        connection.execute(
            "INSERT INTO container (id, name, image_id, created_ns, config, state) VALUES (?, 'c', ?, 1, ?, ?)",
            ("c" * 64, image_id, json.dumps(config), json.dumps({"status": status})),
        )
    connection.close()


def _disuse(sandbox: Sandbox) -> None:
    with sqlite3.connect(sandbox.home.data / "sandbox/state.db") as connection:
        connection.execute("DELETE FROM container")
    connection.close()


def test_table(sandbox: Sandbox, name: str) -> None:
    header, line = sandbox.run("images").lines
    assert header.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    repository, tag, image_id, *_rest = line.split()
    assert f"{repository}:{tag}" == name
    assert len(image_id) == 12
    assert sandbox.run("images", "-q").lines == [image_id]
    assert "DIGEST" in sandbox.run("images", "--digests").lines[0].split()
    (full,) = sandbox.run("images", "-q", "--no-trunc").lines
    assert full.startswith(f"sha256:{image_id}")
    assert json.loads(sandbox.run("images", "--format", "json").stdout)["Tag"] == "latest"
    assert name in sandbox.run("images", "--tree").stdout


def test_filters(sandbox: Sandbox, name: str) -> None:
    sandbox.run("tag", name, "other:1")
    repository = name.removesuffix(":latest")
    assert _images(sandbox, "other") == ["other:1"]
    assert _images(sandbox, "oth*") == ["other:1"]
    assert _images(sandbox, "other:2") == []
    assert _images(sandbox, "-f", "reference=o*:1") == ["other:1"]
    assert _images(sandbox, repository) == [name]
    assert _images(sandbox, "-f", "dangling=true") == []
    assert len(_images(sandbox, "-f", "dangling=false")) == 2
    assert _images(sandbox, "-f", "label=x") == []
    assert "invalid filter" in sandbox.run("images", "-f", "x=y", status=1).stderr


def test_inspect(sandbox: Sandbox, name: str) -> None:
    (document,) = json.loads(sandbox.run("image", "inspect", name).stdout)
    assert document["RepoTags"] == [name]
    assert document["Os"] == "linux"
    assert len(document["RootFS"]["Layers"]) == 2
    found = sandbox.run("image", "inspect", document["Id"], "nonesuch", document["Id"][7:15], status=1)
    assert len(json.loads(found.stdout)) == 2
    assert "No such image: nonesuch" in found.stderr


def test_history(sandbox: Sandbox, name: str) -> None:
    header, *lines = sandbox.run("history", name).lines
    assert header.split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    assert len(lines) == 2
    assert lines[1].startswith("<missing>")
    assert len(sandbox.run("history", "-q", name).lines) == 2
    header, line, _base = sandbox.run("history", "--human=false", "--no-trunc", name).lines
    assert header.split() == ["IMAGE", "CREATED", "AT", "CREATED", "BY", "SIZE", "COMMENT"]
    assert line.split()[-1].isdecimal()


def test_untag_then_delete(sandbox: Sandbox, name: str) -> None:
    sandbox.run("tag", name, "other:1")
    assert sandbox.run("rmi", "other:1").lines == ["Untagged: other:1"]
    removed = sandbox.run("rmi", name).lines
    assert removed[0] == f"Untagged: {name}"
    assert removed[1].startswith("Untagged: ")
    assert removed[2].startswith("Deleted: sha256:")
    assert len(removed) == 5
    assert not layers(sandbox.home)
    assert not blobs(sandbox.home)


def test_the_last_tag_of_a_repository_takes_its_digests(sandbox: Sandbox, name: str) -> None:
    more = f"{name.removesuffix(':latest')}:more"
    sandbox.run("tag", name, more)
    sandbox.run("tag", name, "other:1")
    shown = ("images", "--format", "{{.Repository}}:{{.Tag}}")
    assert sandbox.run("rmi", more).lines == [f"Untagged: {more}"]
    (digest,) = sandbox.run("image", "inspect", "-f", "{{range .RepoDigests}}{{.}} {{end}}", name).stdout.split()
    assert sandbox.run("rmi", name).lines == [f"Untagged: {name}", f"Untagged: {digest}"]
    assert sandbox.run(*shown).lines == ["other:1"]
    assert sandbox.run("image", "inspect", "-f", "{{.RepoDigests}}", "other:1").lines == ["[]"]
    # one that a registry knows by digest alone stays when another repository's tag goes
    sandbox.run("pull", "-q", digest)
    assert sandbox.run("rmi", "other:1").lines == ["Untagged: other:1"]
    assert sandbox.run("rmi", digest).lines[0] == f"Untagged: {digest}"
    assert sandbox.run(*shown).lines == []


def test_what_another_image_needs_stays(sandbox: Sandbox, hostile: Hostile, name: str) -> None:
    kept = set(hostile.image.layers[:1])
    hostile.image.manifest["layers"].pop()
    document = json.loads(hostile.image.blobs[hostile.image.manifest["config"]["digest"]])
    document["rootfs"]["diff_ids"].pop()
    data = json.dumps(document).encode()
    hostile.image.add(data)
    hostile.image.manifest["config"] = hostile.image.descriptor("application/octet-stream", data)
    sandbox.run("pull", "-q", f"{hostile.host}/y")
    sandbox.run("rmi", name)
    assert len(layers(sandbox.home)) == 1
    assert kept <= blobs(sandbox.home)
    assert hostile.image.layers[1] not in blobs(sandbox.home)


def test_used_by_a_stopped_container(sandbox: Sandbox, name: str) -> None:
    _use(sandbox, name, "exited")
    refused = sandbox.run("rmi", name, status=1)
    assert "conflict: unable to remove repository reference" in refused.stderr
    assert f"container {'c' * 12} is using its referenced image" in refused.stderr
    (short,) = sandbox.run("images", "-q").lines
    assert "being used by stopped container" in sandbox.run("rmi", short, status=1).stderr
    # by force the image goes; the container keeps its layers
    untagged, *more, deleted = sandbox.run("rmi", "-f", name).lines
    assert untagged == f"Untagged: {name}"
    assert deleted.startswith(f"Deleted: sha256:{short}")
    assert len(more) == 1
    assert not sandbox.run("images", "-q").lines
    assert len(layers(sandbox.home)) == 2
    _disuse(sandbox)


def test_used_by_a_running_container(sandbox: Sandbox, name: str) -> None:
    _use(sandbox, name, "running")
    (short,) = sandbox.run("images", "-q").lines
    assert "cannot be forced" in sandbox.run("rmi", "-f", short, status=1).stderr
    # a name can go by force, for the image stays
    assert all(line.startswith("Untagged: ") for line in sandbox.run("rmi", "-f", name).lines)
    assert sandbox.run("images", "--format", "{{.Repository}} {{.ID}}").lines == [f"<none> {short}"]
    assert len(layers(sandbox.home)) == 2
    _disuse(sandbox)


def test_id_with_several_names(sandbox: Sandbox, name: str) -> None:
    sandbox.run("tag", name, "other:1")
    # a line for each name
    short, again = sandbox.run("images", "-q").lines
    assert again == short
    assert "referenced in multiple repositories" in sandbox.run("rmi", short, status=1).stderr
    removed = sandbox.run("rmi", "-f", short).lines
    assert "Untagged: other:1" in removed
    assert not sandbox.run("images", "-q").lines


def test_a_moved_tag_leaves_a_dangling_image(sandbox: Sandbox, hostile: Hostile, name: str) -> None:
    sandbox.run("pull", "-q", f"{hostile.host}/x")
    sandbox.run("import", "-", name, input=b"\0" * 1024)
    assert len(sandbox.run("images", "-q").lines) == 2
    (old,) = sandbox.run("images", "-q", "-f", "dangling=true").lines
    sandbox.run("rmi", old)
    assert _images(sandbox) == [name]


def test_by_force_what_is_not_there_is_no_failure(sandbox: Sandbox, name: str) -> None:
    done = sandbox.run("rmi", "-f", "nonesuch", name)
    assert "No such image: nonesuch" in done.stderr
    assert done.lines[0] == f"Untagged: {name}"


def test_a_platform_that_it_is_not_for(sandbox: Sandbox, name: str) -> None:
    told = "was found but does not provide the specified platform (linux/s390x)"
    for words in (("rmi",), ("image", "inspect"), ("history",), ("save",), ("push",)):
        assert told in sandbox.run(*words, "--platform", "linux/s390x", name, status=1).stderr
    env = {"DOCKER_DEFAULT_PLATFORM": "linux/s390x"}
    assert told in sandbox.run("create", "--pull", "never", name, "true", status=125, env=env).stderr
    machine = sandbox.run("image", "inspect", "-f", "{{.Os}}/{{.Architecture}}", name).stdout.strip()
    assert sandbox.run("rmi", "--platform", machine, name).lines[0] == f"Untagged: {name}"


def test_several_some_unknown(sandbox: Sandbox, name: str) -> None:
    done = sandbox.run("rmi", "nonesuch", name, status=1)
    assert "No such image: nonesuch" in done.stderr
    assert done.lines[0] == f"Untagged: {name}"


@pytest.mark.parametrize("target", ["UPPER", "x@sha256:" + "0" * 64, "", "../x", "-x"])
def test_bad_tag(sandbox: Sandbox, name: str, target: str) -> None:
    assert sandbox.run("tag", "--", name, target, status=1).stderr.startswith("Error: ")
    assert _images(sandbox) == [name]
