"""What no container can be is told with its place in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.stack.container_checks import check_request
from sandbox.stack.errors import ComposeFileError
from sandbox.stack.request import Instance, request_of
from tests.sandbox.stack.projects import one

if TYPE_CHECKING:
    from pathlib import Path


def _check(directory: Path, body: str) -> None:
    project = one(directory, f"services: {{web: {{image: i, {body}}}}}\nvolumes: {{vol: {{}}}}\n", name="demo")
    check_request(project, "web", request_of("web", project, Instance()))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("mem_limit: 1k", "services.web.mem_limit: Minimum memory limit allowed is 6MB"),
        ("deploy: {resources: {limits: {memory: 1k}}}", "services.web.deploy.resources.limits.memory: Minimum memory"),
        ("cpus: 0.001", "services.web.cpus: range of CPUs is from 0.01"),
        ("cap_add: [NOPE]", "services.web.cap_add: invalid CapAdd/CapDrop: unknown capability: 'CAP_NOPE'"),
        ("cap_drop: [ALL, NOPE]", "services.web.cap_drop: invalid CapAdd/CapDrop: unknown capability: 'CAP_NOPE'"),
        ("hostname: a b", "services.web.hostname: invalid hostname"),
        ("working_dir: a", "services.web.working_dir: the working directory 'a' is invalid"),
        ("stop_signal: NONE", "services.web.stop_signal: invalid signal: NONE"),
    ],
)
def test_what_cannot_be(tmp_path: Path, body: str, says: str) -> None:
    with pytest.raises(ComposeFileError) as caught:
        _check(tmp_path, body)
    assert caught.value.message.startswith("compose.yaml:1:")
    assert says in caught.value.message
    assert not caught.value.mend.startswith("-")


def test_what_can_be(tmp_path: Path) -> None:
    _check(tmp_path, "volumes: ['vol:/data', './x:/x:ro'], volumes_from: ['container:x'], pid: host, mem_limit: 6m")
