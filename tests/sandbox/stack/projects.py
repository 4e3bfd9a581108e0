"""Projects of texts, for the tests of this room."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import yaml

from sandbox.stack.canonical import document_of, with_dollars
from sandbox.stack.operations import load_project
from sandbox.stack.project_request import Caller, ProjectRequest, Steps
from sandbox.stack.yaml_writing import write_yaml

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from sandbox.stack.project import Project


def write(directory: Path, **texts: str) -> None:
    """Files of the directory: `compose` is compose.yaml, any other NAME is NAME.yaml."""
    directory.mkdir(exist_ok=True)
    for name, text in texts.items():
        (directory / f"{name}.yaml").write_text(textwrap.dedent(text))


def load(directory: Path, steps: Steps | None = None, env: dict[str, str] | None = None, **asked: Any) -> Project:
    """The project of the directory."""
    request = ProjectRequest(**asked)
    caller = Caller(str(directory), {"HOME": "/home/dev", **(env or {})})
    return load_project(request, caller, steps or Steps())


def one(directory: Path, text: str, **asked: Any) -> Project:
    """The project of one file with this text."""
    write(directory, compose=text)
    return load(directory, **asked)


def text_of(project: Project) -> str:
    """What `config` prints."""
    from io import StringIO

    stream = StringIO()
    write_yaml(with_dollars(document_of(project)), stream)
    return stream.getvalue()


def document(project: Project) -> dict[str, Any]:
    """What `config` prints, as Python's values by a reader that is not ours."""
    found = yaml.safe_load(text_of(project))
    assert isinstance(found, dict)
    return found
