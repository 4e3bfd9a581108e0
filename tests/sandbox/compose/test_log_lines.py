"""Lines of several containers, told apart."""

from __future__ import annotations

from sandbox.compose.log_lines import LineWriter, Prefixes


def test_prefixes_are_as_wide_as_the_longest_name_that_is_known() -> None:
    prefixes = Prefixes(["web-1", "database-1"], colour=False)
    assert prefixes.of("web-1") == "web-1       | "
    assert prefixes.of("database-1") == "database-1  | "
    assert prefixes.of("a-very-long-name-1") == "a-very-long-name-1  | "
    assert prefixes.of("web-1") == "web-1               | "
    assert Prefixes(["web-1"], colour=True, shown=False).of("web-1") == ""


def test_colours_come_in_a_row_and_begin_again() -> None:
    names = [f"s-{number}" for number in range(11)]
    prefixes = Prefixes(names, colour=True)
    codes = [prefixes.of(name).partition("m")[0].removeprefix("\x1b[") for name in names]
    assert codes == ["36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1", "36"]
    assert prefixes.of("s-0") == "\x1b[36ms-0   | \x1b[0m"
    assert prefixes.coloured("s-1", "x") == "\x1b[33mx\x1b[0m"
    assert Prefixes(names, colour=False).coloured("s-1", "x") == "x"


def test_pieces_become_lines() -> None:
    written: list[bytes] = []
    writer = LineWriter(written.append, lambda: "p | ")
    assert writer.is_at_start
    writer.feed(b"one\ntw")
    assert not writer.is_at_start
    assert written == [b"p | one\n"]
    writer.feed(b"o\r\n\n")
    assert written[1:] == [b"p | two\n", b"p | \n"]
    writer.feed(b"end")
    writer.flush()
    writer.flush()
    assert written[3:] == [b"p | end\n"]
    # a line without an end is not kept for ever
    writer.feed(b"x" * 70_000)
    assert len(written) == 5
    assert writer.is_at_start
