"""What each instruction refuses, with the place and the words; and places in files that make them hard to find."""

from __future__ import annotations

import pytest

from sandbox.dockerfile.errors import DockerfileError, LanguageError, WordError
from sandbox.dockerfile.instructions import Copy, Healthcheck, Onbuild, Run
from sandbox.dockerfile.mounts import read_mount
from sandbox.dockerfile.parser import parse_dockerfile
from sandbox.dockerfile.stages import read_dockerfile
from sandbox.values import HealthCheck

#: an instruction, the column where it is wrong, and a part of the message
_REFUSED = [
    ("FORM a", 1, "did you mean FROM?"),
    ("RUM a", 1, "did you mean RUN?"),
    ("RNU a", 1, "did you mean RUN?"),
    ("FROM", 1, "one or three"),
    ("FROM a b", 8, "one or three"),
    ("FROM a AS", 8, "one or three"),
    ("FROM a AS 1b", 11, "invalid name"),
    ("FROM a AS b c", 8, "one or three"),
    ("FROM --plattform=x a", 6, "did you mean platform?"),
    ("RUN --mnt=a b", 5, "did you mean mount?"),
    ("RUN  --network=hots b", 6, "did you mean host?"),
    ("RUN --security=no b", 5, "invalid security"),
    ("RUN --network=none --network=host b", 20, "duplicate"),
    ("RUN --mount=from=$a,target=/b c", 5, "no variables"),
    ('RUN --mount="\\"a" c', 5, "mount"),
    ("RUN --mount c", 5, "missing a value"),
    ("CMD --a b", 5, "unknown flag"),
    ('CMD ["a", 1]', 5, "must be text"),
    ('ENTRYPOINT ["a", null]', 12, "must be text"),
    ("SHELL a b", 7, "JSON form"),
    ("SHELL []", 1, "at least one"),
    ("ENV", 1, "at least one"),
    ("ENV a", 5, "two arguments"),
    ("ENV a=b  c", 10, "no = in 'c'"),
    ("ENV =b", 5, "blank"),
    ("LABEL a", 7, "two arguments"),
    ("ARG", 1, "at least one"),
    ("ARG a =b", 7, "blank"),
    ("EXPOSE", 1, "at least one"),
    ("VOLUME", 1, "at least one"),
    ('VOLUME ["a", " "]', 8, "empty"),
    ("USER", 1, "exactly one"),
    ("WORKDIR", 1, "exactly one"),
    ("STOPSIGNAL", 1, "exactly one"),
    ("MAINTAINER", 1, "exactly one"),
    ("COPY", 1, "none was given"),
    ("COPY a", 6, "only one"),
    ("COPY --link=maybe a b", 6, "no such value"),
    ("COPY --link= a b", 6, "no such value"),
    ("COPY --form=x a b", 6, "did you mean from?"),
    ("COPY --from a b c", 6, "missing a value"),
    ("COPY a <<EOF\nEOF", 8, "no heredoc"),
    ("COPY <<EOF b\nEO", 6, "unterminated heredoc 'EOF'"),
    ("ADD --check-sum=a b c", 5, "did you mean checksum?"),
    ("ADD --parents a b", 5, "unknown flag"),
    ("ONBUILD", 1, "at least one"),
    ("ONBUILD ONBUILD RUN a", 9, "not allowed"),
    ("ONBUILD FROM a", 9, "not allowed"),
    ("ONBUILD MAINTAINER a", 9, "not allowed"),
    ('ONBUILD CMD ["a", {}]', 13, "must be text"),
    ("HEALTHCHECK", 1, "at least one"),
    ("HEALTHCHECK NONE a", 18, "no arguments"),
    ("HEALTHCHECK CMD", 13, "no command"),
    ("HEALTHCHECK CDM a", 13, "did you mean CMD?"),
    ("HEALTHCHECK --interval=1 CMD a", 13, "unit"),
    ("HEALTHCHECK --timeout=1us CMD a", 13, "less than 1ms"),
    ("HEALTHCHECK --interval=1s --retries=-1 CMD a", 27, "not a count"),
    ("HEALTHCHECK --retry=1 CMD a", 13, "did you mean retries?"),
]


@pytest.mark.parametrize(("text", "column", "message"), _REFUSED)
def test_refused(text: str, column: int, message: str) -> None:
    with pytest.raises(DockerfileError) as raised:
        read_dockerfile(f"FROM a\n\n{text}\n", "web.Dockerfile")
    error = raised.value
    assert str(error.place) == f"web.Dockerfile:3:{column}"
    assert message in error.message
    assert error.place.text == text.partition("\n")[0]


