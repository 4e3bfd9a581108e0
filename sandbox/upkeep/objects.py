"""Secrets and configs: rows against contents, both ways."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sandbox.errors import SandboxError
from sandbox.secret.record import KINDS
from sandbox.secret.store import find_untidy, list_objects, read_content, remove_object, tidy
from sandbox.transactions import transaction
from sandbox.upkeep.findings import Finding

if TYPE_CHECKING:
    from sandbox.secret.record import Kind
    from sandbox.upkeep.check_context import CheckContext


def check_objects(context: CheckContext) -> None:
    """Report what a SIGKILL left aside, and what has lost its content, of which only the person has another copy."""
    for kind in KINDS:
        with transaction(context.connection):
            untidy = find_untidy(context.connection, context.paths, kind)
        for name, _is_to_stay in untidy:
            context.report(
                Finding(kind, name.rpartition("-")[2], "its making or its removal was cut short", leftover=True),
                partial(_tidy, context, kind),
            )
        for found in list_objects(context.connection, kind):
            try:
                read_content(context.paths, kind, found)
            except SandboxError as error:
                context.report(
                    Finding(kind, found.name, f"its content is lost ({error.cause})", mend=error.mend),
                    partial(remove_object, context.connection, context.paths, kind, found.id),
                )


def _tidy(context: CheckContext, kind: Kind) -> None:
    with transaction(context.connection):
        tidy(context.connection, context.paths, kind)
