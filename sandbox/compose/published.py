"""Published projects: what of a registry's artifact is which file, and its files here.

application/vnd.docker.compose.project           the artifact
application/vnd.docker.compose.file+yaml         a layer: a Compose file; several are documents of one file here
    com.docker.compose.extends: true             … that others extend, with its name in com.docker.compose.file
application/vnd.docker.compose.envfile           a layer: a file of variables, its name in com.docker.compose.envfile
"""

from __future__ import annotations

import os
import shutil
import tempfile

from sandbox.errors import HostError, ImageError, UsageError
from sandbox.image.artifacts import Kind, Layer, fetch_artifact
from sandbox.image.references import parse_reference
from sandbox.stack.remote_files import OCI

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from sandbox.image.artifacts import Artifact
    from sandbox.operation_context import OperationContext

KIND = Kind("application/vnd.docker.compose.project", "application/vnd.docker.compose.config.empty.v1+json")
FILE_TYPE = "application/vnd.docker.compose.file+yaml"
ENV_FILE_TYPE = "application/vnd.docker.compose.envfile"
FILE = "com.docker.compose.file"
ENV_FILE = "com.docker.compose.envfile"
EXTENDS = "com.docker.compose.extends"
_MAIN = "compose.yaml"
#: Compose's own variable that says no
_ENABLED = "COMPOSE_EXPERIMENTAL_OCI_REMOTE"


def fetch_project(context: OperationContext, path: str, insecure: Collection[str] = ()) -> str:
    """The absolute path of the Compose file that `oci://NAME` stands for, brought here with what it needs; registries
    of `insecure` are reached without TLS too. Raises RegistryError, AuthenticationError, NotFoundError; ImageError for
    what is no project; UsageError where Compose's variable says no; HostError.
    """
    if context.env.get(_ENABLED, "").lower() in ("0", "f", "false"):
        raise UsageError(f'OCI remote resource is disabled by "{_ENABLED}"', mend=f"unset {_ENABLED}")
    name = path.removeprefix(OCI)
    artifact = fetch_artifact(context, name, KIND, insecure=parse_reference(name).domain in insecure)
    directory = f"{context.paths.cache}/compose/{artifact.digest.partition(':')[2]}"
    if not os.path.isdir(directory):
        _keep(artifact, name, directory)
    return f"{directory}/{_MAIN}"


def _keep(artifact: Artifact, name: str, directory: str) -> None:
    """The files of the artifact in the directory: whole, or not at all."""
    files = files_of(artifact.layers, name)
    above = os.path.dirname(directory)
    try:
        os.makedirs(above, mode=0o700, exist_ok=True)
        aside = tempfile.mkdtemp(dir=above)
        try:
            for file, content in files.items():
                with open(f"{aside}/{file}", "xb") as stream:
                    stream.write(content)
            os.rename(aside, directory)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            # somebody else has brought it here meanwhile
            if not os.path.isdir(directory):
                raise
    except OSError as error:
        raise HostError(f"cannot keep the files of {name}", cause=f"{error.strerror}: {error.filename}") from error


def files_of(layers: tuple[Layer, ...], name: str) -> dict[str, bytes]:
    """The files of a project's layers, by their names. Pure. Raises ImageError for names that lead elsewhere."""
    found: dict[str, bytes] = {}
    documents: list[bytes] = []
    for layer in layers:
        annotations = dict(layer.annotations)
        if layer.media_type == FILE_TYPE and EXTENDS not in annotations:
            documents.append(layer.data)
        elif layer.media_type == FILE_TYPE:
            _add(found, annotations.get(FILE, ""), layer.data, name)
        elif layer.media_type == ENV_FILE_TYPE:
            _add(found, annotations.get(ENV_FILE, ""), layer.data, name)
    if not documents:
        raise ImageError(f"{name} has no Compose file")
    found[_MAIN] = b"\n---\n".join(documents)
    return found


def _add(found: dict[str, bytes], file: str, data: bytes, name: str) -> None:
    if not file or "/" in file or "\\" in file or "\0" in file or file in (".", "..", _MAIN) or len(file) > 255:
        raise ImageError(f"{name}: invalid OCI artifact", cause=f"a layer is of the file {file!r}")
    found[file] = data
