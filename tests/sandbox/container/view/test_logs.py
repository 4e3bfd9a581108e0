"""The log as it is written, rotated and read back."""

from __future__ import annotations

import gzip
import json
import resource
import shutil
from typing import TYPE_CHECKING

import pytest

from sandbox.container.monitor.log_writer import LogWriter, _entry, parse_log_options, timestamp
from sandbox.container.view.log_entries import LogBlock, _parse, parse_lines
from sandbox.container.view.logs import LogReader, LogSelection, read_log
from sandbox.errors import UsageError
from sandbox.grammar.logs import parse_log
from sandbox.values import LogOptions

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.container.view.log_entries import LogEntry


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
    assert _texts(_read(place)) == ["sandbox: 5 lines of output lost here: No such file or directory\n", "last\n"]


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


def _write_numbers(writer: LogWriter, numbers: range) -> None:
    for number in numbers:
        writer.write("stdout" if number % 3 else "stderr", b"%d\n" % number)


@pytest.mark.parametrize("compress", [False, True])
def test_older_files_are_read_with_all_selections(tmp_path: Path, compress: bool) -> None:
    writer = LogWriter(str(tmp_path), LogOptions(2000, 4, compress))
    _write_numbers(writer, range(200))
    writer.close()
    ending = ".gz" if compress else ""
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "log.json",
        *(f"log.json.{n}{ending}" for n in (1, 2, 3)),
    ]
    entries = _read(tmp_path)
    numbers = [int(entry.text) for entry in entries]
    assert numbers == list(range(numbers[0], 200))
    assert numbers[0] > 0
    assert [entry.stream == "stderr" for entry in entries] == [number % 3 == 0 for number in numbers]
    for count in (0, 1, 5, 40, len(numbers), len(numbers) + 1):
        assert _read(tmp_path, LogSelection(tail=count)) == entries[len(entries) - min(count, len(entries)) :]
    middle = entries[len(entries) // 2].time
    since, until = LogSelection(since=middle), LogSelection(until=middle)
    assert _read(tmp_path, since) == [entry for entry in entries if entry.time >= middle]
    early = [entry for entry in entries if entry.time <= middle]
    assert _read(tmp_path, until) == early
    assert _read(tmp_path, until._replace(tail=30)) == early[-30:]
    if compress:
        # other programs read it too
        raw = b"".join(gzip.decompress((tmp_path / f"log.json.{n}.gz").read_bytes()) for n in (3, 2, 1))
        assert [int(json.loads(line)["log"]) for line in raw.splitlines()] == numbers[: raw.count(b"\n")]


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("tail", [None, 0, 7])
def test_a_follower_misses_and_repeats_nothing(tmp_path: Path, compress: bool, tail: int | None) -> None:
    """At whichever point of the writing it looks: through one rotation and several, before and after compression."""
    for step in (1, 3, 10, 25):
        place = tmp_path / f"{step}"
        place.mkdir()
        writer = LogWriter(str(place), LogOptions(1000, 4, compress))
        _write_numbers(writer, range(100))
        kept = len(_read(place))
        reader = LogReader(str(place), LogSelection(tail=tail))
        seen = _texts(list(reader.read_kept()))
        assert len(seen) == (kept if tail is None else tail)
        for begin in range(100, 300, step):
            _write_numbers(writer, range(begin, min(begin + step, 300)))
            seen += _texts(list(reader.read_added()))
        writer.close()
        seen += _texts(list(reader.read_added()))
        reader.close()
        numbers = [int(text) for text in seen]
        assert numbers == list(range(300 - len(numbers), 300))
        assert len(numbers) == 200 + (kept if tail is None else tail)


def test_a_follower_that_was_overtaken_goes_on_with_the_oldest_kept(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path), LogOptions(1000, 2, compress=True))
    _write_numbers(writer, range(5))
    reader = LogReader(str(tmp_path), LogSelection())
    assert len(list(reader.read_kept())) == 5
    _write_numbers(writer, range(5, 300))
    writer.close()
    seen = list(reader.read_added())
    reader.close()
    kept = _read(tmp_path)
    assert seen[-len(kept) :] == kept
    assert kept[-1].text == "299\n"
    # the rest of the file it was in is still its own, and then it says how much it has missed
    *rest, lost = seen[: -len(kept)]
    assert _texts(rest) == [f"{number}\n" for number in range(5, 5 + len(rest))]
    missed = int(kept[0].text) - 5 - len(rest)
    words = f"sandbox: {missed} lines of output lost here: the log was rotated before it was read\n"
    assert (lost.stream, lost.time, lost.text) == ("stderr", kept[0].time, words)


