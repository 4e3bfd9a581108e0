"""Endpoints that are slow, late or lossy."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.errors import NetError
from net.netlink import NLM_F_REPLACE, Message, NetlinkError
from net.shaping import UNSHAPED, Shaping, parse_delay, parse_loss, parse_rate, parse_shaping, shape_endpoint
from tests.net.bridge_containers import bridge, connected, endpoint, router, run_in, run_in_user_namespace

if TYPE_CHECKING:
    from net.netlink import Rtnetlink


@pytest.mark.parametrize(
    ("words", "bits"),
    [
        ("10mbit", 10_000_000), ("1.5Gbit", 1_500_000_000), ("500kbps", 4_000_000), ("800000", 800_000),
        ("1kibit", 1024), ("2 mbit", 2_000_000), ("10mbit/s", 10_000_000), (".5mbit", 500_000),
    ],
)  # fmt: skip
def test_rates(words: str, bits: int) -> None:
    assert parse_rate(words) == bits


@pytest.mark.parametrize(("words", "us"), [("50ms", 50_000), ("1.5s", 1_500_000), ("200us", 200), ("0ms", 0)])
def test_delays(words: str, us: int) -> None:
    assert parse_delay(words) == us


@pytest.mark.parametrize(("words", "percent"), [("1%", 1.0), ("0.5%", 0.5), ("100%", 100.0), ("0%", 0.0)])
def test_losses(words: str, percent: float) -> None:
    assert parse_loss(words) == percent


@pytest.mark.parametrize("words", ["", "fast", "10", "10m", "-1mbit", "0bit", "10mbyte", "1e6bit", "10mbit x"])
def test_rates_that_are_none(words: str) -> None:
    if words == "10":
        assert parse_rate(words) == 10
        return
    with pytest.raises(NetError, match="invalid rate"):
        parse_rate(words)


@pytest.mark.parametrize("words", ["", "50", "50m", "-5ms", "271s", "ms"])
def test_delays_that_are_none(words: str) -> None:
    with pytest.raises(NetError, match="invalid delay"):
        parse_delay(words)


@pytest.mark.parametrize("words", ["", "1", "101%", "-1%", "%"])
def test_losses_that_are_none(words: str) -> None:
    with pytest.raises(NetError, match="invalid loss"):
        parse_loss(words)


@given(st.text())
def test_any_text_is_a_value_or_an_error(words: str) -> None:
    for parse in (parse_rate, parse_delay, parse_loss):
        with suppress(NetError):
            assert parse(words) >= 0


def test_three_options_are_one_value() -> None:
    assert parse_shaping("10mbit", "50ms", "1%") == Shaping(10_000_000, 50_000, 1.0)
    assert parse_shaping() == UNSHAPED


@pytest.mark.requires("userns")
def test_rate_is_set_on_both_ends_and_taken_away() -> None:
    told = run_in_user_namespace(_rate)
    for end in ("router", "container"):
        assert [(each["kind"], each["options"]["rate"]) for each in told[end]] == [("tbf", 1_250_000)]
        assert told[end][0]["options"]["burst"] == pytest.approx(128 << 10, rel=0.01)
    assert [(each["kind"], each["options"]["rate"]) for each in told["changed"]] == [("tbf", 12_500_000_000)]
    assert told["after"] == ["noqueue"]


def _rate() -> dict[str, Any]:
    settings = endpoint(bridge(), 2)
    with router() as (made, routing):
        container = connected(routing, settings)
        shape_endpoint(routing, container.inside, settings, Shaping(rate_bits=10_000_000))
        command = ("tc", "-j", "qdisc", "show", "dev")
        told = {
            "router": json.loads(run_in((*command, settings.host_interface), made.net_fd)),
            "container": json.loads(container.run(*command, "eth0")),
        }
        shape_endpoint(routing, container.inside, settings, Shaping(rate_bits=100_000_000_000))
        told["changed"] = json.loads(container.run(*command, "eth0"))
        for _twice in range(2):
            shape_endpoint(routing, container.inside, settings, UNSHAPED)
        told["after"] = [each["kind"] for each in json.loads(container.run(*command, "eth0"))]
        return told


class _Recorder:
    """Takes what would be sent, in the place of a socket; refuses it with `code`."""

    def __init__(self, code: int = 0) -> None:
        self.sent: list[Message] = []
        self._code = code

    def send(self, *messages: Message) -> None:
        self.sent += messages
        if self._code:
            raise NetlinkError(f"cannot {messages[0].doing}", self._code, cause="Specified qdisc kind is unknown.")


def _as_socket(recorder: _Recorder) -> Rtnetlink:
    recorded: Any = recorder
    socket: Rtnetlink = recorded
    return socket


def test_delay_and_loss_are_of_what_is_sent() -> None:
    """As tc(8) encodes `netem delay 50ms loss 1% rate 8mbit`."""
    router_end, container_end = _Recorder(), _Recorder()
    shaping = Shaping(8_000_000, 50_000, 1.0)
    shape_endpoint(_as_socket(router_end), _as_socket(container_end), endpoint(bridge(), 2), shaping)
    ((received,), (sent,)) = router_end.sent, container_end.sent
    assert b"tbf" in received.body
    assert received.flags & sent.flags & NLM_F_REPLACE
    (place,) = [at for at in range(len(sent.body)) if sent.body[at:].startswith(b"netem\0")]
    words = sent.body[place + 12 :]
    values = [int.from_bytes(words[at : at + 4], "little") for at in range(0, 24, 4)]
    assert values == [50_000_000 // 64, 100_000, round(2**32 / 100), 0, 0, 0]
    assert int.from_bytes(words[28:36], "little") == 50_000_000
    assert int.from_bytes(words[40:44], "little") == 1_000_000


@pytest.mark.parametrize(
    ("shaping", "message", "mend"),
    [
        (Shaping(rate_bits=8000), "--net-rate: this kernel has no qdisc tbf", "sudo modprobe sch_tbf"),
        (Shaping(delay_us=1), "--net-delay and --net-loss: this kernel has no qdisc netem", "sudo modprobe sch_netem"),
    ],
)
def test_kernel_without_the_qdisc(shaping: Shaping, message: str, mend: str) -> None:
    recorders = (_Recorder(), _Recorder(2)) if shaping.delay_us else (_Recorder(2), _Recorder())
    with pytest.raises(NetError) as caught:
        shape_endpoint(_as_socket(recorders[0]), _as_socket(recorders[1]), endpoint(bridge(), 2), shaping)
    assert (caught.value.message, caught.value.mend) == (message, mend)
    assert caught.value.cause == "Specified qdisc kind is unknown."
