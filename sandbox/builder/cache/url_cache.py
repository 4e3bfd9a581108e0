"""Bodies of URLs that builds fetched, for the next time their servers are asked.

    DATA/cache/urls/<sha256 of the URL>{,.json}     the last body of a URL whose server gave an ETag

What is kept is content for the next question to the server, never an answer by itself; its digest is verified before
it is used again.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from sandbox.redaction import redact
from storage.private_directories import make_private_directory
from storage.trees.copy_tree import copy_data

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.paths import Paths


class KeptBody(NamedTuple):
    """One body that is kept: the name of its files, its URL without credentials, what it takes, and when it came or
    was used again.
    """

    name: str
    url: str
    size_bytes: int
    used_ns: int


def list_kept(paths: Paths) -> list[KeptBody]:
    """Every body, by name."""
    found = []
    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(_directory(paths))):
            with suppress(FileNotFoundError):
                status = os.stat(f"{_directory(paths)}/{name}")
                if not name.endswith(".json"):
                    url = redact(str(_read_answer(f"{_directory(paths)}/{name}").get("url") or ""))
                    found.append(KeptBody(name, url, status.st_size, status.st_mtime_ns))
    return found


def remove_kept(paths: Paths, name: str) -> None:
    """Forget a body; missing is fine, and a build that uses it now has it open already."""
    for file in (f"{name}.json", name):
        with suppress(FileNotFoundError):
            os.unlink(f"{_directory(paths)}/{file}")


def _directory(paths: Paths) -> str:
    return f"{paths.cache}/urls"


def _read_answer(path: str) -> dict[str, Any]:
    """What the server said of a body; empty where that is not known any more."""
    with suppress(OSError, ValueError), open(f"{path}.json", encoding="utf-8") as file:
        answer: dict[str, Any] = json.load(file)
        return answer
    return {}


class KeptUrl:
    """What is known of a URL from before."""

    def __init__(self, paths: Paths, url: str) -> None:
        self._directory = _directory(paths)
        self._path = f"{self._directory}/{hashlib.sha256(url.encode(errors='surrogateescape')).hexdigest()}"
        self._answer = _read_answer(self._path)

    @property
    def etag(self) -> str:
        return str(self._answer.get("etag") or "")

    def restore(self, fd: int) -> dict[str, Any] | None:
        """Copy the body; None where it is not what was kept."""
        try:
            with open(self._path, "rb") as file:
                copy_data(file.fileno(), fd)
        except OSError:
            return None
        sha256 = hashlib.sha256()
        with open(os.dup(fd), "rb") as copied:
            copied.seek(0)
            while piece := copied.read(1 << 20):
                sha256.update(piece)
        if self._answer.get("digest") == f"sha256:{sha256.hexdigest()}":
            with suppress(OSError):
                os.utime(self._path)
            return self._answer
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        return None

    def remember(self, fd: int, answer: dict[str, Any], shown: str) -> None:
        """Keep the body of an answer that can be asked about again; a full disk only costs the cache. `shown` is the
        URL for people.
        """
        if not answer["etag"]:
            return
        with suppress(OSError):
            make_private_directory(self._directory)
            with self._aside(self._path) as body:
                copy_data(fd, body.fileno())
            with self._aside(f"{self._path}.json") as text:
                text.write(json.dumps({**answer, "url": shown}).encode())

    @contextmanager
    def _aside(self, path: str) -> Iterator[BinaryIO]:
        """A file that gets its name when it is whole; without one it is gone."""
        with tempfile.NamedTemporaryFile(dir=self._directory, delete=False) as file:
            try:
                yield cast("BinaryIO", file)
                file.flush()
                os.rename(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
