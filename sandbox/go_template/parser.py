"""Tokens into nodes, by recursive descent (Go's text/template/parse/parse.go)."""

from __future__ import annotations

from sandbox.go_template.errors import TemplateParseError
from sandbox.go_template.functions import FUNCTIONS
from sandbox.go_template.lexer import Token, split_template
from sandbox.go_template.nodes import (
    Action,
    Branch,
    Call,
    Command,
    Constant,
    Dot,
    Function,
    Leave,
    Node,
    Operand,
    Parenthesis,
    Pipeline,
    Text,
    Variable,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Literal

    from sandbox.go_template.lexer import Piece

#: deeper nesting is nobody's template, and would exhaust Python's stack
_DEEPEST = 50
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "nil": None}
_BRANCHES: dict[str, Literal["if", "with", "range"]] = {"if": "if", "with": "with", "range": "range"}
_LEAVES: dict[str, Literal["break", "continue"]] = {"break": "break", "continue": "continue"}
_END = ("end", "else")


def parse_nodes(
    source: str, functions: Collection[str] = FUNCTIONS
) -> tuple[tuple[Node, ...], dict[str, tuple[Node, ...]]]:
    """The nodes of a whole template, and those that it defines by names. Raises TemplateParseError."""
    parser = _Parser(split_template(source), functions)
    nodes, ending = parser.body(0, in_range=False)
    if ending:
        raise TemplateParseError(parser.line, f"unexpected {{{{{ending}}}}}")
    return nodes, parser.defined


