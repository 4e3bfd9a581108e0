"""The command's own streams, as it joins them to a container's: `start -a`, `attach`, `run`, `exec`."""

from __future__ import annotations

from sandbox.container.operations import Joining
from sandbox.container.session.attach import Streams
from sandbox.runtime.terminal import DEFAULT_DETACH_KEYS, parse_detach_keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation

STANDARD_STREAMS = Streams(0, 1, 2)


def default_detach_keys() -> bytes:
    """Those of who says nothing of them."""
    return parse_detach_keys(DEFAULT_DETACH_KEYS)


def read_detach_keys(invocation: Invocation) -> bytes:
    """What `--detach-keys` says. Raises UsageError."""
    text = invocation.text("detach-keys")
    return parse_detach_keys(DEFAULT_DETACH_KEYS if text is None else text)


def read_joining(invocation: Invocation, *, stdin: bool) -> Joining:
    """The standard streams, joined as the options say. Raises UsageError."""
    return Joining(STANDARD_STREAMS, stdin, invocation.flag("sig-proxy"), read_detach_keys(invocation))
