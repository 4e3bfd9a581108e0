"""Which files a client is asked for, by the Dockerfile alone."""

from __future__ import annotations

import pytest

from sandbox.api.buildkit.needed_files import needed_files
from sandbox.dockerfile.stages import read_dockerfile


@pytest.mark.parametrize(
    ("lines", "paths"),
    [
        ("RUN make", ()),
        ("COPY a.txt b/ /x/\nADD ./c/../d *.py /y/", ("a.txt", "b", "d", "*.py")),
        ("COPY --from=other / /", ()),
        ("COPY . .", None),
        ("COPY / /", None),
        ("COPY a /\nCOPY $DIR /", None),
        ('COPY ["a b", "../c", "/"]', ("a b", "c")),
        ("ADD https://host.invalid/file https://github.com/a/b.git /", ()),
        ("COPY <<END /made\ntext\nEND", ()),
        ("RUN --mount=type=cache,target=/c --mount=type=secret,id=s make", ()),
        ("RUN --mount=target=/src make", None),
        ("RUN --mount=type=bind,from=other,target=/src make", ()),
        ("COPY a**b /", None),
    ],
)
def test_the_paths(lines: str, paths: tuple[str, ...] | None) -> None:
    program = read_dockerfile(f"FROM scratch AS other\nFROM scratch\n{lines}\n".encode(), "Dockerfile")
    assert needed_files(program.stages[1].instructions) == paths
