"""Faults are told where somebody reads them, and are no further fault where nobody does."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from sandbox.api.faults import report, report_note
from sandbox.api.sockets import tell_ready

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_fault_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(sys, "stderr", told)
    report(KeyError("word"))
    report_note("beside it")
    assert told.getvalue() == "KeyError: 'word'\nbeside it\n"


def test_nobody_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    with open(write_fd, "w", buffering=1) as nowhere:
        monkeypatch.setattr(sys, "stderr", nowhere)
        report(KeyError("word"))
        report_note("beside it")
        # what is still to be written is let go
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), write_fd)


def test_a_server_of_somebody_who_goes_has_a_file_for_what_it_says(tmp_path: Path) -> None:
    kept, (read_fd, write_fd) = os.dup(2), os.pipe()
    try:
        os.dup2(write_fd, 2)
        tell_ready(write_fd, f"{tmp_path}/log")
        os.write(2, b"later")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    with open(read_fd, "rb") as told:
        assert told.read() == b"listening"
    assert (tmp_path / "log").read_bytes() == b"later"
