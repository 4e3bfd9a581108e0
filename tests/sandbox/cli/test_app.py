"""The program as a typer application: the same tables, the same grammar, the same exit statuses."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from sandbox.cli.app import app
from sandbox.cli.index import ALIASES, COMMANDS, NOUN_SUMMARIES
from sandbox.cli.lookup import find_command
from sandbox.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

#: command lines of every kind of answer, none of which needs a container
_LINES = [
    [],
    ["--help"],
    ["--version"],
    ["version", "--format", "{{.Client.Version}}"],
    ["container", "--help"],
    ["run", "--help"],
    ["ps", "-q"],
    ["ps", "--no-such-option"],
    ["run"],
    ["run", "-it=false", "--rm=maybe", "busybox"],
    ["stop", "no-such-container"],
    ["pusl"],
    ["network", "ls"],
    ["--tls", "ps"],
    ["container", "run", "--memory", "nonsense", "busybox"],
]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "run").mkdir(mode=0o700)
    return {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run"), "PATH": os.environ["PATH"]}


@pytest.mark.parametrize("words", _LINES, ids=" ".join)
def test_a_line_is_run_as_the_program_runs_it(env: dict[str, str], words: list[str]) -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    status = main(words, env, os.getcwd, stdout, stderr)
    # the environment of the tests is that of this process, and the runner's is added to it
    emptied = dict.fromkeys(name for name in os.environ if name.startswith(("XDG_", "DOCKER_", "SANDBOX_")))
    done = CliRunner().invoke(app, words, env={**emptied, **env})
    assert (done.exit_code, done.stdout, done.stderr) == (status, stdout.getvalue(), stderr.getvalue())


def test_a_caller_gets_the_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert app(["ps", "--no-such-option"], standalone_mode=False) == 125
    with pytest.raises(SystemExit) as ended:
        app(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("sandbox version ")


def test_another_application_takes_it_in() -> None:
    other = typer.Typer()
    other.add_typer(app, name="box")
    other.command("hello")(lambda: print("hello"))
    assert CliRunner().invoke(other, ["hello"]).stdout == "hello\n"
    done = CliRunner().invoke(other, ["box", "stop", "-t=nonsense", "web"])
    assert done.exit_code == 125
    assert done.stderr.startswith('invalid argument "nonsense" for "-t, --timeout" flag')


def test_a_name_that_is_no_text_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lone surrogates are what such a name becomes; the stream is left as it was."""
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="utf-8", errors="strict")
    monkeypatch.setattr(sys, "stderr", stream)
    assert app(["stop\udcff"], standalone_mode=False) == 1
    assert b"stop\\xff" in written.getvalue()
    assert stream.errors == "strict"


def test_tools_of_typer_see_every_command_and_option() -> None:
    """`typer MODULE utils docs` is what makes reference pages of a typer application."""
    done = subprocess.run(
        [sys.executable, "-m", "typer", "sandbox.cli.app", "utils", "docs", "--name", "sandbox"],
        check=True,
        capture_output=True,
        text=True,
    )
    parts = {part.partition("`")[0]: part for part in done.stdout.split("# `sandbox ")}
    for path in (*COMMANDS, *ALIASES):
        command = find_command(ALIASES.get(path, path))
        assert command.summary in parts[path], path
        for option in command.options:
            assert option.hidden or f"--{option.key}" in parts[path] or f"-{option.key}" in parts[path], path
        assert all(line in parts[path] for line in command.examples)
    assert set(NOUN_SUMMARIES) <= parts.keys()


def test_tools_of_typer_run_it() -> None:
    words = [sys.executable, "-m", "typer", "sandbox.cli.app", "run", "ps", "--no-such-option"]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 125
    assert done.stderr.startswith("unknown flag: --no-such-option\n\nUsage:  sandbox ps [OPTIONS]")
