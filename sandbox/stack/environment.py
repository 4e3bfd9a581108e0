"""The variables of a project: the caller's own, then those of `--env-file` or of the `.env` beside the files."""

from __future__ import annotations

import os

from sandbox.errors import UsageError
from sandbox.stack.loading import read_environment_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False", ""})


def with_env_files(environment: Mapping[str, str], named: Sequence[str], directory: str) -> dict[str, str]:
    """`environment` with what the files `named` have, or the `.env` of `directory` where none is named.

    What is in `environment` already stays. Raises ComposeFileError for a file that cannot be read; UsageError.
    """
    files = list(named) or _default_file(environment, directory)
    return {**read_environment_files(files, environment), **environment}


def _default_file(environment: Mapping[str, str], directory: str) -> list[str]:
    off = environment.get("COMPOSE_DISABLE_ENV_FILE", "")
    if off not in _TRUE | _FALSE:
        raise UsageError(f"COMPOSE_DISABLE_ENV_FILE is {off!r}, and neither true nor false")
    beside = os.path.join(directory, ".env")
    return [beside] if off not in _TRUE and os.path.isfile(beside) else []
