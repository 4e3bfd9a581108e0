"""The variables that the files of a project name."""

from __future__ import annotations

from sandbox.cli.compose_options import caller_of, project_request
from sandbox.stack.canonical import document_of
from sandbox.stack.interpolation import variables_of
from sandbox.stack.measures import Pairs, texts_in
from sandbox.stack.operations import load_project
from sandbox.stack.project_request import Steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation


def variables(invocation: Invocation) -> list[tuple[str, str, str, bool]]:
    """The variables that the files name: the name, what stands in for it, what stands there where it is set, and
    whether it must be. Raises as `load_project`.
    """
    request = project_request(invocation)._replace(keeps_unused=True)
    raw = load_project(request, caller_of(invocation, request.files), Steps(False, False, False, False, False))
    found: dict[str, dict[str, str]] = {}
    # those of services whose profile is off too: whoever writes an .env wants to know of them
    whole = raw._replace(services=Pairs.of((*raw.services, *raw.disabled)))
    for text in texts_in(document_of(whole)):
        for variable in variables_of(text):
            row = found.setdefault(variable.name, {})
            if variable.operator:
                row.setdefault(variable.operator[-1], variable.word)
    return [(name, row.get("-", ""), row.get("+", ""), "?" in row) for name, row in sorted(found.items())]
