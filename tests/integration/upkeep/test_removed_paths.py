"""Each path of the store is removed in turn: no command loses anything more, those that need it name the mend, and the
repair brings back whatever can be had again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.upkeep.conftest import Store

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp", "umoci", "busybox"), pytest.mark.slow]

_MEND = "  mend: sandbox system check --repair"
#: each needs another part of the store; none is asked to remove what a person made
_COMMANDS = (
    ("ps", "-a"), ("images",), ("inspect", "job"), ("history", "made"), ("logs", "job"), ("system", "df"), ("info",),
    ("run", "--rm", "--network", "none", "-v", "kept:/kept", "made", "cat", "/made/link"),
    ("start", "-a", "job"), ("export", "-o", "/dev/null", "job"), ("save", "-o", "/dev/null", "made"),
    ("build", "-q", "-"), ("tag", "made", "made:again"), ("rmi", "made:again"), ("image", "prune", "-f"),
    ("system", "check"),
)  # fmt: skip
#: what was in a directory that was removed, and cannot be had again from anything
_CONTENT = ("containers", "volumes")


def _listing(store: Store) -> set[str]:
    """Every path of the store but those that come and go with each command."""
    found = {str(path.relative_to(store.root)) for path in store.root.glob("*")}
    for pattern in (
        "blobs/sha256/*",
        "layers/*",
        "layers/*/*",
        "containers/*",
        "containers/*/*",
        "volumes/**/*",
        "images/*",
    ):
        found |= {str(path.relative_to(store.root)) for path in store.root.glob(pattern)}
    return {name for name in found if not name.startswith("state.db-") and name != "layers/.stage"}


def _objects(store: Store) -> dict[str, object]:
    run = store.sandbox.run
    return {
        "images": sorted(run("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").lines),
        "containers": run("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Image}}").lines,
        "volumes": store.query("SELECT name FROM volume"),
    }


def _try_without(store: Store, name: str) -> list[object]:
    """Remove the path `name`, run every command, repair, and put the path back; what went wrong."""
    objects, before = _objects(store), _listing(store)
    backup = store.sandbox.home.root / "backup"
    store.in_namespace('cp -a "$1" "$2"', store.root, backup)
    store.in_namespace('rm -r "$1"', store.root / name)
    left = {path for path in before if path != name and not path.startswith(f"{name}/")}
    wrong: list[object] = []
    for words in _COMMANDS:
        done = store.sandbox.run(*words, status=None, input="FROM made\nRUN echo new >/new\n")
        lines = done.stderr.splitlines()
        named = any(line.startswith(_MEND) for line in lines) or words[0] == "system"
        if "Traceback" in done.stderr or (done.status != 0 and not named):
            wrong.append((name, words, done.stdout, done.stderr))
        if not left <= _listing(store):
            wrong.append((name, words, "lost", left - _listing(store)))
    store.sandbox.run("system", "check", "--repair", status=None)
    again = store.sandbox.run("system", "check", status=None)
    # the archive of a layer that was loaded, and not made here, is had from nowhere; the image runs without
    if again.status != 0 and not (name.startswith("blobs") and "archive" in again.stdout):
        wrong.append((name, "repaired", again.stdout, again.stderr))
    if not left <= _listing(store) or _objects(store) != objects:
        wrong.append((name, "repaired", left - _listing(store), objects, _objects(store)))
    job = store.sandbox.run("start", "-a", "job", status=None)
    if job.status != 0 and name.split("/")[0] not in _CONTENT:
        wrong.append((name, "start", job.stderr))
    store.in_namespace('rm -r "$1"; mv "$2" "$1"', store.root, backup)
    return wrong


def test_without_each_directory(store: Store) -> None:
    # those of blobs, images and of the database have tests of their own, of the same things
    for name in ("layers", "containers", "volumes"):
        assert _try_without(store, name) == []


@pytest.mark.long
def test_without_each_path(store: Store) -> None:
    names = sorted(_listing(store))
    assert len(names) > 25
    assert [found for name in names for found in _try_without(store, name)] == []
