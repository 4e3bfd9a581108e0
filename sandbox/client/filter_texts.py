"""Filters as programs give them, {"label": ["a=b"], "status": "exited"}, in the command's form."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def filter_texts(filters: Mapping[str, object] | None) -> tuple[str, ...]:
    """ "KEY=VALUE" for each value."""
    texts = []
    for key, value in (filters or {}).items():
        values = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
        texts += [f"{key}={_text(each)}" for each in values]
    return tuple(texts)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
