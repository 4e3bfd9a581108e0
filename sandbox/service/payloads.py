"""Secrets and configs whose content is a template (`--template-driver golang`), filled in for one task as Swarm does.

Beside `{{.Task.Slot}}` and its likes there are `{{env "NAME"}}` of the service's environment, and `{{secret "TARGET"}}`
and `{{config "TARGET"}}` of what the service is granted, by the name that it has in the container. What those hold is
taken as it is, so a template never leads to another one.
"""

from __future__ import annotations

from sandbox.errors import SandboxError, UsageError
from sandbox.secret.store import find_object, read_content

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping
    from typing import Any

    from sandbox.container.request.request import ContainerRequest
    from sandbox.paths import Paths
    from sandbox.secret.record import Kind
    from sandbox.values import FileGrant

#: where a target that is no path is
_PLACES = {"secret": "/run/secrets/", "config": "/"}


def with_payloads(
    connection: sqlite3.Connection,
    paths: Paths,
    request: ContainerRequest,
    values: Mapping[str, str],
    labels: Mapping[str, str],
) -> ContainerRequest:
    """The request of a task, with the texts of those grants whose content is a template. `values` are the task's, by
    names as ".Task.Slot", and `labels` the service's. Raises NotFoundError; SandboxError for a template that fails.
    """
    filling = _Filling(connection, paths, request, _context(values, labels))
    secrets = tuple(filling.filled("secret", grant) for grant in request.secrets)
    configs = tuple(filling.filled("config", grant) for grant in request.configs)
    return request._replace(secrets=secrets, configs=configs)


class _Filling:
    """What the templates of one task may ask."""

    def __init__(
        self, connection: sqlite3.Connection, paths: Paths, request: ContainerRequest, context: dict[str, Any]
    ) -> None:
        self._connection = connection
        self._paths = paths
        self._context = context
        self._grants: dict[Kind, tuple[FileGrant, ...]] = {"secret": request.secrets, "config": request.configs}
        pairs = (text.partition("=") for text in request.environment)
        self._environment = {name: value for name, equals, value in pairs if equals}

    def filled(self, kind: Kind, grant: FileGrant) -> FileGrant:
        if grant.content is not None or grant.path:
            return grant
        found = find_object(self._connection, kind, grant.source)
        if not found.template:
            return grant
        # few services come here
        from sandbox.go_template import parse_template
        from sandbox.go_template.functions import FUNCTIONS

        functions: dict[str, Callable[..., Any]] = FUNCTIONS | {
            "env": self._variable,
            "secret": lambda target: self._content("secret", target),
            "config": lambda target: self._content("config", target),
        }
        text = read_content(self._paths, kind, found).decode(errors="surrogateescape")
        try:
            content = parse_template(text, functions).render(self._context, functions=functions)
        except SandboxError as error:
            raise SandboxError(
                f"failed to expand templated {kind} {found.name}: {error.message}",
                cause=error.cause,
                mend=f"sandbox {kind} create --template-driver golang {found.name}_2 FILE, and grant that",
            ) from error
        return grant._replace(content=content)

    def _variable(self, name: object) -> str:
        return self._environment.get(str(name), "")

    def _content(self, kind: Kind, target: object) -> str:
        wanted = str(target).removeprefix(_PLACES[kind])
        for grant in self._grants[kind]:
            if (grant.target or grant.source).removeprefix(_PLACES[kind]) == wanted:
                found = find_object(self._connection, kind, grant.source)
                return read_content(self._paths, kind, found).decode(errors="surrogateescape")
        raise UsageError(f"{kind} target {target} not found")


def _context(values: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, Any]:
    """Names with dots as mappings in mappings."""
    context: dict[str, Any] = {}
    for name, value in values.items():
        *above, last = name.removeprefix(".").split(".")
        within = context
        for word in above:
            within = within.setdefault(word, {})
        within[last] = value
    context["Service"]["Labels"] = dict(labels)
    return context
