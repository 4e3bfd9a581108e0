"""What handlers are given and answer."""

from __future__ import annotations

import json

from sandbox.api.call import encoded


def test_what_is_no_text_is_told_with_a_mark() -> None:
    """As a label or a line of a build that came as bytes: the answer goes on."""
    document = {"stream": b"caf\xe9".decode(errors="surrogateescape"), "Labels": {"a": "\u00e9"}, "Names": ("x",)}
    assert json.loads(encoded(document)) == {"stream": "caf?", "Labels": {"a": "\u00e9"}, "Names": ["x"]}
