"""What build tests share: a home with base images in it, contexts of given files, and a look into what was built."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Finished, Home, Sandbox
    from tests.conftest import FilledHome

#: what the stand-ins of the vectors have beside busybox
_BASE = """FROM busybox
RUN mkdir -p /usr /var && touch /etc/os-release && sed -i s/daemon:x:1:1:/daemon:x:2:2:/ /etc/passwd \\
 && sed -i s/daemon:x:1:/daemon:x:2:/ /etc/group
"""


@pytest.fixture(scope="session")
def bases(filled_home: FilledHome, busybox_layout: Path) -> Iterator[Home]:
    """A home with `busybox` and `alpine` (the same tree, another command) in its store. No test builds in it."""

    def fill(sandbox: Sandbox) -> None:
        load_layout(sandbox, busybox_layout, "busybox")
        sandbox.run("build", "-q", "-t", "busybox", "-", input=_BASE)
        sandbox.run("build", "-t", "alpine", "-", input='FROM busybox\nCMD ["/bin/sh"]\n')

    with filled_home(fill) as home:
        yield home


@pytest.fixture
def builder(sandbox: Sandbox, bases: Home) -> Builder:
    """The command, with a copy of the store of `bases`."""
    sandbox.home.take_store_of(bases)
    return Builder(sandbox)


def load_layout(sandbox: Sandbox, layout: Path, *names: str) -> None:
    """Load an OCI layout and give its image names."""
    archive = subprocess.run(["tar", "-C", str(layout), "-cf", "-", "."], capture_output=True, check=True).stdout
    loaded = sandbox.run("load", input=archive)
    image = loaded.stdout.split()[-1]
    for name in names:
        sandbox.run("tag", image, name)


class Builder:
    """Builds, and reads what came out."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._contexts = 0

    def context(self, files: dict[str, str | bytes]) -> Path:
        """A new directory with these files; a text that begins with `-> ` is a symlink."""
        self._contexts += 1
        root = self.sandbox.home.root / f"context{self._contexts}"
        root.mkdir()
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str) and content.startswith("-> "):
                path.symlink_to(content.removeprefix("-> "))
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    def build(self, files: dict[str, str | bytes], *options: str, status: int = 0) -> Finished:
        """Build a context of these files as `made`."""
        return self.sandbox.run("build", "-t", "made", *options, self.context(files), status=status)

    def config(self, name: str = "made") -> dict[str, Any]:
        """The image's `config`."""
        config: dict[str, Any] = json.loads(self.sandbox.run("image", "inspect", name).stdout)[0]["Config"]
        return config

    def run(self, *command: str, name: str = "made") -> str:
        """What a command in the image prints."""
        return self.sandbox.run("run", "--rm", name, *command).stdout

    def layers(self, name: str = "made") -> list[tarfile.TarFile]:
        """The layers' archives, lowest first."""
        path = self.sandbox.home.root / "saved.tar"
        self.sandbox.run("save", "-o", path, name)
        with tarfile.open(path) as archive:
            (manifest,) = json.loads(_read(archive, "manifest.json"))
            return [tarfile.open(fileobj=io.BytesIO(_read(archive, layer))) for layer in manifest["Layers"]]

    def tree(self, name: str = "made") -> dict[str, tarfile.TarInfo]:
        """The merged tree: every path with its last entry."""
        found: dict[str, tarfile.TarInfo] = {}
        for archive in self.layers(name):
            whited = []
            for entry in archive:
                path = os.path.normpath(entry.name)
                directory, base = os.path.split(path)
                if base == ".wh..wh..opq":
                    whited += [other for other in found if other.startswith(f"{directory}/")]
                elif base.startswith(".wh."):
                    gone = os.path.join(directory, base.removeprefix(".wh."))
                    whited += [other for other in found if other == gone or other.startswith(f"{gone}/")]
            for gone in whited:
                found.pop(gone, None)
            for entry in archive:
                path = os.path.normpath(entry.name)
                if not os.path.basename(path).startswith(".wh.") and path != ".":
                    found[path] = entry
        return found


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()
