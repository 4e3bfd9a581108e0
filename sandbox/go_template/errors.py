"""What can be wrong with a template."""

from __future__ import annotations

from sandbox.errors import SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection


class TemplateError(SandboxError):
    """A template that was read, and failed on the data it was given."""


class UnknownFieldError(TemplateError):
    """A field that the data lacks; `fields` are those it has."""

    def __init__(self, message: str, name: str, fields: Collection[str]) -> None:
        super().__init__(message, cause=f"the fields are {', '.join(sorted(fields))}")
        self.name = name
        self.fields = fields


class TemplateParseError(TemplateError):
    """A template that cannot be read; `inspect`, `info` and `version` end with status 64.

    `function` is the name of one that does not exist, where that is what is wrong.
    """

    kind = "bad_template"

    def __init__(self, line: int, message: str, *, function: str = "") -> None:
        super().__init__(f"template parsing error: template: :{line}: {message}")
        self.function = function


def template_mend(error: TemplateError, source: str, fields: Collection[str]) -> str:
    """An option to type in place of `--format source`, where `fields` can be named."""
    import shlex  # for errors only

    from sandbox.near_names import nearest

    if isinstance(error, UnknownFieldError):
        near = nearest(error.name, error.fields)
        if near:
            return f"--format {shlex.quote(source.replace(f'.{error.name}', f'.{near}'))}"
    named = error.function if isinstance(error, TemplateParseError) else ""
    # `{{Names}}` lacks its dot
    near = named if named in fields else nearest(named, fields)
    return f"--format {shlex.quote(f'{{{{.{near}}}}}' if near else '{{json .}}')}"
