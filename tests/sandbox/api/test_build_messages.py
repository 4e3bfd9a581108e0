"""What the classic builder's clients are told of a build."""

from __future__ import annotations

from typing import Any

from sandbox.api.documents.build_messages import BuildMessages, failure_message
from sandbox.builder.progress.progress import Event, EventKind, Vertex


def told(*events: Event, reuses: bool = True) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    messages = BuildMessages(found.append, quiet=False, reuses=reuses)
    for event in events:
        messages(event)
    return found


def step(kind: EventKind, vertex: str = "", step: Vertex | None = None, **fields: Any) -> Event:
    return Event(kind, vertex, 1, step, **fields)


BUILD = (
    step("started", "pull", Vertex("pull", "[internal] pull busybox:1")),
    step("status", "pull", text="1: Pulling from library/busybox"),
    step("status", "pull", text="layer abc", current=5, total=9),
    step("status", "pull", text="Status: Image is up to date for busybox:1"),
    step("finished", "pull"),
    step("warning", text="Dockerfile:3:1: JSONArgsRecommended: use the JSON form"),
    step("warning", text="One or more build-args [x] were not consumed"),
    step("instruction", step=Vertex("", "FROM busybox:1", total=4)),
    step("instruction", step=Vertex("", "ENV a=b", total=4)),
    step("started", "run", Vertex("run", "[2/2] RUN make", position=2, total=2)),
    step("output", "run", data=b"made\n"),
    step("output", "run", data=b"badly\n", stream=2),
    step("finished", "run"),
    step("instruction", step=Vertex("", "CMD sh", total=4)),
)


def test_each_instruction_is_a_step() -> None:
    assert told(*BUILD) == [
        {"status": "Pulling from library/busybox", "id": "1"},
        {"status": "Status: Image is up to date for busybox:1"},
        {"stream": "[Warning] One or more build-args [x] were not consumed\n"},
        {"stream": "Step 1/4 : FROM busybox:1\n"},
        {"stream": "Step 2/4 : ENV a=b\n"},
        {"stream": " ---> Using cache\n"},
        {"stream": "Step 3/4 : RUN make\n"},
        {"stream": "made\n"},
        # what was written to standard error is red
        {"stream": "\x1b[91mbadly\n\x1b[0m"},
        # and what follows a step that was made anew is of no earlier build
        {"stream": "Step 4/4 : CMD sh\n"},
    ]


def test_nothing_is_of_an_earlier_build_where_none_may_be_used() -> None:
    cached = step("instruction", step=Vertex("", "ENV a=b", total=4))
    assert {"stream": " ---> Using cache\n"} not in told(BUILD[7], cached, reuses=False)


def test_a_failed_command_is_told_by_its_code() -> None:
    text = 'process "/bin/sh -c false" did not complete successfully: exit code: 7'
    assert failure_message(text)["errorDetail"] == {
        "code": 7, "message": "The command '/bin/sh -c false' returned a non-zero code: 7",
    }  # fmt: skip
