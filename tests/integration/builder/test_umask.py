"""The caller's umask: it reaches neither an image, nor a container, nor the store, whatever makes a thing there."""

from __future__ import annotations

import io
import os
import re
import stat
import subprocess
import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.command import Home, Sandbox
from tests.integration.builder.conftest import Builder, load_layout
from tests.subordinate import run_as_namespace_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Finished

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp"), pytest.mark.slow]

#: every way in which a build makes a directory or a file that nothing describes
_FILE = """FROM scratch AS empty
COPY f /from-scratch/f
FROM busybox
WORKDIR /workdir/a
WORKDIR b
COPY f /copied/to/f
COPY f /copied-into/
COPY --parents d/e/f /parents/
COPY --link f /linked/to/f
COPY --chmod=u=rwX,go=rX d /changed/d
COPY --from=empty / /stage/root/
ADD a.tar /unpacked/here/
COPY <<one <<two /heredocs/
1
one
2
two
RUN --mount=type=cache,target=/cache/at --mount=type=tmpfs,target=/temporary/at --mount=target=/context/at \\
    --mount=type=secret,id=s,target=/secret/at touch /run-made && mkdir /run-made-d && \\
    stat -c '%a %n' /cache /cache/at /temporary /context /secret > /modes
USER 1000
WORKDIR /owned/by/user
RUN touch here && ls /workdir/a/b /copied/to /heredocs /parents/d/e /linked/to /unpacked/here/implied /stage/root
"""
_MODES = "755 /cache\n755 /cache/at\n755 /temporary\n755 /context\n755 /secret\n"
_FILES = {
    "copied/to/f", "copied-into/f", "parents/d/e/f", "linked/to/f", "changed/d/e/f",
    "stage/root/from-scratch/f", "unpacked/here/implied/f", "heredocs/one", "heredocs/two", "run-made", "modes",
    "owned/by/user/here",
}  # fmt: skip


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _context(builder: Builder) -> Path:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        entry = tarfile.TarInfo("implied/f")
        entry.mode = 0o644
        archive.addfile(entry)
    context = builder.context({"Dockerfile": _FILE, "f": "", "d/e/f": "", "a.tar": data.getvalue()})
    for path in (context, *context.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return context


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o027, 0o077])
def test_what_a_build_makes(builder: Builder, mask: int) -> None:
    context = _context(builder)
    with _umask(mask):
        builder.sandbox.run("build", "-t", "made", "--secret", "id=s,env=S", context, env={"S": ""})
        modes = builder.run("cat", "/modes")
        if mask in (0o000, 0o077):
            archive = subprocess.run(["tar", "-C", context, "-c", "."], capture_output=True, check=True).stdout
            builder.sandbox.run("build", "-t", "again", "--secret", "id=s,env=S", "-", input=archive, env={"S": ""})
    assert modes == _MODES
    base = builder.tree("busybox").keys()
    for name in ("made", "again") if mask in (0o000, 0o077) else ("made",):
        found = {
            path: entry.mode for path, entry in builder.tree(name).items() if path not in base and not entry.issym()
        }
        assert {path for path in found if path in _FILES} == _FILES
        assert {mode for path, mode in found.items() if path in _FILES} == {0o644}
        assert {path: mode for path, mode in found.items() if path not in _FILES and mode != 0o755} == {}


_VOLUMES = """FROM busybox
RUN mkdir -m 700 /data && mkfifo -m 666 /data/pipe && echo x > /data/f && chmod 640 /data/f
VOLUME /data
"""
_INSIDE = (
    "stat -c '%a %n' /v /data /data/pipe /data/f /deep /deep/mount /deep/file /temporary /temporary/at . /dev && "
    "umask && touch /data/made && mkdir /made"
)
_SEEN = (
    "755 /v\n700 /data\n666 /data/pipe\n640 /data/f\n755 /deep\n755 /deep/mount\n644 /deep/file\n755 /temporary\n"
    "1777 /temporary/at\n755 .\n755 /dev\n0022\n"
)
_MADE = ("deep", "deep/mount", "temporary", "v", "made", "made-for", "made-for/it")


def _use_everything(sandbox: Sandbox, layout: Path) -> Finished:
    """Bring every kind of thing into the store; what a container with mounts at new places prints."""
    load_layout(sandbox, layout, "busybox")
    (sandbox.home.root / "context").mkdir()
    (sandbox.home.root / "context").chmod(0o755)
    (sandbox.home.root / "file").write_text("")
    (sandbox.home.root / "file").chmod(0o644)
    sandbox.run("build", "-t", "made", "-f", "-", sandbox.home.root / "context", input=_VOLUMES)
    with tarfile.open(sandbox.home.root / "tree.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("implied/f"))
    sandbox.run("import", sandbox.home.root / "tree.tar", "imported")
    context, file = sandbox.home.root / "context", sandbox.home.root / "file"
    mounts = ("-v", "named:/v", "-v", f"{context}:/deep/mount:ro", "-v", f"{file}:/deep/file:ro")
    words = (*mounts, "--tmpfs", "/temporary/at", "-w", "/made-for/it")
    done = sandbox.run("run", "--name", "web", *words, "made", "sh", "-c", _INSIDE)
    sandbox.run("save", "-o", sandbox.home.root / "saved.tar", "made")
    return done


def _store(sandbox: Sandbox) -> dict[str, str]:
    """Kind and mode of everything in the store, with ids and other names that are never the same left out."""
    listed = run_as_namespace_root(["find", sandbox.home.data, "-printf", "%P %y %m\n"]).stdout
    found = {}
    for line in listed.splitlines():
        path, kind, mode = line.rsplit(" ", 2)
        found[re.sub("[0-9a-f]{32,}", "ID", path)] = f"{kind} {mode}"
    return found


def test_what_is_in_the_store(busybox_layout: Path, request: pytest.FixtureRequest) -> None:
    stores = []
    for mask in (0o022, 0o000, 0o077):
        home = Home.make(request.config.getoption("--storage-driver"))
        try:
            with _umask(mask):
                sandbox = Sandbox(home)
                assert _use_everything(sandbox, busybox_layout).stdout == _SEEN
                stores.append(_store(sandbox))
                sandbox.run("export", "-o", home.root / "exported.tar", "web")
            with tarfile.open(home.root / "exported.tar") as archive:
                modes = {entry.name.strip("./"): entry.mode for entry in archive}
            assert {modes[name] for name in _MADE} == {0o755}
            # what a person gets is theirs to say who may read
            assert stat.S_IMODE((home.root / "saved.tar").stat().st_mode) & mask == 0
        finally:
            home.remove()
    for other in stores[1:]:
        differing = {path: (mode, other.get(path)) for path, mode in stores[0].items() if other.get(path) != mode}
        assert differing == {}
