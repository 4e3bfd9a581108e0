"""The keys of what several objects have: granted files and limits."""

from __future__ import annotations

from sandbox.stack.parts_model import FileGrant, Ulimit
from sandbox.stack.reading import text
from sandbox.stack.scalar_readers import integer, mode
from sandbox.stack.shapes import Forms, Key, MapOf, Object, Shape
from sandbox.stack.short_forms import short_ulimit

GRANT = Shape(
    "a secret or a config of a service",
    FileGrant,
    {"source": Key(text), "target": Key(text), "uid": Key(text), "gid": Key(text), "mode": Key(mode)},
)
ULIMIT = Shape("a limit", Ulimit, {"soft": Key(integer), "hard": Key(integer)}, required=("soft", "hard"))
ULIMITS = MapOf(
    Forms(short_ulimit, Object(ULIMIT)),
    "a mapping of limits",
    is_name=lambda name: name.isascii() and name.isalpha() and name.islower(),
)
