"""What Docker's config.json keeps from every prune."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sandbox.docker_prune_filters import with_kept_filters
from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from pathlib import Path


def _kept(directory: Path, content: str, *given: str) -> tuple[str, ...]:
    (directory / "config.json").write_text(content)
    return with_kept_filters({"DOCKER_CONFIG": str(directory)}, given)


def test_the_file_s_filters_join_those_given(tmp_path: Path) -> None:
    filters = json.dumps({"pruneFilters": ["label!=keep", "until=24h", "no filter", 7]})
    assert _kept(tmp_path, filters) == ("label!=keep", "until=24h")
    assert _kept(tmp_path, filters, "label=a") == ("label=a", "label!=keep", "until=24h")
    # what is asked for now goes before its opposite
    assert _kept(tmp_path, filters, "label=keep") == ("label=keep", "until=24h")
    assert _kept(tmp_path, json.dumps({"pruneFilters": ["label=x"]}), "label!=x") == ("label!=x",)


def test_without_a_word_of_the_file_those_given_are_all(tmp_path: Path) -> None:
    assert with_kept_filters({"DOCKER_CONFIG": str(tmp_path)}, ["label=a"]) == ("label=a",)
    for content in ("", "{}", '{"pruneFilters": null}'):
        assert _kept(tmp_path, content, "label=a") == ("label=a",)


@pytest.mark.parametrize("content", ["[]", "no JSON", '{"pruneFilters": 7}'])
def test_a_file_that_cannot_be_read_keeps_everything(tmp_path: Path, content: str) -> None:
    with pytest.raises(SandboxError, match="which may say what is never pruned"):
        _kept(tmp_path, content)
