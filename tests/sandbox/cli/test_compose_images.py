"""What is said of the images that a project's services need."""

from __future__ import annotations

from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.cli.compose_images import pull_images
from sandbox.compose.pulling import Transfer


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
