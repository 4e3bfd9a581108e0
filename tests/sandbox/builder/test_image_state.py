"""Configuration and history of an image in the making."""

from __future__ import annotations

from sandbox.builder.image_state import ImageState, quoted
from sandbox.image.platforms import Platform
from sandbox.values import DEFAULT_PATH

_BASE = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2020-01-01T00:00:00Z",
    "container_config": {"Cmd": ["old"]},
    "config": {"Env": ["PATH=/bin", "A=1"], "Cmd": ["sh"], "Entrypoint": None},
    "history": [{"created": "2020-01-01T00:00:00Z", "created_by": "base"}],
}


def test_an_entrypoint_takes_away_the_command_of_the_base_only() -> None:
    image = ImageState.from_base(_BASE)
    image.set_entrypoint(["run"])
    assert "Cmd" not in image.config
    own = ImageState.from_base(_BASE)
    own.set_command(["mine"])
    own.set_entrypoint(["run"])
    assert own.config["Cmd"] == ["mine"]


def test_variables_keep_their_place() -> None:
    image = ImageState.from_base(_BASE)
    image.set_environment({"B": "2", "PATH": "/sbin"})
    assert image.config["Env"] == ["PATH=/sbin", "A=1", "B=2"]
    assert _BASE["config"] == {"Env": ["PATH=/bin", "A=1"], "Cmd": ["sh"], "Entrypoint": None}


def test_a_base_without_a_path_gets_one() -> None:
    for variables in (None, [], ["A=1"]):
        image = ImageState.from_base({**_BASE, "config": {"Env": variables}})
        assert image.environment["PATH"] == DEFAULT_PATH
        assert image.config["Env"] == [*(variables or []), f"PATH={DEFAULT_PATH}"]
    kept = ImageState.from_base({**_BASE, "config": {"Env": ["PATH="]}})
    assert kept.config["Env"] == ["PATH="], "an empty one was asked for"


def test_times_are_those_of_layers() -> None:
    image = ImageState.from_base(_BASE)
    image.add_history("ENV A=1")
    image.add_history("RUN x", "2024-02-02T00:00:00Z")
    image.add_history("CMD x")
    made = image.finished(["sha256:x"], {})
    assert [entry["created"][:4] for entry in made["history"]] == ["2020", "2024", "2024", "2024"]
    assert made["created"] == "2024-02-02T00:00:00Z"
    assert "container_config" not in made


def test_without_a_layer_of_its_own_an_image_is_as_old_as_its_base() -> None:
    image = ImageState.from_base(_BASE)
    image.add_history("CMD x")
    assert image.finished([], {})["created"] == "2020-01-01T00:00:00Z"
    empty = ImageState.scratch(Platform("linux", "amd64"))
    empty.add_history("CMD x")
    assert "created" not in empty.finished([], {})


def test_lists_are_quoted_as_go_does() -> None:
    assert quoted(["sh", 'say "x"']) == '["sh" "say \\"x\\""]'
