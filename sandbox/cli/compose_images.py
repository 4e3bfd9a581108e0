"""The images that a project's containers are made of: built or pulled before anything is made."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.stack.project import Project


def ensure_images(invocation: Invocation, project: Project) -> None:
    """Have every image here that the project's services run. Raises SandboxError."""
