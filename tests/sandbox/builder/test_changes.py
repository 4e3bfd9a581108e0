"""`--change`: Dockerfile instructions applied to a config."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.builder.changes import apply_changes
from sandbox.errors import UsageError


@pytest.mark.parametrize(
    ("changes", "config"),
    [
        (['CMD ["a", "b"]'], {"Cmd": ["a", "b"]}),
        (["cmd a b"], {"Cmd": ["/bin/sh", "-c", "a b"]}),
        (["CMD x", 'ENTRYPOINT ["e"]'], {"Cmd": ["/bin/sh", "-c", "x"], "Entrypoint": ["e"]}),
        (["ENV A=1 B='2 3'", "ENV A=4"], {"Env": ["A=4", "B=2 3"]}),
        (["ENV A one two"], {"Env": ["A=one two"]}),
        (["EXPOSE 80 53/udp"], {"ExposedPorts": {"80/tcp": {}, "53/udp": {}}}),
        (['VOLUME ["/a b"]', "VOLUME /c"], {"Volumes": {"/a b": {}, "/c": {}}}),
        (["EXPOSE 80-82"], {"ExposedPorts": {"80/tcp": {}, "81/tcp": {}, "82/tcp": {}}}),
        (["ONBUILD RUN x", "onbuild COPY . /"], {"OnBuild": ["RUN x", "COPY . /"]}),
        (["HEALTHCHECK NONE"], {"Healthcheck": {"Test": ["NONE"]}}),
        (["WORKDIR /a", "WORKDIR b", "ENV C=d E=$C", "ENV F=$C"], {"WorkingDir": "/a/b", "Env": ["C=d", "E=", "F=d"]}),
        (["ENV A=1\nLABEL b=2"], {"Env": ["A=1"], "Labels": {"b": "2"}}),
        (["LABEL a=b"], {"Labels": {"a": "b"}}),
        (["USER me", "WORKDIR /x", "STOPSIGNAL 9"], {"User": "me", "WorkingDir": "/x", "StopSignal": "9"}),
    ],
)
def test_applied(changes: list[str], config: dict[str, Any]) -> None:
    assert apply_changes({}, changes) == config


@pytest.mark.parametrize("change", ["RUN x", "CMD", "ENV A=1 B", "ENV 'A", "", "FROM x"])
def test_refused(change: str) -> None:
    with pytest.raises(UsageError):
        apply_changes({}, [change])


def test_the_config_stays_where_nothing_is_said_of_it() -> None:
    before = {"Env": ["PATH=/bin"], "Cmd": ["sh"], "Labels": {"a": "1"}}
    assert apply_changes(before, []) == before
    changed = apply_changes(before, ["ENV PATH=$PATH:/x", "LABEL b=2", 'ENTRYPOINT ["e"]'])
    assert changed == {"Env": ["PATH=/bin:/x"], "Entrypoint": ["e"], "Labels": {"a": "1", "b": "2"}}
    assert before == {"Env": ["PATH=/bin"], "Cmd": ["sh"], "Labels": {"a": "1"}}


def test_what_is_no_change_is_named() -> None:
    with pytest.raises(UsageError, match=r"^run is not a valid change command$"):
        apply_changes({}, ["run x"])
