"""`info`, `version` and `inspect`."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING

import pytest

from sandbox import __version__
from sandbox.cli.main import main
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from tests.command import Home, Sandbox


def _run(home: Home, *words: str) -> tuple[int, str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    status = main(words, home.env, "/", stdout, stderr)
    return status, stdout.getvalue(), stderr.getvalue()


def test_info(home: Home) -> None:
    status, stdout, _ = _run(home, "info")
    assert status == 0
    assert "Containers: 0" in stdout
    assert f"Docker Root Dir: {home.data}/sandbox" in stdout


def test_info_as_json_and_template(home: Home) -> None:
    document = json.loads(_run(home, "info", "--format", "json")[1])
    assert document["Images"] == 0
    assert document["Driver"] in ("overlay", "fuse", "copy")
    assert document["IdMap"]["Uid"][:1] in ([], [[0, os.getuid(), 1]])
    assert _run(home, "info", "-f", "{{.Driver}} {{.Rootless}}")[1] == f"{document['Driver']} true\n"


def test_info_shows_a_configured_driver(home: Home) -> None:
    place = home.config / "sandbox"
    place.mkdir(exist_ok=True)
    (place / "config.toml").write_text('[storage]\ndriver = "copy"\n')
    document = json.loads(_run(home, "info", "--format", "json")[1])
    assert document["Driver"] == "copy"
    assert "config.toml" in document["DriverStatus"][0][1]


def test_version(home: Home) -> None:
    assert __version__ in _run(home, "version")[1]
    assert _run(home, "version", "--format", "{{.Server.Version}}") == (0, f"{__version__}\n", "")
    assert json.loads(_run(home, "version", "--format", "json")[1])["Client"]["Os"] == "linux"


@pytest.mark.parametrize("command", ["info", "version"])
def test_template_that_cannot_be_read(home: Home, command: str) -> None:
    assert _run(home, command, "--format", "{{")[0] == 64


def test_version_makes_no_directory(home: Home) -> None:
    _run(home, "version")
    assert list(home.data.iterdir()) == []


def test_inspect_without_an_object(home: Home) -> None:
    status, stdout, stderr = _run(home, "inspect", "nothing", "sha256:NOT/a:name:")
    assert (status, stdout) == (1, "[]\n")
    assert "No such object: nothing" in stderr
    assert "No such object: sha256:NOT/a:name:" in stderr


@pytest.mark.parametrize(("kind", "words"), [("container", "No such container: x"), ("image", "No such image: x")])
def test_inspect_of_one_type(home: Home, kind: str, words: str) -> None:
    assert words in _run(home, "inspect", "--type", kind, "x")[2]


def test_inspect_of_an_unknown_type(home: Home) -> None:
    assert _run(home, "inspect", "--type", "teapot", "x")[0] == 1


@pytest.mark.slow
@pytest.mark.requires(*CONTAINER, "registry", "skopeo", "umoci", "busybox")
def test_inspect_of_mixed_types(sandbox: Sandbox, busybox_image: str) -> None:
    sandbox.run("pull", "-q", busybox_image)
    container = sandbox.run("create", "--name", "one", "--network", "none", busybox_image, "/bin/true").stdout.strip()
    done = sandbox.run("inspect", "one", busybox_image)
    first, second = json.loads(done.stdout)
    assert first["Id"] == container
    assert first["Image"] == second["Id"]
    assert sandbox.run("inspect", "-f", "{{.Id}}", "one", busybox_image).lines == [container, second["Id"]]
    assert sandbox.run("info", "-f", "{{.Containers}} {{.ContainersStopped}} {{.Images}}").stdout == "1 1 1\n"
