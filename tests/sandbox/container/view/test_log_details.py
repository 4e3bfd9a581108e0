"""What `logs --details` shows, and which log options ask for it."""

from __future__ import annotations

import pytest

from sandbox.container.model.record import ContainerConfig
from sandbox.container.view.log_details import log_details
from sandbox.errors import UsageError
from sandbox.grammar.logs import parse_log

CONFIG = ContainerConfig(
    "img", "sha256:1", (), ("true",), environment=("A=1 2", "B=x", "PATH=/bin"),
    labels=(("tier", "front,end"), ("com.example.a", "1"), ("other", "2")),
)  # fmt: skip


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ""),
        (("max-size=1m",), ""),
        (("labels=tier,nope",), "tier=front%2Cend"),
        (("env=A,B",), "A=1+2,B=x"),
        (("labels-regex=^com\\.", "env-regex=^B$"), "B=x,com.example.a=1"),
        (("labels=other", "labels-regex=tier", "env=PATH"), "PATH=%2Fbin,other=2,tier=front%2Cend"),
        (("labels=",), ""),
    ],
)
def test_labels_and_variables_that_options_name(options: tuple[str, ...], expected: str) -> None:
    assert log_details(CONFIG._replace(log=parse_log("json-file", options))) == expected


@pytest.mark.parametrize(
    ("driver", "option", "why"),
    [
        ("local", "labels=a", "unknown log opt 'labels' for local log driver"),
        ("json-file", "labels-regex=(", "invalid value for labels-regex"),
        ("json-file", "nope=1", "unknown log opt 'nope'"),
        ("none", "labels=a", "unknown log opt"),
    ],
)
def test_options_that_cannot_be(driver: str, option: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_log(driver, [option])
