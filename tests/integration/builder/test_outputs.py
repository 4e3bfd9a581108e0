"""Where a build's result goes: trees, archives, registries, files about it."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.image.hostile import digest_of
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Sandbox
    from tests.integration.builder.conftest import Builder
    from tests.registry import Registry

pytestmark = pytest.mark.requires(*CONTAINER, "busybox", "umoci", "skopeo")

_OCI = "application/vnd.oci.image.manifest.v1+json"
_FILE = """FROM busybox AS made
RUN mkdir -p /out/d && echo 1 > /out/d/f && chown 1000:1000 /out/d/f && chmod 4755 /out/d/f && ln -s /etc/passwd /out/l
FROM scratch
COPY --from=made /out /
ENV A=b
"""


def _run(builder: Builder, *words: str | os.PathLike[str], file: str = _FILE, status: int = 0, **more: Any) -> Any:
    return builder.sandbox.run("build", *words, builder.context({"Dockerfile": file}), status=status, **more)


def _images(builder: Builder) -> set[str]:
    return set(builder.sandbox.run("images", "--format", "{{.Repository}}").lines)


def test_local(builder: Builder, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    out = builder.sandbox.home.root / "out"
    out.mkdir()
    (out / "d").symlink_to(canary)
    (out / "stays").write_text("mine")
    _run(builder, "-t", "not-loaded", "-o", "out")
    assert list(canary.iterdir()) == []
    assert (out / "d/f").read_text() == "1\n"
    status = (out / "d/f").stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (os.getuid(), 0o755)
    assert os.readlink(out / "l") == "/etc/passwd"
    assert (out / "stays").exists()
    assert "not-loaded" not in _images(builder)
    _run(builder, "-o", "type=local,dest=out,mode=delete")
    assert sorted(path.name for path in out.iterdir()) == ["d", "l"]


def test_tar(builder: Builder) -> None:
    words = builder.sandbox.words("build", "-o", "-", builder.context({"Dockerfile": _FILE}))
    done = subprocess.run(words, env=builder.sandbox.env, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        file = tar.getmember("d/f")
        assert (file.uid, file.gid, file.mode) == (1000, 1000, 0o4755)
    _run(builder, "-o", "type=tar,dest=tree.tar")
    assert (builder.sandbox.home.root / "tree.tar").read_bytes() == done.stdout


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_archives_that_others_read(builder: Builder, kind: str) -> None:
    root = builder.sandbox.home.root
    _run(builder, "-t", "app:1", "-o", f"type={kind},dest=image.tar")
    scheme = "oci-archive" if kind == "oci" else "docker-archive"
    shown = json.loads(_skopeo("inspect", "--config", f"{scheme}:{root / 'image.tar'}"))
    assert shown["config"]["Env"][-1] == "A=b"
    assert "app" not in _images(builder)
    loaded = builder.sandbox.run("load", "-i", root / "image.tar")
    assert loaded.lines == ["Loaded image: app:1"]


def test_a_layout_directory(builder: Builder) -> None:
    root = builder.sandbox.home.root
    _run(builder, "-t", "app:1", "-o", "type=oci,tar=false,dest=layout", "--annotation", "manifest-descriptor:k=v")
    assert json.loads((root / "layout/oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads((root / "layout/index.json").read_text())["manifests"]
    assert entry["annotations"]["k"] == "v"
    manifest = (root / "layout/blobs/sha256" / entry["digest"][7:]).read_bytes()
    assert digest_of(manifest) == entry["digest"]
    assert json.loads(_skopeo("inspect", f"oci:{root / 'layout'}:1"))["Digest"] == entry["digest"]


def test_several_at_once(builder: Builder) -> None:
    root = builder.sandbox.home.root
    _run(
        builder,
        "-t",
        "app:1",
        "-t",
        "app:2",
        "-o",
        "out",
        "-o",
        "type=oci,dest=a.tar",
        "-o",
        "type=tar,dest=b.tar",
        "--load",
    )
    assert {"out", "a.tar", "b.tar"} <= {path.name for path in root.iterdir()}
    assert set(builder.sandbox.run("images", "app", "--format", "{{.Tag}}").lines) == {"1", "2"}


def test_push(builder: Builder, registry: Registry) -> None:
    root = builder.sandbox.home.root
    name = f"{registry.host}/pushed"
    _run(
        builder, "-t", f"{name}:1", "-t", f"{registry.host}/other:2", "--push", "--metadata-file", "meta.json",
        "--iidfile", "iid", "--annotation", "a=b",
    )  # fmt: skip
    metadata = json.loads((root / "meta.json").read_text())
    raw = registry.skopeo("inspect", "--raw", f"docker://{name}:1")
    for which in (f"{name}:1", f"{registry.host}/other:2"):
        raw = registry.skopeo("inspect", "--raw", f"docker://{which}")
        assert metadata["containerimage.digest"] == digest_of(raw.encode())
        assert json.loads(raw)["annotations"] == {"a": "b"}
        assert all(layer["mediaType"].endswith("tar+gzip") for layer in json.loads(raw)["layers"])
    assert metadata["containerimage.config.digest"] == json.loads(raw)["config"]["digest"]
    assert metadata["containerimage.descriptor"]["size"] == len(raw)
    assert metadata["image.name"] == f"{name}:1,{registry.host}/other:2"
    assert metadata["buildx.build.ref"].startswith("default/default/")
    assert (root / "iid").read_text() == metadata["containerimage.config.digest"]
    # what a push of the same image says later
    again = builder.sandbox.run("push", f"{name}:1")
    assert f"digest: {metadata['containerimage.digest']} " in again.stdout


def test_push_by_digest(builder: Builder, registry: Registry) -> None:
    name = f"{registry.host}/nameless"
    _run(builder, "-o", f"type=image,name={name},push-by-digest=true,push=true", "--metadata-file", "meta.json")
    digest = json.loads((builder.sandbox.home.root / "meta.json").read_text())["containerimage.digest"]
    assert digest_of(registry.skopeo("inspect", "--raw", f"docker://{name}@{digest}").encode()) == digest
    with pytest.raises(RuntimeError, match="manifest unknown"):
        registry.skopeo("inspect", "--raw", f"docker://{name}:latest")


@pytest.mark.parametrize(
    ("fields", "kind", "layer"),
    [
        ("compression=zstd", _OCI, "application/vnd.oci.image.layer.v1.tar+zstd"),
        ("compression=uncompressed", _OCI, "application/vnd.oci.image.layer.v1.tar"),
        (
            "oci-mediatypes=false", "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ),
    ],
)  # fmt: skip
def test_forms(builder: Builder, registry: Registry, fields: str, kind: str, layer: str) -> None:
    file = "FROM busybox\nRUN echo 1 > /f\n"
    _run(builder, "-t", f"{registry.host}/form:1", "-o", f"type=registry,force-compression=true,{fields}", file=file)
    manifest = json.loads(registry.skopeo("inspect", "--raw", f"docker://{registry.host}/form:1"))
    assert manifest["mediaType"] == kind
    assert {each["mediaType"] for each in manifest["layers"]} == {layer}
    builder.sandbox.run("rmi", f"{registry.host}/form:1")
    assert builder.sandbox.run("run", "--rm", f"{registry.host}/form:1", "cat", "/f").stdout == "1\n"


def test_quiet_prints_the_id(builder: Builder) -> None:
    done = _run(builder, "-q", "-t", "app")
    assert done.stderr == ""
    assert done.lines == builder.sandbox.run("images", "-q", "--no-trunc", "app").lines


def test_the_same_input_gives_the_same_digest(
    request: pytest.FixtureRequest, builder: Builder, sandbox: Sandbox, busybox_layout: Path
) -> None:
    """Twice without the cache, and in another store with other times of the context's files."""
    from tests.command import Home
    from tests.command import Sandbox as Command
    from tests.integration.builder.conftest import load_layout

    file = "FROM base\nCOPY f /d/f\nRUN date > /dev/null && mkdir /new && echo 1 > /new/file\nWORKDIR /w/x\nLABEL a=b\n"
    digests = []
    other = Home.make(request.config.getoption("--storage-driver"))
    try:
        for number, command in enumerate((sandbox, sandbox, Command(other))):
            load_layout(command, busybox_layout, "base")
            context = command.home.root / f"same{number}"
            context.mkdir()
            (context / "Dockerfile").write_text(file)
            (context / "f").write_text("content")
            os.utime(context / "f", (1_800_000_000 + number, 1_800_000_000 + number))
            (context / "f").chmod(0o644)
            command.run(
                "build", "--no-cache", "--metadata-file", "m", "-o", "type=image,rewrite-timestamp=true", context,
                env={"SOURCE_DATE_EPOCH": "1700000000"},
            )  # fmt: skip
            digests.append(json.loads((command.home.root / "m").read_text())["containerimage.digest"])
            config = json.loads(command.run("image", "inspect", digests[-1]).stdout)[0]
            assert config["Created"] == "2023-11-14T22:13:20Z"
    finally:
        other.remove()
    assert len(set(digests)) == 1


