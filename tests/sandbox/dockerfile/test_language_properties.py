"""What holds for every text: printing is stable, only our own error is raised, and time is by the length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.dockerfile.arguments import platform_arguments, read_globals
from sandbox.dockerfile.errors import DockerfileError, LanguageError
from sandbox.dockerfile.lint import check_program
from sandbox.dockerfile.lint_stages import Surroundings
from sandbox.dockerfile.outline import find_target, outline
from sandbox.dockerfile.parser import INSTRUCTIONS, parse_dockerfile
from sandbox.dockerfile.printing import document
from sandbox.dockerfile.stages import read_dockerfile
from sandbox.image.platforms import Platform
from tests.sandbox.dockerfile.canonical import print_dockerfile
from tests.sandbox.dockerfile.shapes import meaning

#: what lines are made of, so that chance finds continuations, quotes, heredocs and the rest
_PIECES = st.sampled_from(
    [*sorted(INSTRUCTIONS), "from a", "run", "Copy ", "ONBUILD RUN ", " AS b", "--from=a", "--mount=type=ssh",
     "--link", "--", "--x='a b' ", "a=b", "=", "a", " ", "\t", "\n", "\r\n", "\\", "\\\n", "`", "`\n", "#",
     "# escape=`\n", "# check=skip=all\n", "'", '"', "[", "]", '["a", "b"]', '["a", 1]', "\\u", "<<", "<<EOF",
     "<<-'EOF'", "EOF", "\nEOF\n",
     "$a", "${a:-b}", "é", "\xa0", "\u2028", "\ufeff", "\x85", "\x00", "\x1b[2J", "\udc80", "NONE", "CMD", "\f", "\v"]
)  # fmt: skip
_TEXTS = st.lists(_PIECES, max_size=25).map("".join) | st.text(max_size=80)


@given(_TEXTS)
def test_printing_is_stable(text: str) -> None:
    try:
        found = parse_dockerfile(text)
    except LanguageError:
        return
    printed = print_dockerfile(found)
    again = parse_dockerfile(printed)
    assert [meaning(document(n)) for n in again.nodes] == [meaning(document(n)) for n in found.nodes]
    assert print_dockerfile(again) == printed


@given(_TEXTS)
def test_a_bad_file_raises_our_error_with_its_place(text: str) -> None:
    error = _error_of(text)
    if isinstance(error, DockerfileError):
        assert 1 <= error.place.line <= text.count("\n") + 1
        assert 1 <= error.place.column <= len(error.place.text) + 2
        # nothing in it moves the cursor of the reader's terminal
        assert all(line.isprintable() for line in error.render().split("\n"))


def _error_of(data: str | bytes) -> LanguageError | None:
    try:
        read_dockerfile(data)
    except LanguageError as error:
        return error
    return None


@given(_TEXTS)
def test_checking_and_outlining_raise_our_error_alone(text: str) -> None:
    platform = Platform("linux", "amd64")
    try:
        program = read_dockerfile("FROM scratch AS first\n" + text)
        predefined = platform_arguments(platform, platform, "", {})
        check_program(program, {}, predefined, Surroundings(lambda _base: {}))
        outline(program, find_target(program, ""), read_globals(program, {}, predefined))
    except LanguageError as error:
        assert error.render()  # noqa: PT017  # either outcome is right


@given(st.binary(max_size=200))
def test_bytes_raise_our_error_alone(data: bytes) -> None:
    error = _error_of(data)
    assert error is None or error.render()


_SIZE = 100_000


@pytest.mark.slow
def test_long_files_are_read_in_one_pass() -> None:
    """A hundred thousand of each; were any of them quadratic this would take hours."""
    lines = [
        "FROM a\nRUN a\n" * (_SIZE // 10),
        "FROM a\nRUN a" + " \\\n b" * _SIZE,
        "FROM a\nRUN a" + " \\\n\n# c\n" * _SIZE + "b",
        "FROM a\nENV " + "a='b\\'\" " * _SIZE,
        "FROM a\nCOPY " + "a " * _SIZE,
        "FROM a\nRUN " + "--mount=a'b' " * _SIZE,
        "FROM a\nRUN " + "<<A " * 100 + "\n" + "x\n" * _SIZE,
        "FROM a\nCMD " + "[" * _SIZE,
        "FROM a\nCMD " + '["a' + "\\u0061" * _SIZE + '"]',
        "FROM a\nCMD [1" + "0" * _SIZE + "]",
        "FROM a\n" + "ONBUILD " * _SIZE,
        "FROM a\nRUN " + "${a:-" * _SIZE + " <<EOF",
        "FROM a\n#" + " " * _SIZE + "\nUSER " + " " * _SIZE + "b" + "\t " * _SIZE,
        "# escape" + " " * _SIZE + "=" + " " * _SIZE + "`\nFROM a",
        "FROM a\nLABEL " + "x" * (100 * _SIZE),
    ]
    for text in lines:
        error = _error_of(text)
        assert error is None or len(error.render()) < 2000
