"""Images of a stack by digest: of which registries are asked, and what is taken where they do not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.container.request.request import ContainerRequest
from sandbox.deploy import images
from sandbox.deploy.plan import Change, Plan, PresentService
from sandbox.image.pinning import Pinned
from sandbox.operation_context import OperationContext
from sandbox.paths import find_paths
from sandbox.service.spec import ServiceSpec
from sandbox.stack.service_spec import IMAGE

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.deploy.images import Resolve


def _spec(name: str, image: str, label: str) -> ServiceSpec:
    return ServiceSpec(name, ContainerRequest(image), ((IMAGE, label),))


@pytest.mark.parametrize(
    ("resolve", "new", "same", "other"),
    [
        ("always", "new:1@2", "same:1@2", "other:1@2"),
        ("changed", "new:1@2", "same:1@1", "other:1@2"),
        ("never", "new:1", "same:1@1", "other:1"),
    ],
)
def test_which_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, resolve: Resolve, new: str, same: str, other: str
) -> None:
    context = OperationContext(find_paths({"HOME": str(tmp_path)}), {})
    monkeypatch.setattr(images, "pinned", lambda _context, image: Pinned(f"{image}:1@2"))
    monkeypatch.setattr(images, "tagged_name", lambda _context, image: f"{image}:1")
    plan = Plan(
        "st",
        (
            Change("network", "keep", "n"),
            Change("service", "create", "new", service=_spec("new", "new", "new")),
            Change(
                "service", "keep", "same", service=_spec("same", "same", "same"),
                present=PresentService("1", 1, _spec("same", "same:1@1", "same")),
            ),
            Change(
                "service", "update", "other", service=_spec("other", "other", "other"),
                present=PresentService("2", 1, _spec("other", "before:1@1", "before")),
            ),
        ),
    )  # fmt: skip
    found = images.with_images(context, plan, resolve, pytest.fail)
    assert [change.service.request.image for change in found.changes if change.service] == [new, same, other]
    # who does not answer is no reason to replace what runs
    monkeypatch.setattr(images, "pinned", lambda _context, image: Pinned(f"{image}:1", f"{image}?"))
    said: list[str] = []
    found = images.with_images(context, plan, "always", said.append)
    assert [change.service.request.image for change in found.changes if change.service] == [
        "new:1", "same:1@1", "other:1",
    ]  # fmt: skip
    assert said == ["new?", "same?", "other?"]
