"""`--format TEMPLATE` and `--format 'table TEMPLATE'` of listings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.cli.command import Context
    from sandbox.cli.table import Row


def print_template_listing(context: Context, headers: Mapping[str, str], rows: Sequence[Row], text: str) -> None:
    """Print every row through the template `text`."""
    raise UsageError(f"cannot read the template {text!r}")
