"""Whole builds compared with what BuildKit makes of the same files: changed paths, removed paths, configuration."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.command import Sandbox
from tests.sandbox.dockerfile.vectors import cases

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.command import Home
    from tests.integration.builder.conftest import Builder

_Tree = dict[str, dict[str, Any]]

pytestmark = [pytest.mark.requires("userns", "subids", "overlay"), pytest.mark.slow]

_CASES = cases("build-conformance.json")
_KINDS = {tarfile.REGTYPE: "file", tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "file"}

#: these have a `# syntax=` line, which the recording replaced in the file it then copied
REWRITTEN = tuple(case["id"] for case in _CASES if "exclude-includes" in case["id"])


#: writes all of RUN's environment into this file; the machine it was recorded on had 172 bytes more in it, as a builder
#: behind a proxy has: BuildKit hands its own proxy variables to every RUN, here only those that are given are there
OF_THE_MACHINE = {"037-ci-pipeline-modified": "env-contents.txt"}
_ENVIRONMENT = (
    "GOPATH=/go\nHOME=/root\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    "PWD=/go/src/github.com/openshift/ocp-release-operator-sdk\nSHLVL=1\n"
)


def _write_context(case: dict[str, Any], root: Path) -> None:
    root.mkdir()
    for entry in case["context"]:
        path = root / entry["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry["type"] == "dir":
            path.mkdir(exist_ok=True)
        elif entry["type"] == "symlink":
            path.symlink_to(entry["link"])
            continue
        else:
            data = base64.b64decode(entry["base64"]) if "base64" in entry else entry.get("text", "").encode()
            path.write_bytes(data)
    for entry in reversed(case["context"]):
        if entry["type"] != "symlink":
            os.chmod(root / entry["path"], int(entry["mode"], 8))


def _merged(sandbox: Sandbox, name: str) -> _Tree:
    """The tree as the vectors describe one."""
    found: _Tree = {}
    out = sandbox.run("create", name, "x").stdout.strip()
    path = sandbox.home.root / "tree.tar"
    sandbox.run("export", "-o", path, out)
    sandbox.run("rm", out)
    with tarfile.open(path) as archive:
        for entry in archive:
            kind = _KINDS.get(entry.type, "other")
            described: dict[str, Any] = {
                "mode": f"{entry.mode:04o}", "uid": entry.uid, "gid": entry.gid, "type": kind
            }  # fmt: skip
            if kind == "file":
                file = archive.extractfile(entry)
                data = file.read() if file else b""
                described |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            elif kind == "symlink":
                described["link"] = entry.linkname
            found[os.path.normpath(entry.name)] = described
    return found


def _plain(entry: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {key: entry[key] for key in ("uid", "gid", "type", "size", "sha256", "link") if key in entry}
    # a symlink has no mode of its own
    return kept if entry["type"] == "symlink" else {**kept, "mode": entry["mode"]}


@pytest.fixture(scope="module")
def base_trees(bases: Home) -> Callable[[str], _Tree]:
    """The tree of a base image, as it was before the builds."""
    return functools.cache(lambda name: _merged(Sandbox(bases), name))


@pytest.mark.parametrize("case", _CASES, ids=[case["id"] for case in _CASES])
def test_as_buildkit_builds_it(
    case: dict[str, Any], builder: Builder, base_trees: Callable[[str], _Tree], tmp_path: Path
) -> None:
    context = tmp_path / "context"
    _write_context(case, context)
    arguments = [word for key, value in case["build_args"].items() for word in ("--build-arg", f"{key}={value}")]
    expect = case["expect"]
    done = builder.sandbox.run(
        "build", "-t", "made", "-f", context / case["dockerfile"], *arguments, context, status=None
    )
    if not expect["ok"]:
        assert done.status == 1, done.stderr
        return
    assert done.status == 0, done.stderr
    made = _merged(builder.sandbox, "made")
    base = {} if expect["base"] == "scratch" else base_trees(expect["base"])
    changed = {path: _plain(entry) for path, entry in made.items() if base.get(path) != entry}
    wanted = {path: _plain(entry) for path, entry in expect["changed"].items()}
    if case["id"] in REWRITTEN:
        assert wanted.pop("subdir/Dockerfile")["mode"] == changed.pop("subdir/Dockerfile")["mode"]
    if case["id"] in OF_THE_MACHINE:
        path = OF_THE_MACHINE[case["id"]]
        wanted[path] |= {"size": len(_ENVIRONMENT), "sha256": hashlib.sha256(_ENVIRONMENT.encode()).hexdigest()}
    assert changed == wanted
    assert sorted(base.keys() - made.keys()) == sorted(expect["removed"])
    config = {key: value for key, value in builder.config().items() if value}
    assert {key: config.get(key) for key in expect["config"]} == expect["config"]
