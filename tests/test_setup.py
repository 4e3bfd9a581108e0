"""The set-up that ./demo and ./check share, with stand-ins for what only root may run."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.needs import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

_LOG = 'echo "${0##*/} $*" >>"$PLACE/log"\n'
#: name -> the rest of a script that first records how it was called
_STAND_INS = {
    "sudo": '[ "$1" != -n ] || shift; exec "$@"',
    "apt-get": 'echo "apt says a lot"; echo "and more" >&2; case $* in *install*) : >"$PLACE/installed" ;; esac',
    "apt-cache": "",
    "dpkg-query": '[ ! -e "$PLACE/installed" ] || printf installed',
    "usermod": "",
    "getsubids": "",
    "mknod": "",
    "chmod": "",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, rest in _STAND_INS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{_LOG}{rest}\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def _run(place: Path, script: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PLACE": str(place), "PATH": f"{place}:/usr/bin:/bin", "HOME": str(place)}
    env.pop("SANDBOX_SETUP", None)
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f'here={REPOSITORY}; . "$here/.ci/setup.sh"; {script}'],
        env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip


def test_sudo_fetches_the_lists_first_and_says_little(place: Path) -> None:
    done = _run(place, 'setup_host "one two"')
    calls = [line for line in (place / "log").read_text().splitlines() if line.startswith("apt-get")]
    assert calls[0] == "apt-get -qq update"
    assert calls[1].startswith("apt-get install -y")
    assert calls[1].endswith(" one two")
    assert len(calls) == 2
    assert "installing one two" in done.stderr
    assert "apt says" not in done.stdout + done.stderr
    assert "and more" not in done.stdout + done.stderr


def test_without_sudo_the_printed_line_fetches_them_too(place: Path) -> None:
    (place / "sudo").write_text("#!/bin/sh\nexit 1\n")
    done = _run(place, 'setup_host "one two"')
    line = next(line.strip() for line in done.stderr.splitlines() if line.strip().startswith("sudo sh -c"))
    assert line.startswith("sudo sh -c 'apt-get update && apt-get install -y one two")
    assert not any(call.startswith("apt-get") for call in (place / "log").read_text().splitlines())


def test_devices_that_are_missing_or_closed_are_in_the_line(place: Path) -> None:
    """Their names are those of a directory here, since nobody but root may take the real ones away."""
    (place / "fuse").touch(mode=0o000)
    script = f'eval "$(declare -f device_commands closed_devices | sed s,/dev/,{place}/,g)"; device_commands'
    assert _run(place, script).stdout.splitlines() == [
        f"mkdir -p {place}/net", f"mknod -m 666 {place}/net/tun c 10 200", f"chmod 666 {place}/fuse",
    ]  # fmt: skip


def test_the_readme_fetches_them_too() -> None:
    lines = [line for line in (REPOSITORY / "README.md").read_text().splitlines() if "apt-get install" in line]
    assert lines
    assert all("apt-get update && sudo apt-get install" in line for line in lines)
