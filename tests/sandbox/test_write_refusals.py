"""Why something cannot be written: a real mode, a real mount, the real command."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandbox.write_refusals import explain_database, explain_refusal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Sandbox

_READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


def test_what_may_be_written_is_not_explained(tmp_path: Path) -> None:
    assert explain_refusal(str(tmp_path)) == ("", "")
    assert explain_refusal(str(tmp_path / "not/there")) == ("", "")


def test_a_mode_that_forbids_it(tmp_path: Path) -> None:
    directory = tmp_path / "a b"
    directory.mkdir(mode=0o500)
    cause, mend = explain_refusal(str(directory))
    for path in (directory, directory / "not/there"):
        assert explain_refusal(str(path)) == (cause, mend)
        assert cause.startswith(f"you may not write {directory}, of ")
        assert cause.endswith("mode 0500")
        assert mend == f"chmod u+rw '{directory}'; or export XDG_DATA_HOME=DIRECTORY, one that you can write"
    subprocess.run(mend.partition(";")[0], shell=True, check=True)
    assert os.access(directory, os.W_OK)


def test_what_sqlite_keeps_beside_a_database_counts(tmp_path: Path) -> None:
    """It has the mode that the database had when it was made, and keeps it when that is mended."""
    database = tmp_path / "state.db"
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"state.db{suffix}").touch(0o600)
    assert explain_database(str(database)) == ("", "")
    (tmp_path / "state.db-shm").chmod(0o400)
    cause, mend = explain_database(str(database))
    assert "state.db-shm, of " in cause
    assert mend.startswith(f"chmod u+rw {database}-shm; or ")


@pytest.mark.requires("userns")
def test_a_read_only_home_names_its_mount(sandbox: Sandbox) -> None:
    sandbox.run("ps")
    root = str(sandbox.home.root)
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _READ_ONLY, root]
    for command in (("tag", "a", "b"), ("rm", "a"), ("rmi", "a")):
        done = subprocess.run(
            [*words, *sandbox.words(*command)], env=sandbox.env, capture_output=True, text=True, check=False
        )
        assert done.returncode
        *_, what, cause, mend = done.stderr.splitlines()
        assert f"{root}/data/sandbox/" in what
        assert cause.startswith(f"  cause: {root} is mounted read-only")
        assert mend.startswith(f"  mend: sudo mount -o remount,rw {root}; or export XDG_DATA_HOME=")
