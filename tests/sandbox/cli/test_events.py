"""`events`: Docker's line, its JSON, templates, and what is said of options that are none."""

from __future__ import annotations

import io
import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import pytest

from sandbox.cli.main import main
from sandbox.events import Event, emit
from sandbox.paths import find_paths
from sandbox.state import connect_state
from sandbox.transactions import transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.command import Home

START = Event("container", "start", "c" * 64, {"name": "web", "image": "redis", "tier": "front"})
FORGED = Event("image", "pull", "redis", {"name": "redis", "label": "x)\n2026-01-01 container die\x1b[2J"})
MADE = Event("volume", "create", "data", {"driver": "local"})


class Result(NamedTuple):
    status: int
    lines: list[str]
    stderr: str


def _run(home: Home, *words: str) -> Result:
    stdout, stderr = io.StringIO(), io.StringIO()
    status = main(("events", *words), home.env, "/", stdout, stderr)
    return Result(status, stdout.getvalue().splitlines(), stderr.getvalue())


@pytest.fixture
def told(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home where three things have happened; five and a half hours east."""
    times = iter([1_795_857_282_000_000_001, 1_795_857_283_500_000_000, 1_795_857_284_000_000_000])
    with closing(connect_state(find_paths(home.env))) as connection, transaction(connection):
        for event in (START, FORGED, MADE):
            emit(connection, event)
            connection.execute("UPDATE event SET time_ns = ? WHERE id = last_insert_rowid()", (next(times),))
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "XXX-5:30")
        time.tzset()
        yield home
    time.tzset()


PAST = ("--until", "1795857300")


def test_a_line_is_docker_s_and_stays_a_line(told: Home) -> None:
    assert _run(told, *PAST).lines == [
        "2026-11-28T14:44:42.000000001+05:30 container start " + "c" * 64 + " (image=redis, name=web, tier=front)",
        "2026-11-28T14:44:43.500000000+05:30 image pull redis"
        " (label=x)\\n2026-01-01 container die\\x1b[2J, name=redis)",
        "2026-11-28T14:44:44.000000000+05:30 volume create data (driver=local)",
    ]


def test_universal_time_has_docker_s_letter(told: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC0")
    time.tzset()
    assert _run(told, *PAST, "-f", "type=volume").lines == [
        "2026-11-28T09:14:44.000000000Z volume create data (driver=local)"
    ]


@pytest.mark.parametrize("form", ["json", "{{json .}}"])
def test_json_is_that_of_docker_s_api(told: Home, form: str) -> None:
    lines = _run(told, *PAST, "--format", form).lines
    assert lines[0] == (
        '{"status":"start","id":"' + "c" * 64 + '","from":"redis","Type":"container","Action":"start","Actor":{"ID":"'
        + "c" * 64 + '","Attributes":{"image":"redis","name":"web","tier":"front"}},"scope":"local",'
        '"time":1795857282,"timeNano":1795857282000000001}'
    )  # fmt: skip
    assert list(json.loads(lines[1])) == ["status", "id", "Type", "Action", "Actor", "scope", "time", "timeNano"]
    assert list(json.loads(lines[2])) == ["Type", "Action", "Actor", "scope", "time", "timeNano"]


def test_a_template_names_the_fields_of_docker_s_type(told: Home) -> None:
    form = "{{.Time}} {{.Type}}/{{.Action}} {{.ID}} {{.From}} {{.Status}} {{.Scope}} {{.Actor.Attributes.tier}}"
    assert _run(told, *PAST, "-f", "container=web", "--format", form).lines == [
        f"1795857282 container/start {'c' * 64} redis start local front"
    ]
    assert _run(told, *PAST, "-f", "volume=data", "--format", "{{.Actor.Attributes.no}} {{json .Actor}}").lines == [
        '<no value> {"ID":"data","Attributes":{"driver":"local"}}'
    ]


def test_since_and_until_take_docker_s_times(told: Home) -> None:
    def actions(*words: str) -> list[str]:
        return _run(told, *words, "--format", "{{.Action}}").lines

    assert actions("--since", "1795857283.5", "--until", "2026-11-28T09:14:44Z") == ["pull", "create"]
    assert actions("--since", "2026-11-28T14:44:43", "--until", "1795857283.5") == ["pull"]
    assert actions("--since", "1795857284.000000001", *PAST) == []


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("--since", "yesterday"), 1, "failed to parse value as time or duration"),
        (("--since", "1m", "--until", "2m"), 1, "`since` time (1m) cannot be after `until` time (2m)"),
        (("-f", "nonsense=1"), 1, "invalid filter 'nonsense'"),
        (("-f", "nonsense"), 125, "invalid argument"),
        (("--format", "{{.Scop}}"), 64, "mend: --format '{{.Scope}}'"),
        (("--format", "{{"), 64, "template parsing error"),
        (("word",), 1, "accepts no arguments"),
    ],
)
def test_what_cannot_be_understood_is_said_at_once(home: Home, words: tuple[str, ...], status: int, says: str) -> None:
    done = _run(home, *words)
    assert (done.status, done.lines) == (status, [])
    assert says in done.stderr
