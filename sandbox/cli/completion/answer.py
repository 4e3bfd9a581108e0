"""One question of a shell, asked through the environment as typer's scripts do, and its answer in the shell's form.

A person waits for it at each TAB: nothing is imported but the command that is being typed, and the database where
names are wanted.
"""

from __future__ import annotations

import sys

from sandbox.cli.completion.candidates import find_candidates
from sandbox.errors import SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

#: bash cuts words at these, and puts an answer in place of what is behind the last of them
_BREAKS = ":="


def complete(env: Mapping[str, str]) -> NoReturn:
    """Answer the shell that asked through `env`, and end the process. Raises SystemExit, always."""
    shell = env["_SANDBOX_COMPLETE"].removeprefix("complete_")
    words = _words_for_bash(env) if shell == "bash" else _words_of_line(env.get("_TYPER_COMPLETE_ARGS", ""))
    *before, incomplete = words
    try:
        found = find_candidates(env, before[1:], incomplete)
    except SandboxError:
        found = []  # a person pressing TAB wants no errors
    if shell == "fish" and env.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args":
        raise SystemExit(0 if found else 1)
    sys.stdout.write(_FORMS.get(shell, _for_bash)(found, incomplete))
    sys.stdout.flush()
    raise SystemExit(0)


def _words_for_bash(env: Mapping[str, str]) -> list[str]:
    """The words up to the one at the cursor, put together again where bash has cut them."""
    words = _split(env.get("COMP_WORDS", ""))
    place = env.get("COMP_CWORD", "")
    end = int(place) + 1 if place.isdecimal() else len(words)
    words = [*words, ""][:end] if end > len(words) else words[:end]
    joined: list[str] = []
    glue = False
    for word in words:
        is_break = bool(word) and not word.strip(_BREAKS)
        if joined[1:] and (glue or is_break):
            joined[-1] += word
        else:
            joined.append(word)
        glue = is_break
    return joined or [""]


def _words_of_line(line: str) -> list[str]:
    words = _split(line)
    return words if words and not line[-1:].isspace() else [*words, ""]


def _split(line: str) -> list[str]:
    """The words of a line that need not be finished."""
    if "'" not in line and '"' not in line and "\\" not in line:
        return line.split()
    import shlex

    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    try:
        words.extend(lexer)
    except ValueError:
        # within a quote: what has come of it is the word
        words.append(lexer.token)
    return words


def _for_bash(found: Sequence[tuple[str, str]], incomplete: str) -> str:
    shown = max(incomplete.rfind(mark) for mark in _BREAKS) + 1
    return "\n".join(value[shown:] for value, _ in found)


def _for_zsh(found: Sequence[tuple[str, str]], _incomplete: str) -> str:
    if not found:
        return "_files"
    # the script evaluates it as one line. What something is to follow gets no blank behind it
    statements = ["local -a words_whole words_open"]
    for name, chosen, options in (
        ("words_whole", [row for row in found if not row[0].endswith(("=", ":"))], ""),
        ("words_open", [row for row in found if row[0].endswith(("=", ":"))], " -S ''"),
    ):
        if chosen:
            statements += [f"{name}=({' '.join(map(_zsh_word, chosen))})", f"_describe '' {name}{options}"]
    return "; ".join(statements)


def _zsh_word(row: tuple[str, str]) -> str:
    value, about = (text.replace("\\", "\\\\").replace(":", "\\:").replace("'", "'\\''") for text in row)
    return f"'{value}:{about}'" if about else f"'{value}'"


def _for_fish(found: Sequence[tuple[str, str]], _incomplete: str) -> str:
    return "\n".join(f"{value}\t{about}" if about else value for value, about in found)


_FORMS = {"bash": _for_bash, "zsh": _for_zsh, "fish": _for_fish}
