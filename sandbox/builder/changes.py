"""`--change` of `commit` and `import`: Dockerfile instructions that change an image's configuration and run nothing."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from sandbox.builder.image_state import ImageState
from sandbox.builder.stage_state import StageState, configure
from sandbox.dockerfile.arguments import Globals, Scope
from sandbox.dockerfile.errors import LanguageError
from sandbox.dockerfile.instructions import Workdir
from sandbox.dockerfile.parser import parse_dockerfile
from sandbox.dockerfile.readers import read_instruction
from sandbox.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Docker's, in the order that a person is told
_INSTRUCTIONS = (
    "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip


def apply_changes(config: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:  # Any: JSON
    """The `config` part of an image's configuration as the instructions make it, variables expanded by its `Env`.

    Raises UsageError.
    """
    if not changes:
        return dict(config)
    image = ImageState({"config": dict(config), "history": []})
    scope = Scope(Globals({}, {}, {}, "\\"), image.environment)
    stage = StageState(image, [], scope)
    for change in changes:
        if not change.strip():
            raise UsageError("a change is an instruction of a Dockerfile", mend=f"one of {', '.join(_INSTRUCTIONS)}")
        try:
            _apply(stage, change)
        except LanguageError as error:
            raise UsageError(f"{error.message}: --change {change!r}", mend=error.mend) from error
    return image.config


def _apply(stage: StageState, change: str) -> None:
    for node in parse_dockerfile(change, "--change").nodes:
        if node.instruction not in _INSTRUCTIONS:
            raise UsageError(
                f"{node.keyword.text} is not a valid change command", mend=f"one of {', '.join(_INSTRUCTIONS)}"
            )
        if not node.rest.text.strip():
            raise UsageError(f"{node.instruction} requires an argument", cause=f"in --change {change!r}")
        instruction = read_instruction(node)
        if isinstance(instruction, Workdir):
            path = stage.path(stage.text(instruction.path, node))
            stage.image.config["WorkingDir"] = posixpath.normpath(path)
        else:
            configure(stage, instruction)