def test_how_an_error_reads() -> None:
    with pytest.raises(DockerfileError) as raised:
        read_dockerfile("FROM a\n  COPY --form=b \\\n c d\n")
    assert raised.value.render() == (
        "Error: Dockerfile:2:8: unknown flag: --form (did you mean from?)\n"
        "  2 |   COPY --form=b \\\n"
        "    |        ^\n"
        "  expected: COPY takes --chmod, --chown, --exclude, --from, --link, --parents"
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("FROM a\nENV a=b \\\n  # remark\n\n   c \\\n d=e", "5:4"),
        ("FROM a\r\nENV a=b \\\r\n  c\r\n", "3:3"),
        ("\ufeff FROM a\n\tUSR x", "2:2"),
        ("# escape=`\nFROM a\nENV a=b `\n  c", "4:3"),
        ("FROM a\nRUN <<A <<B\nx\nA\ny\nB\nUSR", "7:1"),
        ("FROM a\nONBUILD \\\n ENV a", "3:6"),
        ("ENV\\\n a=b\\\n c", "3:2"),
    ],
)
def test_places_across_lines(text: str, place: str) -> None:
    with pytest.raises(DockerfileError) as raised:
        read_dockerfile(text)
    assert str(raised.value.place) == f"Dockerfile:{place}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# escape=x\nFROM a", 1),
        ("# syntax=a\n# escape=`\n# ESCAPE=`\nFROM a", 3),
        ("# comment\n\n", 2),
        ("RUN a\nFROM b", 1),
        ("", 1),
    ],
)
def test_a_file_that_is_refused(text: str, line: int) -> None:
    with pytest.raises(DockerfileError) as raised:
        read_dockerfile(text)
    assert raised.value.place.line == line


def test_utf_16_is_named() -> None:
    with pytest.raises(LanguageError, match="UTF-16"):
        read_dockerfile("FROM a".encode("utf-16"))


def test_nothing_moves_the_terminals_cursor() -> None:
    with pytest.raises(DockerfileError) as raised:
        read_dockerfile("\x1b[2J\x1b]0;title\x07" + "x" * 5000)
    assert "\x1b" not in raised.value.render()
    assert len(raised.value.render()) < 1000


def test_directives() -> None:
    found = parse_dockerfile(
        "# Syntax = docker/dockerfile:1 remark\n# escape=`\n# check=skip=all\nFROM a\n# escape=\\\n"
    )
    assert {name: d.first_word for name, d in found.directives.values.items()} == {
        "syntax": "docker/dockerfile:1",
        "escape": "`",
        "check": "skip=all",
    }
    assert parse_dockerfile("#!/bin/x\n# syntax=a\n# escape=`\nFROM a").directives.values.keys() == {"syntax"}
    assert parse_dockerfile("\n# escape=`\nFROM a").escape == "\\"


def test_heredocs() -> None:
    text = "FROM a\nRUN 3<<-\"E F\" x <<B\n\ta\n\tE F\n$b\nB\nCOPY <<-A <<'C' /\n\t\tx\n\tA\n\ty\nC\n"
    run, copy = read_dockerfile(text).stages[0].instructions
    assert isinstance(run, Run)
    assert isinstance(copy, Copy)
    assert [tuple(h) for h in run.heredocs] == [("E F", "\ta\n", False, True, 3), ("B", "$b\n", True, False, 0)]
    assert run.heredocs[0].text == "a\n"
    assert [tuple(f) for f in copy.files] == [("A", "x\n", True), ("C", "\ty\n", False)]


@pytest.mark.parametrize(
    "line", ["RUN cat <<<a", "RUN echo $((1<<2))", 'RUN ["a", "<<b"]', "ENV a=<<b", "RUN echo '<<b", "RUN a<<b c"]
)
def test_no_heredoc(line: str) -> None:
    assert not parse_dockerfile(f"FROM a\n{line}\n").nodes[1].heredocs


def test_onbuild_keeps_its_heredocs() -> None:
    (onbuild,) = read_dockerfile("FROM a\nOnbuild  RUN --network=none <<A\nx\nA\n").stages[0].instructions
    assert isinstance(onbuild, Onbuild)
    assert onbuild.expression == "RUN --network=none <<A\nx\nA"


def test_healthcheck() -> None:
    text = 'FROM a\nHEALTHCHECK --interval=1m30s --start-interval=0 --retries=+2 cmd ["a", "b"]'
    (check,) = read_dockerfile(text).stages[0].instructions
    assert isinstance(check, Healthcheck)
    assert check.check == HealthCheck(("CMD", "a", "b"), 90_000_000_000, retries=2)


_MOUNTS_REFUSED = [
    ("type=volume", "unsupported mount type"),
    ("type=caches", "did you mean cache?"),
    ("target", "must be key=value"),
    ("targt=/a", "did you mean target?"),
    ("required,type=secret,id=a", "unexpected key 'required'"),
    ("type=bind,size=1m", "unexpected key 'size'"),
    ("type=tmpfs,size=many", "invalid value for size"),
    ("type=bind,mode=0755", "mode is not allowed"),
    ("type=tmpfs,uid=1", "uid is not allowed"),
    ("type=cache,mode=9", "invalid value"),
    ("type=cache,uid=4294967296", "invalid value"),
    ("type=cache,gid=-1", "invalid value"),
    ("type=secret", "needs one of"),
    ("type=secret,id=a,src=b", "not both"),
    ("type=secret,from=a,id=b", "no from"),
    ("type=bind,sharing=locked", "sharing is for cache"),
    ("type=cache,sharing=lock", "did you mean locked?"),
    ("type=bind,ro=perhaps", "true or false"),
]


@pytest.mark.parametrize(("text", "message"), _MOUNTS_REFUSED)
def test_mounts_refused(text: str, message: str) -> None:
    with pytest.raises(WordError) as raised:
        read_mount(text, str)
    assert message in raised.value.message


def test_mount_values_are_expanded() -> None:
    found = read_mount(
        'type=$T,"target=/a,b",Mode=0700,uid=1,rw=false,sharing=LOCKED', lambda v: v.replace("$T", "cache")
    )
    assert (found.type, found.target, found.mode, found.uid, found.readonly, found.sharing) == (
        "cache",
        "/a,b",
        0o700,
        1,
        True,
        "locked",
    )
