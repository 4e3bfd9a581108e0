"""The block in a crontab: put in, taken out, and nothing else touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.autostart.crontab import (
    BEGIN,
    END,
    block_entry,
    entry_text,
    entry_variables,
    is_daemon_there,
    read_crontab,
    with_block,
    without_block,
    write_crontab,
)
from sandbox.autostart.launch import Launch
from sandbox.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = "@reboot /usr/bin/sandbox system autostart run"
#: of a person's own
LINES = st.lists(
    st.sampled_from(["", "# mine", "@reboot echo up", "MAILTO=me", "0 4 * * * a % b", END, f"x {BEGIN}"]), max_size=6
)


@given(LINES, st.booleans())
def test_other_entries_stay(lines: list[str], ends: bool) -> None:
    mine = "\n".join(lines) + ("\n" if lines and ends else "")
    changed = with_block(mine, ENTRY)
    assert block_entry(changed) == ENTRY
    assert changed.startswith(mine)
    # crontab(1) wants a line break at the end: one is added where it is missing, and stays
    assert without_block(changed) in (mine, f"{mine}\n")
    assert with_block(changed, ENTRY) == changed
    assert block_entry(with_block(changed, f"{ENTRY} again")) == f"{ENTRY} again"
    assert without_block(mine) == mine


def test_a_block_without_its_end_has_one_entry() -> None:
    assert without_block(f"a\n{BEGIN}\n{ENTRY}\n0 4 * * * mine\n") == "a\n0 4 * * * mine\n"
    assert without_block(f"{BEGIN}\n") == ""


def test_what_a_shell_or_cron_would_take_apart_is_quoted() -> None:
    launch = Launch(("/a b/sand%box", "system"), (("PATH", "/x:/y z"),))
    assert entry_text(launch, "/data/it's") == (
        "@reboot PATH='/x:/y z' '/a b/sand\\%box' system >'/data/it'\"'\"'s' 2>&1"
    )
    with pytest.raises(HostError, match="line break"):
        entry_text(Launch(("/a\nb",)), "/log")


def test_variables_are_read_as_they_were_written() -> None:
    variables = (("PATH", "/x%:/y z"), ("XDG_DATA_HOME", "/it's"))
    assert entry_variables(entry_text(Launch(("/a=b/sandbox", "x=y"), variables), "/log")) == dict(variables)


def _program(tmp_path: Path, script: str) -> str:
    path = tmp_path / "crontab"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(("name", "there"), [("cron", True), ("crond", True), ("crontab", False)])
def test_whether_a_daemon_runs(tmp_path: Path, name: str, there: bool) -> None:
    for directory, comm in (("1", "init"), ("23", name), ("sys", "cron")):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "comm").write_text(f"{comm}\n")
    (tmp_path / "7").mkdir()
    assert is_daemon_there(str(tmp_path)) == there


def test_no_crontab_yet_is_an_empty_one(tmp_path: Path) -> None:
    assert read_crontab(_program(tmp_path, "echo 'no crontab for me' >&2; exit 1")) == ""


def test_bytes_that_are_no_text_stay(tmp_path: Path) -> None:
    (tmp_path / "table").write_bytes(b"# \xe4 \xc3\xa4\n")
    program = _program(tmp_path, f"[ $1 = - ] && cat > {tmp_path}/table || cat {tmp_path}/table")
    write_crontab(program, without_block(with_block(read_crontab(program), ENTRY)))
    assert (tmp_path / "table").read_bytes() == b"# \xe4 \xc3\xa4\n"


def test_one_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    program = _program(tmp_path, "echo 'You (me) are not allowed to use this program (crontab)' >&2; exit 1")
    with pytest.raises(HostError) as refused:
        read_crontab(program)
    assert "not allowed" in refused.value.cause
    with pytest.raises(HostError):
        write_crontab(program, "x\n")
