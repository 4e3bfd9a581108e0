"""Subordinate ids, maps, and why the map programs fail."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandbox.errors import HostError
from sandbox.runtime import id_maps
from sandbox.runtime.id_maps import (
    IdRange,
    MapLine,
    check_ranges,
    explain_map_failure,
    find_id_map,
    format_map,
    full_map,
    grant_command,
    identity_lines,
    parse_subordinate_ids,
)

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "dev:100000:65536\nother:1:2\n1001:300000:1000\n\n# no\ndev:x:3\ndev:400000:0\ndev:100000:65536\n"


def test_ranges_by_name_and_by_uid() -> None:
    assert parse_subordinate_ids(TEXT, "dev", 1001) == (IdRange(100000, 65536), IdRange(300000, 1000))
    assert parse_subordinate_ids(TEXT, "nobody", 7) == ()


def test_full_map_puts_ranges_one_after_the_other() -> None:
    lines = full_map(1001, (IdRange(100000, 65536), IdRange(300000, 1000)))
    assert lines == (MapLine(0, 1001, 1), MapLine(1, 100000, 65536), MapLine(65537, 300000, 1000))
    assert format_map(lines[:2]) == "0 1001 1\n1 100000 65536\n"


def test_identity_map_is_split_where_the_outer_one_is() -> None:
    assert identity_lines("         0       1001          1\n         1     100000      65536\n") == (
        MapLine(0, 0, 1),
        MapLine(1, 1, 65536),
    )


def test_overlap_is_named() -> None:
    with pytest.raises(HostError) as caught:
        check_ranges((IdRange(100000, 65536), IdRange(165535, 10)), "/etc/subuid")
    assert "165535:10" in caught.value.cause


@pytest.fixture
def _no_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_maps, "subordinate_ids", lambda *_arguments: ())


@pytest.mark.usefixtures("_no_ids")
def test_user_without_subordinate_ids() -> None:
    with pytest.raises(HostError) as caught:
        find_id_map()
    name = id_maps.user_name(os.getuid())
    assert caught.value.mend == grant_command(name)
    assert find_id_map(allow_single=True).single


def test_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_maps, "subordinate_ids", lambda *_arguments: (IdRange(100000, 100),))
    with pytest.raises(HostError, match="too few"):
        find_id_map()


@pytest.mark.parametrize(("count", "ids"), [(1, "165536-231071"), (65536, "165536-231071"), (65537, "165536-296607")])
def test_as_many_ids_are_granted_as_are_wanted(tmp_path: Path, count: int, ids: str) -> None:
    for name in ("subuid", "subgid"):
        (tmp_path / name).write_text("dev:100000:65536\nother:400000:65536\n")
    command = f"sudo usermod --add-subuids {ids} --add-subgids {ids} dev"
    assert grant_command("dev", str(tmp_path), count) == command


def test_missing_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(id_maps, "_PROGRAM_PATH", str(tmp_path))
    with pytest.raises(HostError) as caught:
        id_maps.find_program("newuidmap")
    assert "apt-get install -y uidmap" in caught.value.mend


def test_lost_privilege_of_the_program(tmp_path: Path) -> None:
    program = tmp_path / "newuidmap"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    error = explain_map_failure(str(program))
    assert "neither the set-user-id bit" in error.cause
    assert error.mend == f"sudo chmod u+s {program}"


@pytest.mark.parametrize(
    ("subuid", "subgid", "ids"),
    [
        ("", "", "100000-165535"),
        ("a:100000:65536\nb:165536:65536\n", "a:100000:65536\n", "231072-296607"),
        ("a:100000:65536\n", "b:165536:1\n", "165537-231072"),
        ("a:200000:65536\n", "# none\n", "100000-165535"),
        ("a:1000:99001\n", "", "100001-165536"),
    ],
)
def test_administrator_is_told_a_range_nobody_has(tmp_path: Path, subuid: str, subgid: str, ids: str) -> None:
    (tmp_path / "subuid").write_text(subuid)
    (tmp_path / "subgid").write_text(subgid)
    expected = f"sudo usermod --add-subuids {ids} --add-subgids {ids} new"
    assert grant_command("new", str(tmp_path)) == expected