def test_what_is_missed_is_counted_across_restarts_and_pieces_of_lines(tmp_path: Path) -> None:
    options = LogOptions(40_000, 2)
    writer = LogWriter(str(tmp_path), options)
    writer.write("stdout", b"begin\n")
    reader = LogReader(str(tmp_path), LogSelection())
    assert _texts(list(reader.read_kept())) == ["begin\n"]
    # as of a container that says what looks like the count of a file
    long, tricky = b"x" * 40_000 + b"\n", b',"before":7}\n'
    for _ in range(9):
        writer.write("stdout", long + tricky)
        writer.close()
        writer = LogWriter(str(tmp_path), options)
    writer.close()
    seen = _texts(list(reader.read_added()))
    reader.close()
    (place,) = [number for number, text in enumerate(seen) if text.startswith("sandbox: ")]
    # three pieces of a long line, and the short one
    assert seen[place].startswith(f"sandbox: {9 * 4 - (len(seen) - 1)} lines of output lost here: ")
    assert _texts(_read(tmp_path)) == seen[place + 1 :]
    assert {len(text) for text in seen[:place] + seen[place + 1 :]} == {16384, 40_001 - 2 * 16384, len(tricky)}


def test_a_rotation_that_was_killed_is_taken_up(tmp_path: Path) -> None:
    options = LogOptions(1000, 4, compress=True)
    writer = LogWriter(str(tmp_path), options)
    _write_numbers(writer, range(60))
    writer.close()
    older, compressed = tmp_path / "log.json.1", tmp_path / "log.json.1.gz"
    expected = _texts(_read(tmp_path))
    content = compressed.read_bytes()
    # killed between the two ends of a compression, and before its first
    older.write_bytes(gzip.decompress(content))
    assert _texts(_read(tmp_path)) == expected
    LogWriter(str(tmp_path), options).close()
    assert (older.exists(), compressed.read_bytes()) == (False, content)
    compressed.unlink()
    older.write_bytes(gzip.decompress(content))
    (tmp_path / "log.json.1.gz.part").write_bytes(b"half")
    assert _texts(_read(tmp_path)) == expected
    LogWriter(str(tmp_path), options).close()
    assert sorted(path.name for path in tmp_path.glob("log.json.1*")) == ["log.json.1.gz"]
    assert _texts(_read(tmp_path)) == expected
    # killed between two of the names: one number is free
    (tmp_path / "log.json.3.gz").unlink()
    (tmp_path / "log.json.2.gz").rename(tmp_path / "log.json.3.gz")
    left = _texts(_read(tmp_path))
    assert left == expected[-len(left) :]
    assert left == _texts(_read(tmp_path, LogSelection(tail=len(left))))
    (tmp_path / "log.json.1.gz").rename(tmp_path / "log.json.2.gz")
    (tmp_path / "log.json").rename(tmp_path / "log.json.1")
    assert _texts(_read(tmp_path)) == left