class _Parser:
    """Walks the pieces of a template; `line` is where it is."""

    def __init__(self, pieces: Sequence[Piece], functions: Collection[str]) -> None:
        self._functions = functions
        self._pieces = pieces
        self._position = 0
        self.line = 1
        self._variables = ["$"]
        self.defined: dict[str, tuple[Node, ...]] = {}
        #: what an `else if` or `else with` left for the branch that it opens
        self._chained: _Tokens | None = None

    def body(self, depth: int, *, in_range: bool) -> tuple[tuple[Node, ...], str]:
        """The nodes up to an `end` or `else` of the surrounding branch, and which of them ended it; "" at the end."""
        if depth > _DEEPEST:
            raise TemplateParseError(self.line, "nested too deeply")
        nodes: list[Node] = []
        while self._position < len(self._pieces):
            piece = self._pieces[self._position]
            self._position += 1
            self.line = piece.line
            if piece.tokens is None:
                nodes.append(Text(piece.text))
                continue
            tokens = _Tokens(piece.tokens, piece.line)
            word = tokens.first_word()
            if word in _END:
                tokens.take()
                if word == "else":
                    self._chained = tokens if tokens.peek() else None
                if self._chained is None and tokens.peek():
                    raise TemplateParseError(self.line, f"unexpected {tokens.shown()} in {word}")
                return tuple(nodes), word
            if word == "define":
                self._define(tokens, depth)
                continue
            nodes.append(self._action(tokens, word, depth, in_range=in_range))
        return tuple(nodes), ""

    def _action(self, tokens: _Tokens, word: str, depth: int, *, in_range: bool) -> Node:
        if word in _BRANCHES:
            tokens.take()
            return self._branch(_BRANCHES[word], tokens, depth, in_range=in_range)
        if word in _LEAVES:
            if not in_range:
                raise TemplateParseError(self.line, f"{{{{{word}}}}} outside {{{{range}}}}")
            tokens.take()
            tokens.finish(word)
            return Leave(_LEAVES[word])
        if word in ("template", "block"):
            return self._call(tokens, word, depth)
        pipeline = self._pipeline(tokens, depth, "command")
        tokens.finish("command")
        return Action(pipeline)

    def _define(self, tokens: _Tokens, depth: int) -> None:
        if depth:
            raise TemplateParseError(self.line, "unexpected {{define}}")
        tokens.take()
        name = self._name(tokens, "define clause")
        tokens.finish("define clause")
        self._defined_body(name, depth)

    def _call(self, tokens: _Tokens, word: str, depth: int) -> Call:
        tokens.take()
        context = f"{word} clause"
        name = self._name(tokens, context)
        # a block has data always, a template may have none
        pipeline = self._pipeline(tokens, depth, context) if word == "block" or tokens.peek() else None
        tokens.finish(context)
        if word == "block":
            self._defined_body(name, depth)
        return Call(name, pipeline)

    def _name(self, tokens: _Tokens, context: str) -> str:
        token = tokens.take()
        if token.kind != "text":
            raise TemplateParseError(self.line, f"unexpected {token.value!r} in {context}")
        return str(token.value)

    def _defined_body(self, name: str, depth: int) -> None:
        outer, self._variables = self._variables, ["$"]
        nodes, ending = self.body(depth + 1, in_range=False)
        self._variables = outer
        if ending != "end":
            raise TemplateParseError(self.line, "unexpected EOF" if not ending else f"expected end; found {ending}")
        self.defined[name] = nodes

    def _branch(self, kind: Literal["if", "with", "range"], tokens: _Tokens, depth: int, *, in_range: bool) -> Branch:
        scope = len(self._variables)
        pipeline = self._pipeline(tokens, depth, kind)
        tokens.finish(kind)
        body, ending = self.body(depth + 1, in_range=in_range or kind == "range")
        otherwise: tuple[Node, ...] = ()
        if ending == "else":
            otherwise, ending = self._otherwise(kind, depth, in_range=in_range)
        if ending != "end":
            raise TemplateParseError(self.line, "unexpected EOF" if not ending else f"expected end; found {ending}")
        del self._variables[scope:]
        return Branch(kind, pipeline, body, otherwise)

    def _otherwise(self, kind: str, depth: int, *, in_range: bool) -> tuple[tuple[Node, ...], str]:
        chained, self._chained = self._chained, None
        if chained is None:
            return self.body(depth + 1, in_range=in_range)
        word = chained.first_word()
        if word not in ("if", "with") or word != kind:
            raise TemplateParseError(self.line, f"unexpected {chained.shown()} in else")
        chained.take()
        # `{{else if x}}…{{end}}` has one end for both
        return (self._branch(_BRANCHES[word], chained, depth + 1, in_range=in_range),), "end"

    def _pipeline(self, tokens: _Tokens, depth: int, context: str) -> Pipeline:
        if depth > _DEEPEST:
            raise TemplateParseError(self.line, "nested too deeply")
        variables, assigns = self._declaration(tokens, context)
        commands = [self._command(tokens, depth, context)]
        while tokens.accept("symbol", "|"):
            commands.append(self._command(tokens, depth, context))
        for command in commands[1:]:
            if not isinstance(command.words[0], Function | Dot | Variable | Parenthesis):
                raise TemplateParseError(self.line, "non executable command in pipeline")
        self._variables.extend(() if assigns else variables)
        return Pipeline(tuple(commands), variables, assigns)

    def _declaration(self, tokens: _Tokens, context: str) -> tuple[tuple[str, ...], bool]:
        start = tokens.position
        names: list[str] = []
        while (token := tokens.accept("variable")) is not None:
            names.append(str(token.value))
            if tokens.accept("symbol", ":="):
                if len(names) > 1 and context != "range":
                    break
                return tuple(names), False
            if tokens.accept("symbol", "="):
                for name in names:
                    self._known(name)
                return tuple(names), True
            if context != "range" or len(names) == 2 or not tokens.accept("symbol", ","):
                break
        if len(names) > 1:
            raise TemplateParseError(self.line, f"too many declarations in {context}")
        tokens.position = start
        return (), False

    def _known(self, name: str) -> str:
        if name not in self._variables:
            raise TemplateParseError(self.line, f'undefined variable "{name}"')
        return name

    def _command(self, tokens: _Tokens, depth: int, context: str) -> Command:
        words: list[Operand] = []
        while (token := tokens.peek()) is not None and not (token.kind == "symbol" and token.value in ("|", ")")):
            words.append(self._operand(tokens, depth))
        if not words:
            raise TemplateParseError(self.line, f"missing value for {context}")
        first = words[0]
        if len(words) > 1 and (isinstance(first, Constant) or first == Dot()):
            raise TemplateParseError(self.line, "can't give argument to non-function")
        if first == Constant(None):
            raise TemplateParseError(self.line, "nil is not a command")
        return Command(tuple(words))

    def _operand(self, tokens: _Tokens, depth: int) -> Operand:
        token = tokens.take()
        value = token.value
        if token.kind == "dot":
            return Dot()
        if token.kind == "field":
            return Dot((str(value), *tokens.fields()))
        if token.kind == "variable":
            return Variable(self._known(str(value)), tokens.fields())
        if token.kind in ("text", "number"):
            return Constant(value)
        if token.kind == "symbol" and value == "(":
            scope = len(self._variables)
            pipeline = self._pipeline(tokens, depth + 1, "parenthesized pipeline")
            if not tokens.accept("symbol", ")"):
                raise TemplateParseError(self.line, "unclosed left paren")
            del self._variables[scope:]
            return Parenthesis(pipeline, tokens.fields())
        if token.kind == "word":
            return self._word(str(value))
        raise TemplateParseError(self.line, f"unexpected {value!r} in operand")

    def _word(self, name: str) -> Operand:
        if name in _CONSTANTS:
            return Constant(_CONSTANTS[name])
        if name not in self._functions:
            raise TemplateParseError(self.line, f'function "{name}" not defined', function=name)
        return Function(name)


class _Tokens:
    """The tokens of one action, spaces passed over except where they part a field from what is before it."""

    def __init__(self, tokens: Sequence[Token], line: int) -> None:
        self._tokens = tokens
        self._line = line
        self.position = 0

    def peek(self) -> Token | None:
        while self.position < len(self._tokens) and self._tokens[self.position].kind == "space":
            self.position += 1
        return self._tokens[self.position] if self.position < len(self._tokens) else None

    def take(self) -> Token:
        token = self.peek()
        if token is None:
            raise TemplateParseError(self._line, "unexpected end of action")
        self.position += 1
        return token

    def accept(self, kind: str, value: str | None = None) -> Token | None:
        token = self.peek()
        if token is None or token.kind != kind or (value is not None and token.value != value):
            return None
        self.position += 1
        return token

    def fields(self) -> tuple[str, ...]:
        """The fields that follow with no space between."""
        start = self.position
        while self.position < len(self._tokens) and self._tokens[self.position].kind == "field":
            self.position += 1
        return tuple(str(token.value) for token in self._tokens[start : self.position])

    def first_word(self) -> str:
        token = self.peek()
        return str(token.value) if token is not None and token.kind == "word" else ""

    def shown(self) -> str:
        token = self.peek()
        return f"<{token.value}>" if token else "end"

    def finish(self, context: str) -> None:
        if self.peek() is not None:
            raise TemplateParseError(self._line, f"unexpected {self.shown()} in {context}")
