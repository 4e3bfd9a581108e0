"""`sandbox builder parse`: the document for tools, and how a bad file ends."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

from sandbox.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def _parse(directory: Path, *words: str) -> tuple[int, Any, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main(["builder", "parse", *words], {}, str(directory), out, err)
    return status, json.loads(out.getvalue()) if out.getvalue() else None, err.getvalue()


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_bytes(b'from a\nRUN --network=none <<-A\n\tx\xff\nA\nONBUILD CMD ["b"]\n')
    status, found, errors = _parse(tmp_path)
    assert (status, errors) == (0, "")
    assert found[0] == {
        "instruction": "FROM",
        "flags": [],
        "arguments": ["a"],
        "json": False,
        "heredocs": [],
        "start_line": 1,
        "end_line": 1,
        "original": "from a",
    }
    assert found[1]["flags"] == ["--network=none"]
    assert found[1]["heredocs"] == [{"name": "A", "content": "\tx�\n", "expand": True, "chomp": True}]
    assert (found[1]["start_line"], found[1]["end_line"]) == (2, 4)
    assert found[2]["onbuild"]["arguments"] == ["b"]
    assert found[2]["onbuild"]["json"] is True


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"FROM a\nRUM b\n")))
    status, found, errors = _parse(tmp_path, "-")
    assert status == 1
    assert errors.startswith("Error: <stdin>:2:1: unknown instruction: RUM (did you mean RUN?)\n")
    # how it was read is there all the same
    assert [node["instruction"] for node in found] == ["FROM", "RUM"]


def test_a_file_that_cannot_be_parsed(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("FROM a\nENV b\n")
    status, found, errors = _parse(tmp_path, "x")
    assert (status, found) == (1, None)
    assert errors.startswith("Error: x:2:5: ")


def test_no_file(tmp_path: Path) -> None:
    status, _, errors = _parse(tmp_path)
    assert status == 1
    assert errors == "Error: cannot read Dockerfile: No such file or directory\n"
