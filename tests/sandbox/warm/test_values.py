"""Values and errors on their way between processes."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.container.model.record import ContainerState
from sandbox.container.request.request import ContainerRequest
from sandbox.errors import ConflictError, NotFoundError, SandboxError, UsageError
from sandbox.protocol.frames import MAXIMUM_PAYLOAD, ProtocolError
from sandbox.values import EndpointRequest, HealthCheck, PublishedPort, RestartPolicy
from sandbox.warm.failures import WorkerDiedError
from sandbox.warm.messages import Assembly, encode_long_message
from sandbox.warm.values import Decoder, Descriptor, Encoder, decode_error, encode_error

_plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
_values = st.recursive(
    _plain,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.frozensets(st.text())
    ),
    max_leaves=20,
)


def _carried(value: Any) -> Any:  # Any: any value
    return Decoder().decode(json.loads(json.dumps(Encoder().encode(value))))


def _kinds(value: Any) -> object:  # Any: any value
    """The classes in a value, for 1 == True == 1.0."""
    if isinstance(value, dict):
        return [(type(key), _kinds(item)) for key, item in value.items()]
    return [_kinds(item) for item in value] if isinstance(value, list | tuple) else type(value)


@settings(max_examples=60)
@given(_values)
def test_a_value_arrives_as_it_was(value: object) -> None:
    there = _carried(value)
    assert there == value
    assert _kinds(there) == _kinds(value)


def test_a_record_keeps_its_class_and_its_records() -> None:
    state = ContainerState(published_ports=(PublishedPort("", 80, 80),), error="x")
    there = _carried((state, RestartPolicy("always")))
    assert there == (state, RestartPolicy("always"))
    assert [type(item) for item in there] == [ContainerState, RestartPolicy]
    assert type(there[0].published_ports[0]) is PublishedPort


def test_what_is_asked_of_a_container_arrives() -> None:
    request = ContainerRequest(
        "busybox", command=(), entrypoint=("sh",), health=HealthCheck(("CMD", "true"), retries=3), open_stdin=True,
        endpoints=(EndpointRequest("front", aliases=("a",)),), published_ports=(PublishedPort("::1", 80, 8080),),
    )  # fmt: skip
    there = _carried(request)
    assert there == request
    assert [type(item) for item in there] == [type(item) for item in request]


def test_a_name_of_a_file_that_is_no_text_arrives() -> None:
    assert _carried(b"\xff".decode(errors="surrogateescape")) == "\udcff"


def test_a_signal_arrives_as_its_number() -> None:
    assert _carried(signal.SIGTERM) == 15


def test_what_is_no_value_is_refused_before_it_is_sent() -> None:
    with pytest.raises(TypeError, match="is no value"):
        Encoder().encode([object()])


def test_descriptors_are_sent_along_in_order() -> None:
    encoder = Encoder()
    plain = encoder.encode({"in": Descriptor(7), "out": (Descriptor(9),)})
    assert encoder.descriptors == [7, 9]
    assert Decoder([3, 4]).decode(plain) == {"in": 3, "out": (4,)}


@pytest.mark.parametrize(
    "plain",
    [
        {"record": ["os:system", {}]},
        {"record": ["subprocess:Popen", {"args": "true"}]},
        {"record": ["sandbox.errors:SandboxError", {"message": "x"}]},
        {"record": ["sandbox.values:RestartPolicy", {"unknown": 1}]},
        {"record": ["sandbox.container.model.record:nothing", {}]},
        {"descriptor": 0},
        {"what": 1},
        {"tuple": [], "set": []},
        {},
    ],
)
def test_nothing_but_values_is_made_of_what_comes_in(plain: object) -> None:
    with pytest.raises(ProtocolError):
        Decoder().decode(plain)


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("No such container: x", word="x", near="y", mend="sandbox ps", code="E1"),
        ConflictError("taken", cause="by another"),
        UsageError("what"),
        WorkerDiedError("died", exit_code=-9),
    ],
)
def test_an_error_keeps_its_class_and_fields(error: SandboxError) -> None:
    error.code = "E42"
    there = decode_error(json.loads(json.dumps(encode_error(error))))
    assert type(there) is type(error)
    assert vars(there) == vars(error)
    assert str(there) == str(error)


def test_an_error_of_a_class_that_is_not_known_is_of_the_nearest_one() -> None:
    plain = encode_error(NotFoundError("x"))
    plain["classes"].insert(0, "sandbox.image.store:NewerError")
    assert type(decode_error(plain)) is NotFoundError
    plain["classes"] = ["os:system"]
    assert type(decode_error(plain)) is SandboxError


def test_a_message_is_longer_than_a_frame() -> None:
    text = "x" * (2 * MAXIMUM_PAYLOAD + 5)
    frames = list(encode_long_message("result", value=text))
    assert len(frames) == 3
    assembly = Assembly()
    taken = [list(assembly.feed(frame)) for frame in frames]
    assert taken == [[], [], [{"type": "result", "value": text}]]