def test_a_full_disk_costs_lines_and_the_log_says_where(tmp_path: Path) -> None:
    """A limit of the process's stands for the disk: a write that goes over it is cut short, and the next one fails."""
    writer = LogWriter(str(tmp_path), LogOptions())
    writer.write("stdout", b"kept\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "log.json").stat().st_size + 350, before[1]))
    try:
        writer.write("stdout", b"fits\n" + b"lost %d\n" % 0 + (b"%0200d\n" % 1) * 8)
        writer.write("stdout", b"%0200d\n" % 2)
        shown = _texts(_read(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert shown == ["kept\n", "fits\n", "lost 0\n", "sandbox: output is lost from here on: File too large\n"]
    writer.write("stdout", b"again\n")
    writer.close()
    entries = _read(tmp_path)
    assert _texts(entries) == [*shown, "sandbox: 9 lines of output lost here: File too large\n", "again\n"]
    assert {entry.stream for entry in entries if entry.text.startswith("sandbox:")} == {"stderr"}


def test_the_end_of_a_full_disk_is_told_at_the_end_too(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path), LogOptions())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        writer.write("stdout", b"lost\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    writer.close()
    assert _texts(_read(tmp_path)) == ["sandbox: 1 line of output lost here: File too large\n"]


@pytest.mark.parametrize(
    ("driver", "options", "expected"),
    [
        ("json-file", {}, LogOptions(100 << 20, 5)),
        ("json-file", {"max-size": "2k"}, LogOptions(2048, 1)),
        ("json-file", {"max-size": "2k", "max-file": "3"}, LogOptions(2048, 3)),
        ("json-file", {"max-size": "2k", "max-file": "3", "compress": "true"}, LogOptions(2048, 3, compress=True)),
        ("json-file", {"max-size": "-1"}, LogOptions()),
        ("json-file", {"max-file": "1"}, LogOptions(100 << 20, 1)),
        ("json-file", {"max-file": "3"}, LogOptions(100 << 20, 3)),
        ("json-file", {"compress": "false"}, LogOptions(100 << 20, 5)),
        ("local", {}, LogOptions(20 << 20, 5, compress=True)),
        ("local", {"max-size": "1m"}, LogOptions(1 << 20, 5, compress=True)),
        ("local", {"max-file": "2", "compress": "false"}, LogOptions(20 << 20, 2)),
        ("local", {"max-file": "1"}, LogOptions(20 << 20, 1)),
        ("local", {"max-size": "-1"}, LogOptions()),
    ],
)
def test_the_bounds_of_each_driver(driver: str, options: dict[str, str], expected: LogOptions) -> None:
    assert parse_log_options(driver, tuple(options.items())) == expected
    assert parse_log(driver, [f"{name}={value}" for name, value in options.items()]).driver == driver


@pytest.mark.parametrize(
    ("driver", "options", "message"),
    [
        ("local", ["max-file=3", "max-size=-1"], "max-file cannot be greater than 1 with max-size=-1"),
        ("json-file", ["compress=true", "max-size=1m"], "compress cannot be true"),
        ("local", ["compress=true", "max-file=1"], "compress cannot be true"),
        ("local", ["compress=yes"], "invalid value for compress"),
        ("local", ["max-size=0"], "invalid value for max-size"),
        ("local", ["labels=x"], "unknown log opt"),
        ("none", ["max-size=1m"], "invalid logging opts for driver none"),
    ],
)
def test_options_that_disagree_are_refused(driver: str, options: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_log(driver, options)


@pytest.mark.parametrize(
    "text", [b"", b"\n", b'a"b\n', b"a\\n", b"\\\n", b"\xc3\xa9\n", b'","stream":"stdout","time":"\n']
)
def test_lines_read_together_are_those_read_one_by_one(text: bytes) -> None:
    """Also where a full disk has cut one short, and the next goes on in its place."""
    whole = _entry(b"whole\n", "stdout", 1)
    line = _entry(text, "stderr", 2)
    for cut in range(len(line) + 1):
        for lines in (line[:cut] + whole, whole + line[:cut] + b"\n" + whole, whole + whole + line):
            one_by_one = (_parse(each) for each in lines.split(b"\n")[:-1])
            expected = [entry for entry in one_by_one if entry is not None]
            assert parse_lines(lines) == expected
            assert list(zip(*LogBlock(lines).columns(), strict=True)) == expected
