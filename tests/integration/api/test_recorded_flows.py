"""What real clients asked an engine for is answered as Docker answered it: the same status, the same keys."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.api.recorded_flows import Asked, Replay, recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [
    pytest.mark.requires("subids", "overlay", "vectors"),
    pytest.mark.usefixtures("leaves_no_service"),
]
#: of an image that stands for all that were used: it says what clients wait for, and stops when it is told to
_STAND_IN = (
    'CMD ["sh", "-c", "mkdir -p /www; echo >/www/index.html; echo Ready to accept connections; trap exit TERM;'
    ' trap : INT; while true; do sleep 600 & wait $!; done"]'
)
#: requests that cannot be asked again, and why
_NOT_REPEATED: tuple[tuple[str, Callable[[Asked], bool]], ...] = (
    ("the recording's registry is not here",
     lambda asked: asked.line["endpoint"] in ("POST /images/create", "POST /auth", "POST /images/{id}/push")),
    ("the images that were missing then are here under all their names",
     lambda asked: "/images/one_web/json" in asked.line["path"] or "bb:1" in str(asked.line.get("answer"))),
    ("the program of the recording had ended by interrupts, which is its own affair",
     lambda asked: asked.number in (83, 87, 89)),
    ("what it needs is an id, or an archive, that was not recorded",
     lambda asked: asked.line["path"].startswith(("/images/dd:2", "/images/i:1", "/images/load"))),
    ("its name is longer than the recording has it", lambda asked: "vsc-dc2-ID66" in str(asked.line)),
    ("the project was made before the recording", lambda asked: asked.flow in (
        "up -d (environment changed: recreate)", "up -d: dependency never healthy", "down",
    ) and asked.client == "compose 2.40.3"),
)  # fmt: skip


def _shape(value: Any) -> object:
    """The keys of a document, as far as two machines can agree on them."""
    return sorted(value) if isinstance(value, dict) else type(value).__name__ if value else "empty"


def _differences(
    replay: Replay, clients: Sequence[str], takes: Callable[[str], bool] = lambda _flow: True
) -> tuple[int, list[str]]:
    """How many requests were asked again, and a line for each that was answered otherwise."""
    found, count = [], 0
    for asked in recorded(clients):
        line = asked.line
        if not takes(asked.flow) or any(holds(asked) for _why, holds in _NOT_REPEATED) or not replay.knows(asked):
            continue
        count += 1
        status, document = replay.ask(asked)
        if status != line["status"]:
            found.append(f"{asked.text}: {status} {document}, and not {line['status']} {line.get('answer', '')[:80]}")
            continue
        try:
            wanted = json.loads(line.get("answer") or "")
        except ValueError:
            continue
        if document is not None and _shape(wanted) != _shape(document):
            found.append(f"{asked.text}: {document}, and not {wanted}")
    return count, found


@pytest.fixture
def replay(socket: str, sandbox: Sandbox, busybox: str, busybox_tar: Path) -> Replay:
    """What asks them of a server where the stand-in has all the names of images."""
    sandbox.run("import", "-c", _STAND_IN, str(busybox_tar), "stand-in:1")
    names = {busybox, "docker.io/library/c:1"}
    for asked in recorded(("",)):
        body = asked.line.get("body")
        if asked.line["endpoint"] == "POST /containers/create" and asked.line["status"] == 201 and body:
            names.add(body["Image"])
        if asked.line["endpoint"] == "POST /services/create" and body:
            names.add(body["TaskTemplate"]["ContainerSpec"]["Image"])
    for name in names:
        if not name.startswith(("ID", "vsc-", "sha256:")):
            sandbox.run("tag", "stand-in:1", name)
    return Replay(socket, busybox)


def test_what_docker_py_and_testcontainers_asked(replay: Replay) -> None:
    with closing(replay):
        count, found = _differences(replay, ("docker-py", "testcontainers"))
    assert (count > 80, found) == (True, [])


def test_what_docker_asked_of_a_swarm(replay: Replay) -> None:
    with closing(replay):
        count, found = _differences(replay, ("docker-cli",), lambda flow: "stack" in flow or "service" in flow)
    assert (count, found) == (66, [])


@pytest.mark.long
def test_what_all_clients_asked(replay: Replay) -> None:
    with closing(replay):
        count, found = _differences(replay, ("",))
    assert (count > 1100, found) == (True, [])
