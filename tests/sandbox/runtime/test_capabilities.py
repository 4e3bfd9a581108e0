"""--cap-add, --cap-drop and --privileged."""

from __future__ import annotations

import pytest

from sandbox.errors import UsageError
from sandbox.runtime.capabilities import (
    CAPABILITIES,
    DEFAULT_CAPABILITIES,
    capability_mask,
    resolve_capabilities,
)


def test_default_is_dockers_fourteen() -> None:
    assert len(DEFAULT_CAPABILITIES) == 14
    assert capability_mask(DEFAULT_CAPABILITIES) == 0xA80425FB
    assert set(resolve_capabilities()) == set(DEFAULT_CAPABILITIES)


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        (("net_admin",), (), {*DEFAULT_CAPABILITIES, "CAP_NET_ADMIN"}),
        (("CAP_NET_ADMIN",), ("all",), {"CAP_NET_ADMIN"}),
        ((), ("ALL",), set()),
        (("ALL",), (), set(CAPABILITIES)),
        (("ALL",), ("SYS_ADMIN",), set(CAPABILITIES) - {"CAP_SYS_ADMIN"}),
        ((), ("chown", "Kill"), set(DEFAULT_CAPABILITIES) - {"CAP_CHOWN", "CAP_KILL"}),
    ],
)
def test_add_and_drop(add: tuple[str, ...], drop: tuple[str, ...], expected: set[str]) -> None:
    assert set(resolve_capabilities(add, drop)) == expected


def test_privileged_is_everything() -> None:
    assert resolve_capabilities((), ("ALL",), privileged=True) == CAPABILITIES


@pytest.mark.parametrize("name", ["", "CAP_", "SUPERPOWER", "CAP_CAP_CHOWN"])
def test_unknown_name(name: str) -> None:
    with pytest.raises(UsageError):
        resolve_capabilities((name,))
