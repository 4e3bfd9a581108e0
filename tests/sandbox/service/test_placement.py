"""What a service says of nodes, held against the only one."""

from __future__ import annotations

import os

import pytest

from sandbox.errors import UsageError
from sandbox.service.container_request import Node
from sandbox.service.placement import check_placement

ME = Node("me", "host", {"zone": "west"})


@pytest.mark.parametrize(
    "text",
    [
        "node.role == manager",
        "node.role==worker",
        "node.role != manager",
        f"node.hostname=={os.uname().nodename}",
        "node.id == me",
        "node.platform.os==linux",
        f"node.platform.arch=={os.uname().machine}",
        "node.labels.zone != east",
        "node.labels.zone == west",
    ],
)
def test_it_fits(text: str) -> None:
    check_placement((text,), ME)


@pytest.mark.parametrize(
    "text",
    ["node.id==other", "node.labels.zone==east", "node.platform.os==windows", "node.hostname!=" + os.uname().nodename],
)
def test_it_does_not(text: str) -> None:
    with pytest.raises(UsageError, match="no suitable node") as caught:
        check_placement((text,), ME)
    assert text in caught.value.cause
