"""A disk that fills while a step is carried out: one clear error, nothing half-stored, and the next build goes on.

The whole command runs in a forked process of the user namespace, with a small tmpfs for its data: what it would do in
processes of its own there, it does in this one.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.cli.main import main
from sandbox.runtime import user_namespace
from sandbox.runtime.id_maps import IdMap, MapLine
from storage.syscalls import mount

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp", "busybox"), pytest.mark.slow]

_BASE = "FROM scratch\nCOPY busybox /bin/sh\n"
_MIB = 1 << 20


def _here(function: Callable[..., object], *arguments: object, id_map: object = None) -> object:
    return function(*arguments)


def _root_alone() -> IdMap:
    """What can be mapped here without newuidmap: stages are built in processes of their own."""
    return IdMap((MapLine(0, 0, 1),), (MapLine(0, 0, 1),))


def _sandbox(place: str, *words: str) -> tuple[int, str]:
    """Status and talk of one command."""
    env = {
        "HOME": place,
        "XDG_DATA_HOME": f"{place}/data",
        "XDG_RUNTIME_DIR": f"{place}/run",
        "PATH": os.environ["PATH"],
    }
    talk = io.StringIO()
    with redirect_stderr(talk):
        status = main(list(words), env, place, talk, talk)
    return status, talk.getvalue()


def _build_until_full(place: str, context: str) -> dict[str, Any]:
    """In the namespace: a build that has room, one that has none, another that has, and what a check says then."""
    import sandbox.builder.build_image
    import sandbox.upkeep.check  # noqa: F401  # imported, so that it is among those that are changed

    for module in list(sys.modules.values()):
        for name, stand_in in (("call_in_user_namespace", _here), ("find_id_map", _root_alone)):
            if hasattr(module, name) and module.__name__.startswith("sandbox."):
                setattr(module, name, stand_in)
    mount("tmpfs", f"{place}/data", "tmpfs", 0, "size=14m")
    mount("tmpfs", f"{place}/run", "tmpfs", 0, "size=1m")
    base = _sandbox(place, "build", "--network", "none", "-t", "base", "-f", f"{context}/base", context)
    before = _stored(place)
    full = _sandbox(place, "build", "--network", "none", "-t", "full", "-f", f"{context}/full", context)
    after = _stored(place)
    small = _sandbox(place, "build", "--network", "none", "-t", "small", "-f", f"{context}/small", context)
    check = _sandbox(place, "system", "check", "--format", "json")
    return {"base": base, "before": before, "full": full, "after": after, "small": small, "check": check}


def _stored(place: str) -> list[str]:
    """Every file below the store but the database's own."""
    return sorted(
        os.path.join(directory, name)
        for directory, _directories, files in os.walk(f"{place}/data/sandbox")
        for name in files
        if not name.startswith("state.db") and "/cache/" not in directory + "/"
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("RUN cat /dev/zero > /big", "No space left on device", id="RUN"),
        pytest.param("COPY big /big", "No space left on device", id="COPY"),
        pytest.param("COPY medium /big", "the disk is full", id="the layer's archive"),
        pytest.param("RUN head -c 7000000 /dev/zero > /big", "the disk is full", id="the archive of a RUN"),
        pytest.param("RUN i=0; while echo > /f$i; do i=$((i+1)); done; exit 0", "the disk is full", id="inodes"),
    ],
)
def test_a_step_that_fills_the_disk(tmp_path: Path, line: str, said: str) -> None:
    context = tmp_path / "context"
    context.mkdir()
    for place in ("data", "run"):
        (tmp_path / place).mkdir()
    busybox = shutil.which("busybox")
    assert busybox is not None
    shutil.copy(busybox, context / "busybox")
    (context / "big").write_bytes(bytes(20 * _MIB))
    (context / "medium").write_bytes(bytes(7 * _MIB))
    applets = 'SHELL ["/bin/sh", "-c"]\n'
    (context / "base").write_text(_BASE)
    (context / "full").write_text(f"FROM base\n{applets}{line}\n")
    (context / "small").write_text(f"FROM base\n{applets}RUN echo small > /small\n")
    done = user_namespace.call_in_user_namespace(_build_until_full, str(tmp_path), str(context))
    assert isinstance(done, dict)
    assert done["base"][0] == 0, done["base"][1]
    status, talk = done["full"]
    assert status == 1, talk
    assert said in talk
    assert f"3 | {line}" in talk
    assert "Traceback" not in talk
    assert done["after"] == done["before"]
    assert done["small"][0] == 0, done["small"][1]
    assert done["check"][0] == 0, done["check"][1]
    assert '"findings": []' in done["check"][1]
