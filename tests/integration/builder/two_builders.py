"""The product and Debian's buildah beside each other: the same bases, the same contexts, what each makes of them."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.command import Home, Sandbox
from tests.subordinate import run_as_namespace_root

if TYPE_CHECKING:
    from collections.abc import Mapping

Tree = dict[str, dict[str, Any]]

_STORAGE = '[storage]\ndriver = "overlay"\nrunroot = "{run}"\ngraphroot = "{root}"\n'
_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'


def merged(directories: list[str], base: Path | None = None) -> Tree:
    """What layer directories are when laid over each other, lowest first, or over a tree that was merged before."""
    script = Path(__file__).with_name("layer_trees.py")
    done = run_as_namespace_root([sys.executable, str(script), str(base or "-"), *directories])
    tree: Tree = json.loads(done.stdout)
    return tree


class Ours:
    """The product, in a home of its own."""

    def __init__(self, storage_driver: str) -> None:
        self.home = Home.make(storage_driver)
        self.sandbox = Sandbox(self.home)

    def close(self) -> None:
        self.home.remove()

    def build(self, context: Path, name: str, options: tuple[str, ...]) -> None:
        self.sandbox.run("build", "--network", "none", "-t", name, *options, context)

    def layers(self, name: str) -> list[str]:
        """The layers' directories, lowest first."""
        statement = "SELECT layers FROM image JOIN image_name ON image_id = id WHERE name = ?"
        with contextlib.closing(sqlite3.connect(self.home.data / "sandbox/state.db")) as connection:
            ((text,),) = connection.execute(statement, (f"docker.io/library/{name}:latest",))
        return [f"{self.home.data}/sandbox/layers/{chain_id[7:]}/diff" for chain_id in json.loads(text)]

    def config(self, name: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.sandbox.run("image", "inspect", name).stdout)[0]["Config"]
        return document

    def run(self, name: str, command: str) -> str:
        return self.sandbox.run("run", "--rm", "--network", "none", "--entrypoint", "sh", name, "-c", command).stdout


class Buildah:
    """`buildah bud`, in a home of its own."""

    def __init__(self) -> None:
        self.home = Home.make()
        self._root = f"{self.home.data}/storage"
        config = self.home.config / "containers"
        config.mkdir()
        (config / "storage.conf").write_text(_STORAGE.format(run=f"{self.home.runtime}/c", root=self._root))
        (config / "policy.json").write_text(_POLICY)
        (config / "registries.conf").write_text("unqualified-search-registries = []\n")
        names = ("PATH", "HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")
        # its cache mounts lie in TMPDIR, which the users of a machine would share in /var/tmp
        temporary = self.home.root / "tmp"
        temporary.mkdir()
        kept = {name: value for name, value in self.home.env.items() if name in names}
        self._env: Mapping[str, str] = {**kept, "TMPDIR": str(temporary)}

    def close(self) -> None:
        self.home.remove()

    def load(self, source: str, name: str) -> None:
        """Take over an image that skopeo can read."""
        self._run("skopeo", "copy", "-q", source, f"containers-storage:docker.io/library/{name}:latest")

    def tag(self, name: str, other: str) -> None:
        """Give a base another name."""
        self._run("buildah", "tag", f"docker.io/library/{name}", f"docker.io/library/{other}")

    def build(self, context: Path, name: str, options: tuple[str, ...]) -> None:
        own = context / "Dockerfile.buildah"
        self._run(
            "buildah", "bud", "-q", "--isolation", "chroot", "--pull-never", "--format", "docker",
            "-f", str(own if own.exists() else context / "Dockerfile"), "-t", name, *options, str(context),
        )  # fmt: skip

    def layers(self, name: str) -> list[str]:
        """The layers' directories, lowest first."""
        wanted = (f"localhost/{name}:latest", f"docker.io/library/{name}:latest")
        images = json.loads(Path(f"{self._root}/overlay-images/images.json").read_text())
        parents = {
            layer["id"]: layer.get("parent", "")
            for layer in json.loads(Path(f"{self._root}/overlay-layers/layers.json").read_text())
        }
        layer = next(image["layer"] for image in images if set(wanted) & set(image.get("names") or ()))
        found = []
        while layer:
            found.append(f"{self._root}/overlay/{layer}/diff")
            layer = parents[layer]
        return found[::-1]

    def config(self, name: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self._run("buildah", "inspect", "--type", "image", name))["Docker"]
        config: dict[str, Any] = document["config"]
        return config

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            words, env=dict(self._env), cwd=self.home.root, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout


class Pair:
    """Both, with the bases loaded that were asked for."""

    def __init__(self, layouts: Mapping[str, Path], storage_driver: str) -> None:
        self._layouts = layouts
        self.ours, self.buildah = Ours(storage_driver), Buildah()
        self._bases: dict[str, Path] = {}

    def close(self) -> None:
        self.ours.close()
        self.buildah.close()

    def need(self, base: str) -> None:
        """Load a base into both stores, once. A base of BASES is built on its layout first."""
        if base in self._bases:
            return
        if base in ALIASES:
            known = ALIASES[base]
            self.need(known)
            self.ours.sandbox.run("tag", known, base)
            self.buildah.tag(known, base)
            self._bases[base] = self._bases[known]
            return
        layout, text = BASES[base]
        archive = self.ours.home.root / "base.tar"
        subprocess.run(["tar", "-C", str(self._layouts[layout]), "-cf", str(archive), "."], check=True)
        image = self.ours.sandbox.run("load", "-i", archive).stdout.split()[-1]
        self.ours.sandbox.run("tag", image, f"{base}-layout")
        self.ours.sandbox.run("build", "--network", "none", "-t", base, "-", input=f"FROM {base}-layout\n{text}")
        archive.unlink()
        self.ours.sandbox.run("save", "-o", archive, base)
        self.buildah.load(f"docker-archive:{archive}", base)
        archive.unlink()
        # read once: a change is laid over it
        self._bases[base] = self.ours.home.root / f"{base}.json"
        self._bases[base].write_text(json.dumps(merged(self.ours.layers(base))))

    def trees(self, base: str, name: str) -> tuple[Tree, Tree]:
        """What each made of `name`, whose last stage stands on `base` ("" for scratch)."""
        ours, theirs = self.ours.layers(name), self.buildah.layers(name)
        if not base:
            return merged(ours), merged(theirs)
        below = self._bases[base]
        return (
            merged(ours[len(self.ours.layers(base)) :], below),
            merged(theirs[len(self.buildah.layers(base)) :], below),
        )


#: base -> the layout it stands on, and what is done to that
BASES: dict[str, tuple[str, str]] = {
    "busybox": ("busybox", "RUN echo app:x:1001:1001::/:/bin/sh >> /etc/passwd && echo app:x:1001: >> /etc/group\n"),
    "python": (
        "debian",
        r"""RUN ln -s python3 /usr/bin/python && rm -f /usr/lib/python3*/EXTERNALLY-MANAGED
RUN printf '#!/bin/sh\nexec python3 $(echo /usr/share/python-wheels/pip-*.whl)/pip "$@"\n' > /usr/local/bin/pip
RUN chmod 755 /usr/local/bin/pip
ENV PYTHONDONTWRITEBYTECODE=1 PIP_COMPILE=0 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
CMD ["python3"]
""",
    ),
    "gcc": ("gcc", 'CMD ["bash"]\n'),
}
#: other names: the tree of `python` has nginx too
ALIASES = {"nginx": "python"}
