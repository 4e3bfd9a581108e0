"""What a smaller image could leave out: the files of its layers that a trace (`run --trace-files`) does not name.

A file that was opened or read counts whole, and so does a link to it; one that is hidden by an upper layer counts as
unused. The trace tells of one use of the image: what other uses would have read it cannot know.
"""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

from sandbox.errors import SandboxError, UsageError
from sandbox.named_tuple import NamedTuple
from sandbox.runtime.user_namespace import call_in_user_namespace
from storage.layers.store import LayerStore
from storage.trees.walk import Walk

if TYPE_CHECKING:
    from sandbox.image.store import ImageRecord
    from sandbox.paths import Paths

#: how deep a directory is that files are summed up under
_DEPTH = 2


class Part(NamedTuple):
    """Regular files of a layer, or below a directory."""

    name: str
    files: int = 0
    bytes: int = 0
    unused_files: int = 0
    unused_bytes: int = 0

    def plus(self, size_bytes: int, used: bool) -> Part:
        return Part(
            self.name,
            self.files + 1,
            self.bytes + size_bytes,
            self.unused_files + (not used),
            self.unused_bytes + (0 if used else size_bytes),
        )


class SlimReport(NamedTuple):
    """Layers lowest first; directories by what they could leave out, most first."""

    layers: tuple[Part, ...]
    directories: tuple[Part, ...]


def read_trace(path: str) -> set[tuple[str, str]]:
    """Layer and path of everything that a trace says was opened or read. Raises UsageError."""
    used = set()
    try:
        with open(path, errors="surrogateescape") as file:
            for number, line in enumerate(file, 1):
                used.update(_read_line(line, path, number))
    except OSError as error:
        raise SandboxError(f"cannot read the trace {path}", cause=error.strerror or str(error)) from error
    if not used:
        # to run a program takes reading it
        raise SandboxError(
            f"the trace {path} is empty",
            cause="its container runs still, or the server that kept it was killed",
            mend="sandbox run --trace-files FILE IMAGE",
        )
    return used


def _read_line(line: str, path: str, number: int) -> list[tuple[str, str]]:
    try:
        use: dict[str, Any] = json.loads(line)  # Any: JSON
        return [(str(use["layer"]), str(use["path"]))] if use["opened"] or use["read_bytes"] else []
    except (ValueError, KeyError, TypeError) as error:
        raise SandboxError(
            f"{path} is not a trace",
            cause=f"line {number} is none of a trace's",
            mend="sandbox run --trace-files FILE IMAGE",
        ) from error


def slim_report(paths: Paths, image: ImageRecord, used: set[tuple[str, str]]) -> SlimReport:
    """The report on `image`. Raises SandboxError; UsageError for a trace of another image."""
    store = LayerStore(paths.layers)
    places = store.trees(image.layers)
    names = [os.path.basename(os.path.dirname(place)) for place in places]
    if used and not any(layer in names for layer, _path in used):
        raise UsageError(f"the trace is not of image {image.name}", cause="it names none of its layers")
    answer = call_in_user_namespace(
        _measure, places, [[path for layer, path in used if layer == name] for name in names]
    )
    assert isinstance(answer, list)
    layers, directories = answer
    ordered = sorted((Part(*part) for part in directories), key=lambda part: (-part.unused_bytes, part.name))
    named = [Part(*part)._replace(name=str(chain)) for part, chain in zip(layers, image.layers, strict=True)]
    return SlimReport(tuple(named), tuple(ordered))


def _measure(places: list[str], used: list[list[str]]) -> list[list[Part]]:
    # in the user's namespace: not all of a layer can be read by others than its owners
    directories: dict[str, Part] = {}
    layers = []
    for place, paths in zip(places, used, strict=True):
        root_fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            layers.append(_measure_layer(root_fd, set(paths), directories))
        finally:
            os.close(root_fd)
    return [layers, list(directories.values())]


def _measure_layer(root_fd: int, used: set[str], directories: dict[str, Part]) -> Part:
    total = Part("")
    above: list[bytes] = []
    files: dict[int, tuple[str, int, bool]] = {}
    for step in Walk(root_fd):
        del above[step.depth :]
        if stat.S_ISDIR(step.status.st_mode):
            above.append(step.name)
        elif stat.S_ISREG(step.status.st_mode):
            path = os.fsdecode(b"/" + b"/".join([*above, step.name]))
            # one file of several names is used when one of them is
            first, size, before = files.get(step.status.st_ino, (path, step.status.st_size, False))
            files[step.status.st_ino] = (first, size, before or path in used)
    for path, size, was_used in files.values():
        total = total.plus(size, was_used)
        directory = "/".join(path.split("/")[:-1][: _DEPTH + 1]) or "/"
        directories[directory] = directories.get(directory, Part(directory)).plus(size, was_used)
    return total
