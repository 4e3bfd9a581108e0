"""What a volume's options ask for, and what only root could do."""

from __future__ import annotations

import pytest

from sandbox.errors import NotSupportedError, UsageError
from sandbox.grammar.local_driver import LocalMount, read_options


@pytest.mark.parametrize(
    ("options", "mount"),
    [
        ({}, None),
        ({"type": "tmpfs", "device": "tmpfs"}, LocalMount()),
        ({"type": "tmpfs", "device": "x", "o": "size=1g,ro,uid=5"}, LocalMount("", "size=1g,uid=5", read_only=True)),
        ({"type": "none", "device": "/a//b/", "o": "bind"}, LocalMount("/a/b")),
        ({"type": "", "device": "/a", "o": "rbind,ro"}, LocalMount("/a", read_only=True)),
        ({"type": "none", "device": "/a", "o": "bind,rslave"}, LocalMount("/a", propagation="rslave")),
    ],
)
def test_what_a_user_may_mount(options: dict[str, str], mount: LocalMount | None) -> None:
    assert read_options(options) == mount


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "tmpfs"}, 'invalid option: "kind"'),
        ({"type": "tmpfs"}, 'missing required option: "device"'),
        ({"device": "/a", "o": "bind"}, 'missing required option: "type"'),
        ({"type": "none", "device": "a", "o": "bind"}, "invalid device: 'a'"),
        ({"type": "tmpfs", "device": "tmpfs", "o": "colour=red"}, "invalid tmpfs option"),
    ],
)
def test_what_cannot_be_understood(options: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_options(options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"type": "nfs", "device": ":/a", "o": "addr=10.0.0.1"}, "of type nfs cannot be mounted by a user"),
        ({"type": "none", "device": "/a"}, "of type none cannot be mounted by a user"),
        ({"type": "none", "device": "/a", "o": "bind,nosuid"}, "the mount option nosuid"),
        ({"size": "1g"}, "no quota support"),
    ],
)
def test_what_only_root_could_do_is_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(NotSupportedError, match=said) as raised:
        read_options(options)
    assert raised.value.mend
