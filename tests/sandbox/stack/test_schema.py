"""Our reading of a file held against the specification's own JSON schema, on what is right and on what is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jsonschema_rs
from hypothesis import HealthCheck, given, settings

from sandbox.stack.errors import ComposeFileError
from sandbox.stack.project_request import Steps
from tests.sandbox.stack.projects import load
from tests.sandbox.stack.schema import SCHEMA, documents

_VALIDATOR = jsonschema_rs.validator_for(SCHEMA)

#: what we refuse although it has the form, for its value can be of no use
_BEYOND_FORM = re.compile(
    # the schema takes any text in the place of a number, a truth value or a mode, as a variable may stand there
    r"the (text|number) .* stands where (a whole number.*|a number|true or false|permission bits.*) is expected$"
    r"|invalid (size|port|device|volume|IP address|protocol)\b"
    r"|.* is no (duration|name|NAME=VALUE|NAME=ADDRESS|mapping of ids)\b"
    r"|.* is no number of|.*: a part of it is empty"
    # extends leads nowhere
    r"|there is no (service|file) "
    # the schema leaves it open, and Docker passes over it
    r"|(a request for devices|'external') has no key "
    r"|no container can have the name "
    r"|a test begins with CMD, CMD-SHELL or NONE, and not with "
)


def _refusal(document: dict[str, Any], place: Path) -> str:
    """What we say of the form of the document; "" where it is taken."""
    (place / "compose.yaml").write_text(json.dumps(document))
    try:
        load(place, Steps(interpolates=False, normalises=False, checks=False))
    except ComposeFileError as error:
        where = f": {error.path}: "
        return error.message.partition(where)[2] or error.message
    return ""


def _without_leniences(value: Any, key: str = "") -> Any:
    """The value without what we take although it has not the form: a text that stands twice in a list, which changes
    nothing; a part of a byte of memory, which is dropped; and what is of containers of Windows, and only warned about.
    """
    if isinstance(value, list):
        found = [_without_leniences(each) for each in value]
        return [each for number, each in enumerate(found) if each not in found[:number]]
    if isinstance(value, dict):
        return {name: _without_leniences(each, name) for name, each in value.items() if name != "cpu_percent"}
    return int(value) if isinstance(value, float) and key.startswith("mem") else value


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_what_has_the_form_is_taken_and_nothing_else_is(document: dict[str, Any]) -> None:
    with TemporaryDirectory() as place:
        refusal = _refusal(document, Path(place))
    if _VALIDATOR.is_valid(document):
        assert not refusal or _BEYOND_FORM.match(refusal), refusal
    elif not refusal:
        assert _VALIDATOR.is_valid(_without_leniences(document)), [
            each.message for each in _VALIDATOR.iter_errors(document)
        ]
