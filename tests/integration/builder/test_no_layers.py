"""Images of metadata alone, `FROM scratch` and no file: they come, go and come back as any other."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.command import Sandbox
    from tests.registry import Registry

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp"), pytest.mark.slow]

_FILE = 'FROM scratch\nLABEL is=empty\nENV A=1\nCMD ["/none"]\n'


@pytest.fixture
def empty(sandbox: Sandbox) -> str:
    """The ID of the image `empty`."""
    sandbox.run("build", "-t", "empty", "-", input=_FILE)
    return _identifier(sandbox, "empty")


def _identifier(sandbox: Sandbox, name: str) -> str:
    return sandbox.run("image", "inspect", "-f", "{{.Id}}", name).stdout.strip()


@pytest.mark.requires("registry", "skopeo")
def test_pushed_and_pulled_back(sandbox: Sandbox, empty: str, registry: Registry) -> None:
    name = f"{registry.host}/empty:1"
    sandbox.run("tag", "empty", name)
    pushed = sandbox.run("push", name)
    assert json.loads(registry.skopeo("inspect", "--raw", f"docker://{name}"))["layers"] == []
    sandbox.run("rmi", name, "empty")
    assert not sandbox.run("images", "-q").lines
    pulled = sandbox.run("pull", name)
    assert _identifier(sandbox, name) == empty
    digest = next(word for word in pushed.stdout.split() if word.startswith("sha256:"))
    assert f"Digest: {digest}" in pulled.lines
    assert sandbox.run("system", "check").status == 0


@pytest.mark.parametrize("form", ["docker", "oci"])
def test_saved_and_loaded_back(sandbox: Sandbox, empty: str, form: str) -> None:
    archive = sandbox.home.root / "empty.tar"
    sandbox.run("save", "-o", archive, "empty")
    if form == "oci":
        _leave_out(archive, "manifest.json")
    sandbox.run("rmi", "empty")
    assert sandbox.run("load", "-i", archive).lines == ["Loaded image: empty:latest"]
    assert _identifier(sandbox, "empty") == empty


@pytest.mark.parametrize("form", ["docker", "oci"])
def test_built_into_an_archive(sandbox: Sandbox, empty: str, form: str) -> None:
    sandbox.run("build", "-t", "other", "-o", f"type={form},dest=out.tar", "-", input=_FILE.replace("A=1", "A=2"))
    sandbox.run("load", "-i", sandbox.home.root / "out.tar")
    (document,) = json.loads(sandbox.run("image", "inspect", "other").stdout)
    assert document["Config"]["Env"][-1] == "A=2"
    assert document["Id"] != empty


@pytest.mark.requires("skopeo")
def test_loaded_from_others(sandbox: Sandbox, empty: str, registry: Registry) -> None:
    """skopeo has taken it apart and put it together again."""
    archive = sandbox.home.root / "empty.tar"
    sandbox.run("save", "-o", archive, "empty")
    other = sandbox.home.root / "other.tar"
    registry.skopeo("copy", "-q", f"oci-archive:{archive}", f"docker-archive:{other}:other:1")
    sandbox.run("rmi", "empty")
    assert sandbox.run("load", "-i", other).lines == ["Loaded image: other:1"]
    assert _identifier(sandbox, "other:1") == empty


@pytest.mark.parametrize("driver", ["overlay", "copy", pytest.param("fuse", marks=pytest.mark.requires("pyfuse3"))])
def test_its_containers(sandbox: Sandbox, empty: str, driver: str) -> None:
    """There is nothing to run in one; its tree is empty, and holds what comes with the container."""
    words = ("--storage-driver", driver, "--network", "none")
    assert "/none" in sandbox.run("run", *words, "--rm", empty, status=127).stderr
    sandbox.run("create", *words, "--name", "made", empty)
    with sandbox.spawn("export", "made") as exported:
        data, _said = exported.communicate()
    assert exported.returncode == 0
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert [name for name in tar.getnames() if name not in ("", ".")] == []
    (document,) = json.loads(sandbox.run("container", "inspect", "made").stdout)
    assert document["Config"]["Labels"] == {"is": "empty"}


def test_a_base_for_builds(sandbox: Sandbox, empty: str) -> None:
    context = sandbox.home.root / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM empty\nCOPY Dockerfile /file\n")
    sandbox.run("build", "-t", "made", context)
    (document,) = json.loads(sandbox.run("image", "inspect", "made").stdout)
    assert len(document["RootFS"]["Layers"]) == 1
    assert document["Config"]["Labels"] == {"is": "empty"}
    assert _identifier(sandbox, "empty") == empty


def _leave_out(archive: object, name: str) -> None:
    kept = io.BytesIO()
    with tarfile.open(str(archive)) as old, tarfile.open(fileobj=kept, mode="w") as new:
        for member in old:
            if member.name != name:
                new.addfile(member, old.extractfile(member))
    with open(str(archive), "wb") as file:
        file.write(kept.getvalue())
