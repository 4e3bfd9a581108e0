"""A Dockerfile to nodes: one per instruction, with flags, arguments, heredocs and where each of them stands.

This is the first of two steps. It knows how each instruction cuts its arguments and nothing of what they mean; an
instruction nobody knows is a node without arguments. What they mean is `instructions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.dockerfile.directives import Directives, read_directives
from sandbox.dockerfile.errors import WordError
from sandbox.dockerfile.fields import Head, split_blanks, split_head, split_once, split_words
from sandbox.dockerfile.heredocs import Heredoc, find_markers
from sandbox.dockerfile.json_form import NotTextError, read_json_form
from sandbox.dockerfile.lexer import Lexer
from sandbox.dockerfile.source_text import SPACE, Line, Source, Word, decode, split_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.dockerfile.errors import DockerfileError


class Node(NamedTuple):
    """One instruction. `start_line` and `end_line` are 0 for the one inside ONBUILD, which has no lines of its own."""

    #: in capitals
    instruction: str
    #: as written
    keyword: Word
    flags: tuple[Word, ...]
    arguments: tuple[Word, ...]
    #: the JSON form was used
    json: bool
    heredocs: tuple[Heredoc, ...]
    start_line: int
    end_line: int
    #: the logical line
    original: str
    #: the flags as written, and all that follows them
    raw_flags: str
    rest: Word
    line: Line
    #: the comments right above
    comments: tuple[str, ...] = ()
    #: the instruction inside ONBUILD
    trigger: Node | None = None

    def error(self, message: str, at: Word | None = None, *, expected: str = "", mend: str = "") -> DockerfileError:
        """An error at a word of this node, else at the instruction."""
        return self.line.error(message, (at or self.keyword).offset, expected=expected, mend=mend)


class Dockerfile(NamedTuple):
    """A parsed file. `empty_continuations` are the lines a later version of Docker will refuse."""

    nodes: tuple[Node, ...]
    directives: Directives
    source: Source
    empty_continuations: tuple[int, ...]

    @property
    def escape(self) -> str:
        return self.directives.escape


class _Arguments(NamedTuple):
    words: tuple[Word, ...] = ()
    json: bool = False
    trigger: Node | None = None


def parse_dockerfile(data: bytes | str, name: str = "Dockerfile") -> Dockerfile:
    """The nodes of a file; `name` is for messages. Raises LanguageError."""
    text = decode(data, name) if isinstance(data, bytes) else data.removeprefix("\ufeff")
    source = Source(name, split_lines(text))
    directives = read_directives(source)
    lexer = Lexer(source, directives.escape, directives.taken)
    nodes: list[Node] = []
    while (line := lexer.next_line()) is not None:
        node = _read_node(line, directives.escape, split_head(line.text, directives.escape))
        heredocs = _read_heredocs(node, lexer)
        nodes.append(node._replace(comments=lexer.take_comments(), heredocs=heredocs, end_line=lexer.taken))
    if not nodes:
        message = "file with no instructions" if data else f"the Dockerfile ({name}) cannot be empty"
        raise Line("", source, (0,), ((max(lexer.taken, 1), 1),), lexer.taken).error(
            message, expected="a FROM instruction"
        )
    return Dockerfile(tuple(nodes), directives, source, tuple(lexer.empty_continuations))


def _read_node(line: Line, escape: str, head: Head, *, inside: bool = False) -> Node:
    name = head.keyword.text.upper()
    read = _READERS.get(name)
    if name == "ONBUILD":
        arguments = _Arguments() if inside else _read_trigger(line, escape, head.rest)
    else:
        arguments = read(line, escape, head.rest) if read else _unknown(head.rest)
    return Node(
        name,
        head.keyword,
        head.flags,
        arguments.words,
        arguments.json,
        (),
        0 if inside else line.first,
        0 if inside else line.last,
        line.text[head.keyword.offset :].rstrip(SPACE) if inside else line.text,
        head.raw_flags,
        head.rest,
        line,
        trigger=arguments.trigger,
    )


def _read_trigger(line: Line, escape: str, rest: Word) -> _Arguments:
    # an ONBUILD inside it stays unread: it is refused later, and a line of a thousand of them is not recursed into
    if not rest.text:
        return _Arguments()
    return _Arguments(trigger=_read_node(line, escape, split_head(line.text, escape, rest.offset), inside=True))


def _read_heredocs(node: Node, lexer: Lexer) -> tuple[Heredoc, ...]:
    holder = node.trigger or node
    if holder.instruction not in ("ADD", "COPY", "RUN") or holder.json:
        return ()
    try:
        markers = find_markers(node.original)
    except WordError as error:
        raise node.error(error.message, Word("", max(node.original.find("<<"), 0))) from error
    heredocs = []
    for marker in markers:
        content = lexer.read_heredoc(marker.name, chomp=marker.chomp)
        if content is None:
            at = Word("", max(node.original.find("<<"), 0))
            raise node.error(f"unterminated heredoc {marker.name!r}", at, expected=f"a line that is {marker.name}")
        heredocs.append(marker._replace(content=content))
    return tuple(heredocs)


def _whole(_line: Line, _escape: str, rest: Word) -> _Arguments:
    return _Arguments((rest,) if rest.text else ())


def _unknown(rest: Word) -> _Arguments:
    # BuildKit gives an instruction it does not know one empty argument; tools compare
    return _Arguments((Word("", rest.offset),))


def _blanks(_line: Line, _escape: str, rest: Word) -> _Arguments:
    return _Arguments(tuple(split_blanks(rest)))


def _words(_line: Line, escape: str, rest: Word) -> _Arguments:
    return _Arguments(tuple(split_words(rest, escape)))


def _json(line: Line, rest: Word) -> _Arguments | None:
    try:
        found = read_json_form(rest.text)
    except NotTextError:
        raise line.error(
            "in the JSON form all arguments must be text", rest.offset, expected='an array such as ["a", "b"]'
        ) from None
    return None if found is None else _Arguments(tuple(Word(text, rest.offset) for text in found), json=True)


def _json_or_whole(line: Line, escape: str, rest: Word) -> _Arguments:
    return _json(line, rest) or _whole(line, escape, rest)


def _json_or_blanks(line: Line, escape: str, rest: Word) -> _Arguments:
    return _json(line, rest) or _blanks(line, escape, rest)


def _health(line: Line, escape: str, rest: Word) -> _Arguments:
    end = next((i for i, char in enumerate(rest.text) if char in SPACE), len(rest.text))
    if not end:
        return _Arguments()
    command = rest.text[end:].lstrip(SPACE)
    after = Word(command, rest.offset + len(rest.text) - len(command))
    found = _json_or_whole(line, escape, after)
    return found._replace(words=(Word(rest.text[:end], rest.offset), *found.words))


def _pairs(name: str) -> Callable[[Line, str, Word], _Arguments]:
    """Three words for each pair: the key, the value, and "=", or nothing in the old form `KEY value`."""

    def read(line: Line, escape: str, rest: Word) -> _Arguments:
        words = split_words(rest, escape)
        if not words:
            return _Arguments()
        if "=" not in words[0].text:
            return _Arguments(_old_pair(name, line, rest))
        triples: list[Word] = []
        for word in words:
            key, equals, value = word.text.partition("=")
            if not equals:
                raise line.error(f"no = in {word.text!r}", word.offset, expected="name=value")
            after = word.offset + len(key)
            triples += [Word(key, word.offset), Word(value, after + 1), Word("=", after)]
        return _Arguments(tuple(triples))

    return read


def _old_pair(name: str, line: Line, rest: Word) -> tuple[Word, Word, Word]:
    found = split_once(rest)
    if found is None:
        raise line.error(f"{name} must have two arguments", rest.offset, expected=f"{name} {rest.text}=value")
    key, value = found
    return key, value, Word("", key.offset + len(key.text))


_READERS: dict[str, Callable[[Line, str, Word], _Arguments]] = {
    "ADD": _json_or_blanks,
    "ARG": _words,
    "CMD": _json_or_whole,
    "COPY": _json_or_blanks,
    "ENTRYPOINT": _json_or_whole,
    "ENV": _pairs("ENV"),
    "EXPOSE": _blanks,
    "FROM": _blanks,
    "HEALTHCHECK": _health,
    "LABEL": _pairs("LABEL"),
    "MAINTAINER": _whole,
    "RUN": _json_or_whole,
    "SHELL": _json_or_whole,
    "STOPSIGNAL": _whole,
    "USER": _whole,
    "VOLUME": _json_or_blanks,
    "WORKDIR": _whole,
}

#: every instruction there is
INSTRUCTIONS = frozenset({*_READERS, "ONBUILD"})
