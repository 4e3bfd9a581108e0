"""Which modules a command imports: what is heavy stays out of the way of those that people wait for."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.needs import REPOSITORY

if TYPE_CHECKING:
    from tests.command import Home

#: docs/dependencies.md says what each costs; a small function of one of these is written anew in a line or two
HEAVY = {
    "asyncio", "dataclasses", "datetime", "decimal", "difflib", "hashlib", "httpx", "inspect", "ipaddress", "logging",
    "msgspec", "pathlib", "pickle", "random", "rich", "shutil", "sqlite3", "string", "subprocess", "tempfile",
    "threading", "traceback", "trio", "typer", "urllib", "uuid", "zstandard", "yaml",
}  # fmt: skip
#: a twentieth of the time of a short command, and of a monitor's memory
NOT_FOR_LONG = {"typing"}
#: what only the monitor does, or only the command: each imports its own after the fork, both at once
AFTER_THE_FORK = {
    "_sqlite3", "resource", "sandbox.container.session.attach", "sandbox.container.life.create",
    "sandbox.container.monitor.backend", "sandbox.container.monitor.monitor", "sandbox.container.model.store",
    "sandbox.image.store", "sandbox.runtime.launch", "sandbox.state", "storage.layers.store",
}  # fmt: skip
#: what a container without volumes on the kernel's overlay, with no network of its own, has no use for
UNUSED = {
    "net.slirp", "sandbox.container.life.reconcile", "sandbox.container.life.stop", "sandbox.runtime.cgroups",
    "sandbox.runtime.rests", "sandbox.volume.volumes", "storage.driver_choice", "storage.overlay.copy",
    "storage.volumes",
}  # fmt: skip


@pytest.mark.parametrize(
    "module",
    [
        "sandbox.cli.commands.run",
        "sandbox.cli.run_container",
        "sandbox.cli.commands.exec",
        "sandbox.container.session.exec_session",
        "sandbox.container.life.publish",
        "sandbox.container.life.start",
        "sandbox.container.life.stop",
        "sandbox.container.view.log_following",
        "sandbox.cli.commands.container_list",
        "sandbox.cli.commands.container",
        "sandbox.cli.commands.container_output",
    ],
)
def test_a_command_that_people_wait_for_imports_nothing_heavy(module: str, home: Home) -> None:
    assert _with_main(module, home) & (HEAVY | NOT_FOR_LONG) == set()


@pytest.mark.parametrize("part", ["process", "private_network", "mapped_mounts", "discard"])
def test_a_monitor_imports_nothing_heavy(part: str, home: Home) -> None:
    assert _with_main(f"sandbox.container.monitor.{part}", home) & (HEAVY | NOT_FOR_LONG) == set()


def test_a_monitor_with_a_check_has_what_a_probe_needs_before_the_first_one(home: Home) -> None:
    # an upgrade may replace the files before that
    room = "sandbox.container.monitor"
    at_start = f"import sys, {room}.process, {room}.backend, {room}.health; print(*sys.modules)"
    probe = (
        f"import sys, {room}.process, {room}.backend, sandbox.runtime.enter, {room}.runtime_spec; print(*sys.modules)"
    )
    assert _imported(probe, home) - _imported(at_start, home) == set()


def test_a_monitor_is_woken_without_anything_heavy(home: Home) -> None:
    woken = "sandbox.runtime.rests, sandbox.container.monitor.backend, sandbox.container.monitor.rest"
    not_needed = HEAVY | NOT_FOR_LONG | {"pickle", "sandbox.container.monitor.process", "sandbox.runtime.kept_code"}
    assert _imported(f"import sys, {woken}; print(*sorted(sys.modules))", home) & not_needed == set()


def test_a_build_of_which_all_is_cached_brings_no_registry_client(home: Home) -> None:
    code = "import sys, sandbox.builder.build_image; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=home.env, cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) & {"trio", "httpx", "typer", "rich"} == set()


def test_run_forks_the_monitor_before_it_imports_the_rest(home: Home) -> None:
    assert _with_main("sandbox.cli.commands.run", home) & AFTER_THE_FORK == set()


@pytest.mark.parametrize(
    "module",
    ["sandbox.cli.run_container", "sandbox.container.monitor.process", "sandbox.container.session.exec_session"],
)
def test_what_is_not_used_is_not_imported(module: str, home: Home) -> None:
    assert _with_main(module, home) & UNUSED == set()


def test_ps_of_nothing_imports_nothing_heavy(home: Home) -> None:
    script = (
        "import io, os, sys; from sandbox.cli.main import main; "
        "main(['ps'], os.environ, '/', io.StringIO(), sys.stderr); print(*sorted(sys.modules))"
    )
    assert _imported(script, home) & HEAVY == set()


def _with_main(module: str, home: Home) -> set[str]:
    return _imported(f"import sys, sandbox.cli.main, {module}; print(*sorted(sys.modules))", home)


def _imported(script: str, home: Home) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], env=home.env, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())
