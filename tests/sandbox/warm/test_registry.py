"""The table of operations: what it names is there, and what it has the prepared process import is light."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from sandbox.warm.line import Request
from sandbox.warm.registry import OPERATIONS
from sandbox.warm.workers import Workers
from tests import leaks
from tests.needs import REPOSITORY

if TYPE_CHECKING:
    from tests.command import Home

#: a monitor is forked from a worker, and would carry them for weeks
_HEAVY = {"trio", "httpx", "msgspec", "asyncio", "typer", "rich", "yaml", "zstandard", "isal"}


def test_each_operation_is_there_and_takes_what_it_is_said_to() -> None:
    for name, operation in OPERATIONS.items():
        function = getattr(import_module(operation.module), operation.function)
        assert not operation.reports or operation.reports in inspect.signature(function).parameters, name


def test_the_prepared_process_imports_nothing_heavy(home: Home) -> None:
    code = (
        "import sys; from sandbox.warm.prepared import import_operations; "
        "import_operations('sandbox.warm.registry'); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env=home.env, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "sandbox.state" in done.stdout.split()
    assert set(done.stdout.split()) & _HEAVY == set()


def test_the_prepared_process_has_one_thread_and_nothing_open() -> None:
    with Workers("tests.sandbox.warm.real_operations") as workers:
        assert workers.call(Request("echo", (1,))) == 1
        assert len(os.listdir(f"/proc/{workers.pid}/task")) == 1
        assert {target for target in leaks.descriptors_of(workers.pid) if target.startswith("/")} == {"/dev/null"}
