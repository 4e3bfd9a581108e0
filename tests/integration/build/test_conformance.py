"""Whole builds compared with what BuildKit makes of the same files: changed paths, removed paths, configuration."""

from __future__ import annotations

import base64
import hashlib
import os
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.build.vectors import cases

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.build.conftest import Builder

pytestmark = [pytest.mark.requires("userns", "subids", "overlay"), pytest.mark.slow]

_CASES = cases("build-conformance.json")
_KINDS = {tarfile.REGTYPE: "file", tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "file"}

#: not yet as BuildKit has it, each with the reason
NOT_YET: dict[str, str] = {
    "037-ci-pipeline-modified": "compares RUN's whole environment with that of the recording host",
    "071-add--exclude-includes-star": "not built yet: --exclude compared with the Dockerfile as the suite rewrote it",
    "072-add--exclude-includes-slash": "not built yet: as 071",
    "073-add--exclude-includes-dot": "not built yet: as 071",
    "074-copy--exclude-includes-subdir-slash": "not built yet: as 071",
    "075-copy--exclude-includes-dot-slash": "not built yet: as 071",
    "076-copy--exclude-includes-slash": "not built yet: as 071",
    **dict.fromkeys((case["id"] for case in _CASES if "copy--parents" in case["id"]), "not built yet: COPY --parents"),
    "130-add-parent-clean": "not built yet: an archive whose symlink leads to where its files go",
    "138-add-dir-not-dir": "not built yet: an archive whose first entry has the name of its root",
    "139-add-not-dir-dir": "not built yet: as 138",
}


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


def _merged(builder: Builder, name: str) -> dict[str, dict[str, Any]]:
    """The tree as the vectors describe one."""
    found: dict[str, dict[str, Any]] = {}
    out = builder.sandbox.run("create", name, "x").stdout.strip()
    path = builder.sandbox.home.root / "tree.tar"
    builder.sandbox.run("export", "-o", path, out)
    builder.sandbox.run("rm", out)
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


@pytest.mark.parametrize("case", _CASES, ids=[case["id"] for case in _CASES])
def test_as_buildkit_builds_it(case: dict[str, Any], builder: Builder, tmp_path: Path) -> None:
    if case["id"] in NOT_YET:
        pytest.xfail(NOT_YET[case["id"]])
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
    made = _merged(builder, "made")
    base = {} if expect["base"] == "scratch" else _merged(builder, expect["base"])
    changed = {path: _plain(entry) for path, entry in made.items() if base.get(path) != entry}
    assert changed == {path: _plain(entry) for path, entry in expect["changed"].items()}
    assert sorted(base.keys() - made.keys()) == sorted(expect["removed"])
    config = {key: value for key, value in builder.config().items() if value}
    assert {key: config.get(key) for key in expect["config"]} == expect["config"]