def test_files_keep_their_times_unless_rewritten(builder: Builder) -> None:
    builder.build({"Dockerfile": "FROM busybox\nRUN echo > /f\n"}, "--build-arg", "SOURCE_DATE_EPOCH=1000")
    assert builder.tree()["f"].mtime > 1_000_000_000
    builder.build(
        {"Dockerfile": "FROM busybox\nRUN echo > /f\n"}, "--build-arg", "SOURCE_DATE_EPOCH=1000", "-o",
        "type=docker,rewrite-timestamp=true",
    )  # fmt: skip
    assert builder.tree()["f"].mtime == 1000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--provenance=true"], "a provenance attestation is not made"),
        (["--provenance"], "a provenance attestation is not made"),
        (["--sbom=true"], "a software bill of materials is not made"),
        (["--attest", "type=sbom"], "no attestation is made"),
        (["--squash"], "layers are not squashed"),
        (["-m", "1g"], "the steps of a build cannot be limited"),
        (["--isolation", "hyperv"], "only default"),
        (["--security-opt", "seccomp=unconfined"], "default profile"),
        (["--allow", "security.insecure"], "no more rights than a container"),
        (["--allow", "device=vendor.example/class"], "a build gets no devices"),
        (["--allow", "network.hots"], "no such entitlement"),
        (["--builder", "other"], "no builder 'other' found"),
    ],
)
def test_what_cannot_be_had(builder: Builder, words: list[str], said: str) -> None:
    assert said in builder.sandbox.run("build", *words, ".", status=None).stderr


def test_what_is_accepted_out_of_habit(builder: Builder) -> None:
    _run(
        builder, "--rm", "--rm=false", "--force-rm", "--compress", "--provenance=false", "--sbom=false", "--attest",
        "type=provenance,disabled=true", "--allow", "network.host", "--builder", "default", "--isolation=default", "-q",
    )  # fmt: skip


def _skopeo(*words: str) -> str:
    done = subprocess.run(["skopeo", "--insecure-policy", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
