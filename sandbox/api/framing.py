"""Docker's frames: what a container wrote to its two outputs, in one stream."""

from __future__ import annotations

import struct

_HEADER = struct.Struct(">BxxxI")


def frame_header(kind: int, size: int) -> bytes:
    """What goes before `size` bytes of a stream: 1 is standard output, 2 standard error."""
    return _HEADER.pack(kind, size)
