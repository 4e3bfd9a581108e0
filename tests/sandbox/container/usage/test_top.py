"""What ps says, read; and what is said where a host has none."""

from __future__ import annotations

import os

import pytest

from sandbox.container.usage.proc_table import make_table
from sandbox.container.usage.processes import read_process
from sandbox.container.usage.top import read_ps_output
from sandbox.errors import SandboxError

PS = """UID          PID    PPID CMD
me             7       1 sh -c a  b
me             8       7
-              -       - [a thread]
me             9       7 other
-              -       - [of the other]
"""


def test_lines_of_the_container_alone() -> None:
    table = read_ps_output(PS, frozenset({7, 8}))
    assert table.titles == ("UID", "PID", "PPID", "CMD")
    assert table.rows == (
        ("me", "7", "1", "sh -c a  b"),
        ("me", "8", "7", ""),
        ("-", "-", "-", "[a thread]"),
    )


@pytest.mark.parametrize(
    ("text", "why"), [("CMD\nsh\n", "Couldn't find PID field"), ("PID CMD\nx sh\n", "Unexpected pid 'x'")]
)
def test_lines_that_cannot_be_read(text: str, why: str) -> None:
    with pytest.raises(SandboxError, match=why):
        read_ps_output(text, frozenset({7}))


@pytest.mark.parametrize(
    ("words", "titles"),
    [
        (["-ef"], ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")),
        (["aux"], ("USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND")),
        (["-o", "pid,ppid", "-o"], None),
        (["-eo", "pid,ppid,etime,args"], ("PID", "PPID", "ELAPSED", "COMMAND")),
        (["-opid,comm,%cpu,nlwp"], ("PID", "COMMAND", "%CPU", "NLWP")),
        (["--forest"], None),
    ],
)
def test_without_a_ps(words: list[str], titles: tuple[str, ...] | None) -> None:
    process = read_process(os.getpid())
    assert process is not None
    if titles is None:
        with pytest.raises(SandboxError, match="cannot list processes"):
            make_table([process], words)
        return
    found, (row,) = make_table([process], words)
    assert found == titles
    assert row[titles.index("PID")] == str(os.getpid())
    assert all(row)


def test_without_a_ps_one_that_has_just_ended_is_left_out() -> None:
    process = read_process(os.getpid())
    assert process is not None
    _titles, rows = make_table([process, process._replace(pid=2**22 + 1)], ["-ef"])
    assert len(rows) == 1
