"""What is said of the images that a project's services need."""

from __future__ import annotations

from io import StringIO
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.cli.compose_images import ensure_images, pull_images
from sandbox.compose.pulling import Transfer
from tests.sandbox.stack.projects import one

if TYPE_CHECKING:
    from pathlib import Path


def test_only_images_are_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    volumes = "[bigData:/data, /anonymous, {type: image, source: files, target: /files}]"
    project = one(tmp_path, f"services: {{web: {{image: w, volumes: {volumes}}}}}\nvolumes: {{bigData: {{}}}}\n")
    asked: list[list[str]] = []

    def observe(_context: object, _name: str, names: list[str]) -> Any:
        asked.append(names)
        return SimpleNamespace(images=dict.fromkeys(names, "id"))

    monkeypatch.setattr("sandbox.compose.observe.observe", observe)
    context = SimpleNamespace(env={}, for_operations=lambda: None)
    command = SimpleNamespace(options=(), path="compose up")
    invocation: Any = SimpleNamespace(of_noun={}, context=context, command=command)
    ensure_images(invocation, project)
    assert asked == [["w", "files"]]


@pytest.mark.parametrize(("quiet", "is_told"), [(True, False), (False, True)])
def test_a_quiet_pull_says_what_came_of_it(monkeypatch: pytest.MonkeyPatch, quiet: bool, is_told: bool) -> None:
    def transfer_all(_context: object, transfers: tuple[Transfer, ...], _operation: str, tell: Any, _most: int) -> None:
        tell(transfers[0], "", None)

    monkeypatch.setattr("sandbox.compose.pulling.transfer_all", transfer_all)
    stderr = StringIO()
    context = SimpleNamespace(env={}, stderr=stderr, for_operations=lambda: None)
    invocation: Any = SimpleNamespace(of_noun={}, context=context)
    assert pull_images(invocation, (Transfer("Image x", "x"),), quiet=quiet) == {"x"}
    begun = " Image x Pulling \n" if is_told else ""
    assert stderr.getvalue() == f"{begun} Image x Pulled \n"
