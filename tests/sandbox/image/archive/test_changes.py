"""`--change`: Dockerfile instructions applied to a config."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.errors import UsageError
from sandbox.image.archive.changes import apply_change
from sandbox.image.recording import parse_time_ns


@pytest.mark.parametrize(
    ("changes", "config"),
    [
        (['CMD ["a", "b"]'], {"Cmd": ["a", "b"]}),
        (["cmd a b"], {"Cmd": ["/bin/sh", "-c", "a b"]}),
        (["CMD x", 'ENTRYPOINT ["e"]'], {"Entrypoint": ["e"]}),
        (["ENV A=1 B='2 3'", "ENV A=4"], {"Env": ["A=4", "B=2 3"]}),
        (["ENV A one two"], {"Env": ["A=one two"]}),
        (["EXPOSE 80 53/udp"], {"ExposedPorts": {"80/tcp": {}, "53/udp": {}}}),
        (['VOLUME ["/a b"]', "VOLUME /c"], {"Volumes": {"/a b": {}, "/c": {}}}),
        (["LABEL a=b"], {"Labels": {"a": "b"}}),
        (["USER me", "WORKDIR /x", "STOPSIGNAL 9"], {"User": "me", "WorkingDir": "/x", "StopSignal": "9"}),
    ],
)
def test_applied(changes: list[str], config: dict[str, Any]) -> None:
    found: dict[str, Any] = {}
    for change in changes:
        apply_change(found, change)
    assert found == config


@pytest.mark.parametrize("change", ["RUN x", "CMD", "ENV A=1 B", "ENV 'A", "", "FROM x"])
def test_refused(change: str) -> None:
    with pytest.raises(UsageError):
        apply_change({}, change)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("2015-10-31T22:22:56.015925234Z", 1446330176015925234),
        ("2015-10-31T23:22:56.5+01:00", 1446330176500000000),
        ("0001-01-01T00:00:00Z", 0),
        ("9999-01-01T00:00:00Z", 0),
        ("nonsense", 0),
        ("2015-10-31", 0),
        ("", 0),
        (None, 0),
    ],
)
def test_times(text: str | None, expected: int) -> None:
    assert parse_time_ns(text) == expected
