"""The unit of a user's systemd manager, as a file and a link."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandbox.autostart.launch import Launch
from sandbox.autostart.unit import NAME, read_unit, remove_unit, unit_path, unit_text, unit_variables, write_unit
from sandbox.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

LAUNCH = Launch(
    ("/opt/a b/sandbox", "system", "autostart", "run"), (("PATH", "/bin:/50%$x"), ("XDG_DATA_HOME", '/"q\\'))
)


def test_what_systemd_would_take_apart_is_quoted() -> None:
    lines = unit_text(LAUNCH).splitlines()
    assert 'Environment="PATH=/bin:/50%%$x"' in lines
    assert 'Environment="XDG_DATA_HOME=/\\"q\\\\"' in lines
    assert 'ExecStart="/opt/a b/sandbox" "system" "autostart" "run"' in lines
    assert 'ExecStart="/$$x%%"' in unit_text(Launch(("/$x%",))).splitlines()
    with pytest.raises(HostError, match="line break"):
        unit_text(Launch(("/a\nExecStart=b",)))


def test_variables_are_read_as_they_were_written() -> None:
    values = ("/bin:/50%$x", '/"q\\', '\\\\"%%', "/a=b c")
    for value in values:
        assert unit_variables(unit_text(Launch(("/x",), (("A", value), ("B", "1"))))) == {"A": value, "B": "1"}
    assert unit_variables("[Service]\nEnvironment=A=1\n") == {}


def test_what_no_unit_can_hold_is_refused() -> None:
    for value in ("/data\nExecStart=/bin/false", "/data\udcff"):
        with pytest.raises(HostError):
            unit_text(Launch(("/bin/sandbox",), (("XDG_DATA_HOME", value),)))
    assert "/dät" in unit_text(Launch(("/bin/sandbox",), (("XDG_DATA_HOME", "/dät"),)))


def test_it_is_there_until_it_is_removed(tmp_path: Path) -> None:
    home = str(tmp_path)
    assert read_unit(home) is None
    assert not remove_unit(home)
    write_unit(home, "one\n")
    write_unit(home, "other\n")
    assert read_unit(home) == "other\n"
    link = f"{os.path.dirname(unit_path(home))}/default.target.wants/{NAME}"
    assert os.path.realpath(link) == unit_path(home)
    assert remove_unit(home)
    assert read_unit(home) is None
    assert not os.path.lexists(link)


def test_one_that_is_not_enabled_does_not_count(tmp_path: Path) -> None:
    home = str(tmp_path)
    write_unit(home, "one\n")
    os.unlink(f"{os.path.dirname(unit_path(home))}/default.target.wants/{NAME}")
    assert read_unit(home) is None


def test_where_it_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / ".config").write_text("a file\n")
    with pytest.raises(HostError, match="cannot write the unit"):
        write_unit(str(tmp_path), "one\n")
