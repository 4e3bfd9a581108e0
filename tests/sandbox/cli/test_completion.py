"""Completion as the shells ask for it: through the environment of the real command."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sandbox.paths import find_paths
from sandbox.state import connect_state
from tests.needs import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path


def ask(home: Path, shell: str, line: str) -> list[str]:
    words = line.split(" ")
    env = {
        **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
        "HOME": str(home),
        "_SANDBOX_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    if shell != "bash":
        del env["COMP_WORDS"]
    done = subprocess.run(
        [sys.executable, "-m", "sandbox"], env=env, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    return done.stdout.split("\n")


def test_commands(tmp_path: Path) -> None:
    assert "run" in ask(tmp_path, "bash", "sandbox ru")
    assert {"start", "stop"} <= set(ask(tmp_path, "bash", "sandbox container st"))


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(tmp_path: Path, shell: str) -> None:
    assert any("images" in line for line in ask(tmp_path, shell, "sandbox imag"))


def test_options_and_their_values(tmp_path: Path) -> None:
    assert "--network" in ask(tmp_path, "bash", "sandbox run --netw")
    assert "host" in ask(tmp_path, "bash", "sandbox run --network ho")


def test_names_from_the_database(tmp_path: Path) -> None:
    assert "web" not in ask(tmp_path, "bash", "sandbox stop w")
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    connection = connect_state(find_paths({"HOME": str(tmp_path), "XDG_RUNTIME_DIR": runtime}))
    with connection:
        connection.execute("INSERT INTO container VALUES ('0', 'web', '', 0, '{}', '{}', '')")
    connection.close()
    assert "web" in ask(tmp_path, "bash", "sandbox stop w")


def test_a_broken_database_is_silent(tmp_path: Path) -> None:
    place = tmp_path / ".local/share/sandbox"
    place.mkdir(parents=True)
    (place / "state.db").write_bytes(b"no database")
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(place / "state.db").execute("SELECT 1 FROM container")
    ask(tmp_path, "bash", "sandbox stop w")


def _show(home: Path, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", *words],
        env={**os.environ, "HOME": str(home)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stderr
    return done


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_shown(tmp_path: Path, shell: str) -> None:
    shown = _show(tmp_path, f"--show-completion={shell}").stdout
    assert "_SANDBOX_COMPLETE=complete_" in shown
    assert _show(tmp_path, "--show-completion", shell).stdout == shown
    assert list(tmp_path.iterdir()) == []


def test_a_shell_that_is_none_is_refused(tmp_path: Path) -> None:
    refused = _show(tmp_path, "--show-completion", "run", status=125)
    assert refused.stderr.startswith("Error: completion is not supported for the shell 'run'")


def test_an_alias_of_dockers_name_is_completed(tmp_path: Path) -> None:
    """As docs/coming-from-docker.md has it, in a shell that knows no program `docker`."""
    (tmp_path / "sandbox").write_text(f'#!/bin/sh\nexec {sys.executable} -m sandbox "$@"\n')
    (tmp_path / "sandbox").chmod(0o755)
    page = (REPOSITORY / "docs/coming-from-docker.md").read_text()
    given = [
        line.strip()
        for line in page.splitlines()
        if line.startswith(('    eval "$(sandbox', "    complete -o default"))
    ]
    assert len(given) == 2
    script = (
        "\n".join(given) + "\n"
        "COMP_WORDS=(docker run --netw) COMP_CWORD=2\n"
        "_sandbox_completion docker\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "HOME": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["--network", "--network-alias"]
    assert done.stderr == ""
