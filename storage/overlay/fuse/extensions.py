"""What an overlay does beside being one, where its configuration asks for it: a quota, a record of reads.

Each is a class of handlers over the plain ones; without them nothing is added to any handler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.overlay.fuse.copy_up import CopyUp
from storage.overlay.fuse.operations import OverlayOperations
from storage.overlay.fuse.quota import LimitedCopyUp, LimitedOperations, Quota
from storage.overlay.fuse.tracing import Trace, TracedCopyUp, TracedOperations

if TYPE_CHECKING:
    from contextlib import ExitStack

    from storage.overlay.fuse.config import OverlayConfig
    from storage.overlay.fuse.nodes import Layer


class _BothCopyUp(TracedCopyUp, LimitedCopyUp):
    pass


class _BothOperations(TracedOperations, LimitedOperations):
    pass


def types_for(config: OverlayConfig) -> tuple[type[CopyUp], type[OverlayOperations]]:
    """The classes that do what is asked for."""
    if config.quota_bytes and config.trace_path:
        return _BothCopyUp, _BothOperations
    if config.quota_bytes:
        return LimitedCopyUp, LimitedOperations
    return (TracedCopyUp, TracedOperations) if config.trace_path else (CopyUp, OverlayOperations)


def limit_writes(operations: OverlayOperations, copy_up: CopyUp, limit_bytes: int, upper_fd: int) -> None:
    """Give them one count."""
    assert isinstance(operations, LimitedOperations)
    assert isinstance(copy_up, LimitedCopyUp)
    quota = Quota(limit_bytes, upper_fd)
    copy_up.quota = quota
    operations.limit(quota)


def trace_reads(
    operations: OverlayOperations, copy_up: CopyUp, config: OverlayConfig, layers: list[Layer], stack: ExitStack
) -> None:
    """Give them one record, which is written when `stack` ends. OSError where the file cannot be made.

    `layers` is topmost first.
    """
    assert isinstance(operations, TracedOperations)
    assert isinstance(copy_up, TracedCopyUp)
    # LAYERS/<chain id>/diff
    names = [str(place).rpartition("/")[0].rpartition("/")[2] for place in reversed(config.lower)]
    trace = Trace(config.trace_path, {layer.root_fd: name for layer, name in zip(layers, names, strict=True)})
    stack.callback(trace.write)
    operations.trace = copy_up.trace = trace
