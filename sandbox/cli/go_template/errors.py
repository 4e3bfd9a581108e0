"""What can be wrong with a template."""

from __future__ import annotations

from sandbox.errors import SandboxError


class TemplateError(SandboxError):
    """A template that was read, and failed on the data it was given."""


class TemplateParseError(TemplateError):
    """A template that cannot be read; `inspect`, `info` and `version` end with status 64."""

    exit_status = 64

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"template parsing error: template: :{line}: {message}")
