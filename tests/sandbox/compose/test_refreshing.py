"""Pull policies with a time: which images are too old for whom."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from sandbox.compose.refreshing import stale_images, window_ns
from sandbox.image.references import parse_reference
from sandbox.image.store import ImageRecord, record_image
from sandbox.operation_context import OperationContext
from sandbox.paths import Paths
from sandbox.state import open_state
from sandbox.transactions import transaction
from tests.sandbox.stack.projects import one

if TYPE_CHECKING:
    from pathlib import Path

_HOUR_NS = 3600 * 10**9


@pytest.mark.parametrize(
    ("policy", "hours"),
    [
        ("daily", 24),
        ("weekly", 168),
        ("every_12h", 12),
        ("every_2d", 48),
        ("always", None),
        ("missing", None),
        ("", None),
    ],
)
def test_windows(policy: str, hours: int | None) -> None:
    assert window_ns(policy) == (None if hours is None else hours * _HOUR_NS)


def test_what_was_pulled_too_long_ago_for_a_service_is_stale(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    context = OperationContext(Paths(str(tmp_path / "data"), str(tmp_path), str(tmp_path)), {})
    now_ns = time.time_ns()
    with open_state(context.paths) as connection, transaction(connection):
        for number, (name, hours) in enumerate((("old:1", 30), ("new:1", 5), ("plain:1", 900))):
            digest = f"sha256:{number:064x}"
            record = ImageRecord(digest, "", (), {}, "linux/amd64", digest, 0, now_ns - hours * _HOUR_NS, 0)
            record_image(connection, record, [parse_reference(name)], [])
    text = (
        "name: demo\nservices:\n  a: {image: 'old:1', pull_policy: daily}\n"
        "  b: {image: 'new:1', pull_policy: daily}\n  c: {image: 'plain:1'}\n"
        "  d: {image: 'none:1', pull_policy: daily}\n  e: {image: 'old:1', pull_policy: weekly}\n"
    )
    present = {"old:1", "new:1", "plain:1"}
    assert stale_images(context, one(tmp_path / "p", text), present) == {"old:1"}
    assert stale_images(context, one(tmp_path / "p", text.replace("daily", "weekly")), present) == set()
    assert stale_images(context, one(tmp_path / "p", text.replace("daily", "every_4h")), present) == {"old:1", "new:1"}
