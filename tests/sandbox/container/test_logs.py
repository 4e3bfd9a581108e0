"""The log as it is written, rotated and read back."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from sandbox.container.log_writer import LogOptions, LogWriter, parse_log_options, timestamp
from sandbox.container.logs import LogReader, LogSelection, read_log
from sandbox.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.container.logs import LogEntry


def _texts(entries: list[LogEntry]) -> list[str]:
    return [entry.text for entry in entries]


def _read(directory: Path, selection: LogSelection | None = None) -> list[LogEntry]:
    return list(read_log(str(directory), selection or LogSelection()))


def test_lines_are_json_as_dockers(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path), LogOptions())
    writer.write("stdout", b'he said "\xc3\xa4"\r\nhalf')
    writer.write("stderr", b"oops\n")
    writer.write("stdout", b" line\n\xff\n")
    writer.close()
    lines = [json.loads(line) for line in (tmp_path / "log.json").read_text().splitlines()]
    assert [(line["stream"], line["log"]) for line in lines] == [
        ("stdout", 'he said "ä"\r\n'),
        ("stderr", "oops\n"),
        ("stdout", "half line\n"),
        ("stdout", "�\n"),
    ]
    assert set(lines[0]) == {"log", "stream", "time"}


def test_a_long_line_is_cut_between_characters_and_the_last_piece_has_the_newline(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path), LogOptions())
    text = "ä" * 20000
    writer.write("stdout", f"x{text}\n".encode())
    writer.close()
    pieces = _texts(_read(tmp_path))
    assert len(pieces) == 3
    assert "".join(pieces) == f"x{text}\n"


def test_rotation_keeps_so_many_files_and_loses_only_the_oldest(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path), LogOptions(300, 2))
    for number in range(50):
        writer.write("stdout", b"%d\n" % number)
    writer.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.json", "log.json.1"]
    numbers = [int(text) for text in _texts(_read(tmp_path))]
    assert numbers == list(range(numbers[0], 50))


def test_a_follower_reads_on_through_rotation(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path), LogOptions(300, 5))
    reader = LogReader(str(tmp_path), LogSelection())
    seen = _texts(list(reader.read_kept()))
    for number in range(12):
        writer.write("stdout", b"%d\n" % number)
        if number % 5 == 0:
            seen += _texts(list(reader.read_added()))
    writer.close()
    seen += _texts(list(reader.read_added()))
    reader.close()
    assert seen == [f"{number}\n" for number in range(12)]


def test_a_file_that_cannot_be_made_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    """A full disk may have no room for the next file of a rotation either."""
    place = tmp_path / "log"
    place.mkdir()
    writer = LogWriter(str(place), LogOptions(100, 1))
    writer.write("stdout", b"first\n")
    shutil.rmtree(place)
    for number in range(5):
        writer.write("stdout", b"lost %d\n" % number)
    place.mkdir()
    writer.write("stdout", b"last\n")
    writer.close()
    assert _texts(_read(place)) == ["last\n"]


def test_a_damaged_line_is_passed_over(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path), LogOptions())
    writer.write("stdout", b"one\n")
    writer.close()
    with open(tmp_path / "log.json", "ab") as file:
        file.write(b'{"log":"cut sho\n')
    writer = LogWriter(str(tmp_path), LogOptions())
    writer.write("stdout", b"two\n")
    writer.close()
    assert _texts(_read(tmp_path)) == ["one\n", "two\n"]


def test_selection_by_number_and_time(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path), LogOptions())
    for text in (b"a\n", b"b\n", b"c\n"):
        writer.write("stdout", text)
    writer.close()
    times = [entry.time for entry in _read(tmp_path)]
    assert _texts(_read(tmp_path, LogSelection(tail=2))) == ["b\n", "c\n"]
    assert _texts(_read(tmp_path, LogSelection(since=times[2]))) == ["c\n"]
    assert _texts(_read(tmp_path, LogSelection(until=times[0]))) == ["a\n"]
    assert _texts(_read(tmp_path, LogSelection(tail=0))) == []


def test_times_have_nine_digits_so_that_texts_compare() -> None:
    assert timestamp(1_700_000_000_000_000_005) == "2023-11-14T22:13:20.000000005Z"


def test_options_that_disagree_are_refused() -> None:
    assert parse_log_options((("max-size", "2k"), ("max-file", "3"))) == LogOptions(2048, 3)
    with pytest.raises(UsageError, match="max-file cannot be greater than 1 without max-size"):
        parse_log_options((("max-file", "3"),))
