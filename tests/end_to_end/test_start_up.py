"""Which modules a command imports: what is heavy stays out of the way of those that people wait for."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.needs import REPOSITORY

if TYPE_CHECKING:
    from tests.command import Home

#: docs/dependencies.md says what each costs
HEAVY = {
    "asyncio", "dataclasses", "httpx", "inspect", "logging", "msgspec", "pathlib", "rich", "shutil", "subprocess",
    "tempfile", "trio", "typer", "zstandard", "yaml",
}  # fmt: skip


@pytest.mark.parametrize("module", ["run", "exec", "container_list", "container", "container_output"])
def test_a_command_that_people_wait_for_imports_nothing_heavy(module: str, home: Home) -> None:
    script = f"import sys, sandbox.cli.main, sandbox.cli.commands.{module}; print(*sorted(sys.modules))"
    assert _imported(script, home) & HEAVY == set()


def test_ps_of_nothing_imports_nothing_heavy(home: Home) -> None:
    script = (
        "import io, os, sys; from sandbox.cli.main import main; "
        "main(['ps'], os.environ, '/', io.StringIO(), sys.stderr); print(*sorted(sys.modules))"
    )
    assert _imported(script, home) & HEAVY == set()


def _imported(script: str, home: Home) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], env=home.env, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())
