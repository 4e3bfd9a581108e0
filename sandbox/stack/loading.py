"""The files of a project as one tree: each is read, filled in, joined to what it includes, merged over those before.

Nothing is known here of what the keys mean; that is read off the tree afterwards.
"""

from __future__ import annotations

import os

from sandbox.stack.dotenv import parse_dotenv
from sandbox.stack.errors import ComposeFileError, problem, unexpected
from sandbox.stack.extends import with_extended
from sandbox.stack.include import includes_of, joined
from sandbox.stack.interpolation import interpolated
from sandbox.stack.merging import merged
from sandbox.stack.nodes import Mapping, Node, Scalar, kind_of
from sandbox.stack.places import Source
from sandbox.stack.remote_files import is_remote
from sandbox.stack.yaml_reading import read_documents

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping as Environment
    from collections.abc import Sequence as Several

    from sandbox.stack.include import Included
    from sandbox.stack.places import Place
    from sandbox.stack.remote_files import Fetch

STANDARD_INPUT = "-"
_DEEPEST = 50


class Loader:
    """Reads files once each; hears of variables without a value."""

    def __init__(self, stdin: bytes, caller_directory: str, fetch: Fetch, *, interpolates: bool = True) -> None:
        self._stdin = stdin
        self._caller_directory = caller_directory
        self._fetch = fetch
        self._interpolates = interpolates
        self._bytes: dict[str, bytes] = {}
        self._parsed: dict[tuple[str, str, int], tuple[Node, ...]] = {}
        #: names without a value, in the order they were met
        self.unset: dict[str, None] = {}
        #: files that say which version of the format they are in
        self.with_version: list[str] = []

    def load(
        self,
        paths: Several[str],
        directory: str,
        environment: Environment[str, str],
        above: tuple[str, ...] = (),
        named: Place | None = None,
    ) -> Mapping:
        """The tree of the files at `paths`, which are `named` there, the later over the earlier ones. Raises
        ComposeFileError.
        """
        tree: Mapping | None = None
        for path in paths:
            if path in above and path != STANDARD_INPUT:
                circle = " -> ".join(self._shown(each) for each in (*above[above.index(path) :], path))
                raise problem(named, "include", f"files include each other in a circle: {circle}")
            if len(above) >= _DEEPEST:
                what = f"files include each other more than {_DEEPEST} deep: {self._shown(path)}"
                raise problem(named, "include", what)
            source = Source(self._shown(path), path, directory, environment)
            for document in self._documents(source):
                whole = self._completed(document, source, (*above, path))
                result = whole if tree is None else merged(tree, whole)
                assert isinstance(result, Mapping)
                tree = result
        if tree is None:
            raise ComposeFileError(
                f"empty compose file: {', '.join(self._shown(path) for path in paths)}", mend="write services: first"
            )
        return tree

    def name_of(self, paths: Several[str], directory: str, environment: Environment[str, str]) -> str:
        """The project's name that the last of the files with one has, filled in; "" where none has."""
        found = ""
        for path in paths:
            source = Source(self._shown(path), path, directory, environment)
            for document in self._raw(source):
                node = document.get("name") if isinstance(document, Mapping) else None
                if isinstance(node, Scalar) and isinstance(node.value, str) and node.value:
                    named = self._filled(node, source, "name")
                    assert isinstance(named, Scalar)
                    found = named.text
        return found

    def _shown(self, path: str) -> str:
        if path == STANDARD_INPUT:
            return "stdin"
        below = os.path.relpath(path, self._caller_directory) if self._caller_directory else path
        return path if below.startswith("../..") else below

    def _raw(self, source: Source) -> tuple[Node, ...]:
        # by the variables as one thing, whatever they are by now: the project's name is put there between two readings
        key = (source.path, source.directory, id(source.environment))
        if key not in self._parsed:
            self._parsed[key] = read_documents(self._read(source), source)
        return self._parsed[key]

    def _read(self, source: Source) -> bytes:
        if source.path == STANDARD_INPUT:
            return self._stdin
        if source.path not in self._bytes:
            try:
                with open(source.path, "rb") as file:
                    self._bytes[source.path] = file.read()
            except OSError as error:
                raise ComposeFileError(f"cannot read {source.name}", cause=error.strerror or str(error)) from error
        return self._bytes[source.path]

    def _documents(self, source: Source) -> list[Mapping]:
        found = []
        for document in self._raw(source):
            if not isinstance(document, Mapping):
                raise unexpected(document.place, "", "a mapping, with 'services' in it", kind_of(document))
            filled = self._filled(document, source)
            assert isinstance(filled, Mapping)
            if "version" in filled.entries and source.name not in self.with_version:
                self.with_version.append(source.name)
            found.append(filled)
        return found

    def _filled(self, node: Node, source: Source, path: str = "") -> Node:
        if not self._interpolates:
            return node
        return interpolated(node, source.environment.get, lambda name: self.unset.setdefault(name), path)

    def _completed(self, tree: Mapping, source: Source, above: tuple[str, ...]) -> Mapping:
        # what is included first: a service may extend one of there
        found = includes_of(tree)
        tree = tree._replace(entries={key: entry for key, entry in tree.entries.items() if key != "include"})
        for included in found:
            tree = joined(tree, self._included(included, source, above))
        return with_extended(tree, self._extended_file)

    def _included(self, included: Included, source: Source, above: tuple[str, ...]) -> Mapping:
        if any(is_remote(path) for path in included.paths):
            included = included.here(self._fetch)
        files = included.env_files
        if files is None:
            beside = os.path.join(included.directory, ".env")
            files = (beside,) if os.path.isfile(beside) else ()
        own = read_environment_files([file for file in files if file != os.devnull], source.environment)
        for path in included.paths:
            if not os.path.exists(path):
                raise problem(included.place.place, "include", f"there is no file {self._shown(path)}")
        return self.load(included.paths, included.directory, {**own, **source.environment}, above, included.place.place)

    def _extended_file(self, file: Scalar, path: str) -> Mapping:
        source = file.place.source
        absolute = source.absolute(file.text)
        if is_remote(absolute):
            absolute = self._fetch(absolute)
        if not os.path.isfile(absolute):
            raise problem(file.place, path, f"there is no file {self._shown(absolute)}")
        of_file = Source(self._shown(absolute), absolute, os.path.dirname(absolute), source.environment)
        tree: Mapping | None = None
        for document in self._documents(of_file):
            whole = document if tree is None else merged(tree, document)
            assert isinstance(whole, Mapping)
            tree = whole
        if tree is None:
            raise problem(file.place, path, f"{file.text} is empty")
        return tree


def read_environment_files(paths: Several[str], environment: Environment[str, str]) -> dict[str, str]:
    """The variables of `.env` files, a later file's before an earlier one's; `environment` fills them in.

    Raises ComposeFileError for a file that is not there or cannot be read.
    """
    found: dict[str, str] = {}

    def lookup(name: str) -> str | None:
        value = environment.get(name)
        return found.get(name) if value is None else value

    for path in paths:
        found |= parse_dotenv(read_text(path, "env file"), lookup, path)
    return found


def read_text(path: str, what: str) -> str:
    """The text of a file. Raises ComposeFileError, which calls it `what`."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError as error:
        raise ComposeFileError(f"{what} {path} not found", cause=error.strerror or "", mend="make it") from error
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise ComposeFileError(f"cannot read {what} {path}", cause=cause or "") from error
