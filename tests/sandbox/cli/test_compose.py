"""`sandbox compose config` and `sandbox stack config`: options before and behind the verb, and what is printed."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
import yaml

from sandbox.cli.completion.candidates import find_candidates
from sandbox.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

_FILE = """
name: demo
services:
  web: {image: "web:${TAG:-1}", depends_on: [db], environment: {A: $TAG}, profiles: [], volumes: ["vol:/v"]}
  db: {build: ./db, volumes: ["./data:/data"]}
  debug: {image: "debug${OF_DEBUG:-}", profiles: [debug]}
volumes: {vol: , other: }
networks: {unused: }
"""


class _Done(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "compose.yaml").write_text(_FILE)
    return tmp_path


def _run(directory: Path, *words: str, env: dict[str, str] | None = None) -> _Done:
    out, err = io.StringIO(), io.StringIO()
    status = main(words, {"HOME": "/home/dev", **(env or {})}, str(directory), out, err)
    return _Done(status, out.getvalue(), err.getvalue())


def test_the_project(directory: Path) -> None:
    done = _run(directory, "compose", "config", env={"TAG": "2"})
    assert (done.status, done.err) == (0, "")
    found = yaml.safe_load(done.out)
    assert list(found["services"]) == ["db", "web"]
    assert found["services"]["web"]["image"] == "web:2"
    assert found["volumes"] == {"vol": {"name": "demo_vol"}}
    assert _run(directory, "compose", "convert", env={"TAG": "2"}).out == done.out
    assert json.loads(_run(directory, "compose", "config", "--format", "json").out)["name"] == "demo"
    # the same again, of what was printed
    (directory / "again.yaml").write_text(done.out)
    assert _run(directory, "compose", "-f", "again.yaml", "config").out == done.out


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (("config", "--services"), ["db", "web"]),
        (("--profile", "debug", "config", "--services"), ["db", "debug", "web"]),
        (("--profile=*", "config", "--images"), ["demo-db", "debug", "web:1"]),
        (("-p", "other", "config", "--images", "db"), ["other-db"]),
        (("config", "--volumes"), ["vol"]),
        (("config", "--networks"), ["default"]),
        (("config", "--profiles"), ["debug"]),
        (("config", "-q"), []),
        (("config", "--services", "db"), ["db", "web"]),
        (("--all-resources", "config", "--volumes"), ["other", "vol"]),
    ],
)
def test_lists(directory: Path, words: tuple[str, ...], lines: list[str]) -> None:
    done = _run(directory, "compose", *words, env={"TAG": "1"})
    assert (done.status, done.out.splitlines()) == (0, lines)


def test_hashes_variables_and_the_environment(directory: Path) -> None:
    hashes = _run(directory, "compose", "config", "--hash", "*").out.splitlines()
    assert [line.split()[0] for line in hashes] == ["db", "web"]
    assert _run(directory, "compose", "config", "--hash=web").out.splitlines() == hashes[1:]
    assert "no such service: nope" in _run(directory, "compose", "config", "--hash", "nope").err
    table = _run(directory, "compose", "config", "--variables").out.splitlines()
    assert table[0].split() == ["NAME", "REQUIRED", "DEFAULT", "VALUE", "ALTERNATE", "VALUE"]
    # of services whose profile is off too
    assert [line.split() for line in table[1:]] == [["OF_DEBUG", "false"], ["TAG", "false", "1"]]
    shown = json.loads(_run(directory, "compose", "config", "--variables", "--format", "json").out)
    assert shown["TAG"] == {"Name": "TAG", "DefaultValue": "1", "PresenceValue": "", "Required": False}
    shown = _run(directory, "compose", "config", "--variables", "--format", "yaml", "web")
    assert shown.out.startswith(
        'OF_DEBUG:\n    name: OF_DEBUG\n    defaultvalue: ""\n    presencevalue: ""\n    required: false\n'
        'TAG:\n    name: TAG\n    defaultvalue: "1"\n    presencevalue: ""\n    required: false\n'
    )
    assert "service filtering is not applied when --variables is set" in shown.err
    environment = _run(directory, "compose", "config", "--environment").out.splitlines()
    assert environment == ["COMPOSE_PROJECT_NAME=demo", "HOME=/home/dev", f"PWD={directory}"]


def test_steps_can_be_left_out(directory: Path) -> None:
    def found(*words: str) -> dict[str, dict[str, dict[str, object]]]:
        loaded: dict[str, dict[str, dict[str, object]]] = yaml.safe_load(
            _run(directory, "compose", "config", *words).out
        )
        return loaded

    assert found("--no-interpolate")["services"]["web"]["image"] == "web:${TAG:-1}"
    assert list(found("--no-interpolate")) == ["name", "networks", "services", "volumes"]
    assert "service filtering is not applied" in _run(directory, "compose", "config", "--no-interpolate", "db").err
    assert found("--no-path-resolution")["services"]["db"]["build"]["context"] == "./db"  # type: ignore[index]
    assert "default" not in found("--no-normalize")["networks"]
    (directory / "compose.yaml").write_text(_FILE.replace("depends_on: [db]", "depends_on: [no]"))
    assert _run(directory, "compose", "config").status == 1
    assert found("--no-consistency")["services"]["web"]["depends_on"]
    (directory / "compose.yaml").write_text(_FILE)
    assert _run(directory, "compose", "config", "-o", "out.yaml").out == ""
    assert "services:" in (directory / "out.yaml").read_text()


def test_what_is_said_beside_it(directory: Path) -> None:
    done = _run(directory, "compose", "config", "-q")
    assert done.err == 'WARNING: The "TAG" variable is not set. Defaulting to a blank string.\n'
    (directory / "compose.yaml").write_text("services:\n  web:\n    imag: x\n")
    done = _run(directory, "compose", "config")
    assert done == (
        1,
        "",
        "Error: compose.yaml:3:5: services.web.imag: a service has no key 'imag'\n  mend: write 'image'\n",
    )
    assert _run(directory, "compose", "config", "web", "wbe").err.startswith("Error: compose.yaml:3:5")
    assert _run(directory, "compose", "-f", "no.yaml", "config") == (
        1,
        "",
        "Error: cannot read no.yaml: no such file\n",
    )
    assert _run(directory, "compose", "config", "--format", "xml").status == 1
    assert _run(directory, "compose", "-p", "Bad", "config").err.splitlines()[-1] == "  mend: -p bad"
    done = _run(directory, "compose", "--fil", "x", "config")
    # as of a program of its own, which Docker's Compose is
    assert done.status == 1
    assert done.err.startswith("unknown flag: --fil\nDid you mean --file?\n\nUsage:  sandbox compose [OPTIONS] COMMAND")
    assert "Options:" in _run(directory, "compose", "--help").out
    assert "--project-name" in _run(directory, "compose").out
    assert _run(directory, "compose", "-p", "x", "config", "--help").out.startswith("Usage:  sandbox compose config")
    assert "'compose bridge' is not built yet" in _run(directory, "compose", "-f", "x", "bridge").err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("up", "--bad"), "unknown flag: --bad"),
        (("up", "-t", "x"), 'invalid argument "x" for "-t, --timeout" flag'),
        (("kill", "-s"), "flag needs an argument"),
        (("ls", "--filter", "x"), "Error: invalid argument 'x': bad format of filter"),
    ],
)
def test_a_slip_has_the_status_of_any_failure(directory: Path, words: tuple[str, ...], says: str) -> None:
    done = _run(directory, "compose", *words)
    assert (done.status, done.err[: len(says)]) == (1, says)
    # which no other noun's has
    assert _run(directory, "service", "create", "--bad").status == 125


def test_the_version_is_asked_for_as_an_option_too(directory: Path) -> None:
    said = _run(directory, "compose", "version").out
    assert said.startswith("Docker Compose version v2")
    assert [_run(directory, "compose", word).out for word in ("-v", "--version")] == [said, said]


def test_a_service_that_may_have_been_meant(directory: Path) -> None:
    done = _run(directory, "compose", "-p", "x", "config", "--images", "wbe", env={"TAG": "1"})
    assert done.status == 1
    assert "no such service: wbe" in done.err
    assert "mend: sandbox compose -p x config --images web" in done.err


def test_a_hash_needs_the_files_of_its_service_alone(directory: Path) -> None:
    (directory / "compose.yaml").write_text("services: {a: {image: i}, b: {image: i, env_file: no.env}}")
    assert _run(directory, "compose", "config", "--hash", "a").status == 0
    assert "no.env not found" in _run(directory, "compose", "config", "--hash", "*").err
    assert _run(directory, "compose", "config", "--no-env-resolution", "--hash", "*").status == 0
    (directory / "compose.yaml").write_text("services: {a: {models: {m: }}}\nmodels: {m: {model: ai/x}}")
    assert _run(directory, "compose", "config", "--no-consistency", "--models").out == "ai/x\n"


def test_standard_input(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"services: {a: {image: i}}")))
    assert _run(directory, "compose", "-f", "-", "config", "--services").out == "a\n"


def test_the_files_of_a_stack(directory: Path) -> None:
    (directory / "over.yaml").write_text("services: {web: {image: over}}")
    (directory / ".env").write_text("TAG=dot\n")
    done = _run(directory, "stack", "config", "-c", "compose.yaml", "-c", "over.yaml", env={"TAG": "1"})
    found = yaml.safe_load(done.out)
    assert list(found["services"]) == ["db", "debug", "web"]
    assert found["services"]["web"]["image"] == "over"
    assert found["services"]["web"]["environment"] == {"A": "1"}
    assert "name" not in found
    skipped = _run(directory, "stack", "config", "-c", "compose.yaml", "--skip-interpolation")
    assert yaml.safe_load(skipped.out)["services"]["web"]["image"] == "web:${TAG:-1}"
    assert "Specify a Compose file" in _run(directory, "stack", "config").err


def test_completion_knows_what_stands_before_the_verb() -> None:
    def words(*typed: str) -> list[str]:
        return [word for word, _ in find_candidates({}, typed[:-1], typed[-1])]

    assert words("compose", "con") == ["config", "convert"]
    assert words("compose", "--fi") == ["--file"]
    assert words("compose", "-f", "x.yaml", "-p", "name", "conf") == ["config"]
    assert "--services" in words("compose", "-f", "x.yaml", "config", "--s")
