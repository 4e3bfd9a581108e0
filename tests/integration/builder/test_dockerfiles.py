"""Dockerfiles as people write them, each built by the product and by Debian's `buildah bud`: the same configuration,
and the same tree with kinds, modes, owners, sizes, contents, symlinks and xattrs.

Where the two differ the reason is written beside the case, or below where it concerns many; a difference that has gone
makes the test fail as well, so that no reason outlives its cause.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests import images
from tests.integration.builder.case_files import Case, read_cases, write_context
from tests.integration.builder.two_builders import ALIASES, BASES, Pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.builder.two_builders import Tree

pytestmark = [
    pytest.mark.requires("userns", "subids", "overlay", "seccomp", "buildah", "skopeo", "umoci", "mmdebstrap"),
    pytest.mark.slow,
    pytest.mark.timeout(600),
]
_CASES = read_cases()

#: what buildah leaves in every image: it mounts over these while a RUN goes, and makes them where they are missing
_BUILDAH_LEAVES = frozenset({"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run", "/proc", "/sys", "/dev"})
#: members of a configuration that say nothing of the Dockerfile: an accident of its making, or Docker's old ones
_UNTOLD = frozenset({
    "Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce", "Image",
    "ArgsEscaped",
})  # fmt: skip


@pytest.fixture(scope="module")
def pair(
    request: pytest.FixtureRequest, busybox_layout: Path, debian_layout: Path, image_cache: Path
) -> Iterator[Pair]:
    layouts = {"busybox": busybox_layout, "debian": debian_layout, "gcc": images.cached(image_cache, images.GCC)}
    both = Pair(layouts, request.config.getoption("--storage-driver"))
    both.need("busybox")
    yield both
    both.close()


def _parametrized(case: Case) -> Any:  # Any: pytest's own
    return pytest.param(case, id=case.name, marks=[pytest.mark.long] if case.is_long else [])


@pytest.mark.parametrize("case", [_parametrized(case) for case in _CASES])
def test_as_buildah_builds_it(case: Case, pair: Pair, tmp_path: Path) -> None:
    for base in case.bases:
        pair.need(base)
    context = tmp_path / "context"
    write_context(case, context)
    name = f"case-{case.name}"
    pair.ours.build(context, name, case.options)
    pair.buildah.build(context, name, case.options)
    if case.run:
        assert pair.ours.run(name, case.run) == case.output
    ours, theirs = pair.trees(_last_base(case), name)
    found = {f"tree {path}": difference for path, difference in _tree_differences(ours, theirs).items()}
    config, other = _plain(pair.ours.config(name)), _plain(pair.buildah.config(name))
    found |= {
        f"config {key}": (config.get(key), other.get(key))
        for key in config.keys() | other.keys()
        if config.get(key) != other.get(key)
    }
    unexplained = {key: value for key, value in found.items() if key not in case.differences}
    assert unexplained == {}
    assert case.differences.keys() - found.keys() == set()


def test_there_are_enough_of_them() -> None:
    assert len(_CASES) >= 40


def _last_base(case: Case) -> str:
    """The base on which the last stage stands, through stages that stand on stages."""
    (text,) = (file.content for file in case.files if file.name == "Dockerfile")
    stages: dict[str, str] = {}
    base = ""
    for match in re.finditer(r"(?im)^from\s+(?:--platform=\S+\s+)?(\S+)(?:\s+as\s+(\S+))?", text):
        base = stages.get(match[1].lower(), match[1])
        if match[2]:
            stages[match[2].lower()] = base
    return "" if base == "scratch" else next(known for known in (*BASES, *ALIASES) if known == base.partition(":")[0])


def _tree_differences(ours: Tree, theirs: Tree) -> dict[str, tuple[object, object]]:
    return {
        path: (ours.get(path), theirs.get(path))
        for path in ours.keys() | theirs.keys()
        if ours.get(path) != theirs.get(path) and not (path in _BUILDAH_LEAVES and path not in ours)
    }


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in config.items() if value and key not in _UNTOLD}
    labels = {key: value for key, value in (kept.pop("Labels", None) or {}).items() if key != "io.buildah.version"}
    if kept.get("WorkingDir") == "/":
        # what no word of it means too: buildah says nothing of it in some versions
        del kept["WorkingDir"]
    if "Env" in kept:
        # variables of one environment have no order
        kept["Env"] = sorted(kept["Env"])
    return {**kept, "Labels": labels} if labels else kept
