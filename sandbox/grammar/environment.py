"""`-e`, `--env-file`, and how they meet the image's environment."""

from __future__ import annotations

from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def parse_variable(text: str, env: Mapping[str, str]) -> str:
    """`NAME=value` as given; `NAME` with the caller's value, or bare where the caller has none (then it is unset).

    Raises UsageError.
    """
    name, equals, _ = text.partition("=")
    if not name:
        raise UsageError(f"invalid environment variable: {text}")
    if "\0" in text:
        raise UsageError(f"invalid environment variable: {name}: a value cannot hold a null character")
    if equals or name not in env:
        return text
    return f"{name}={env[name]}"


def read_variables(files: Iterable[str], variables: Iterable[str], env: Mapping[str, str]) -> tuple[str, ...]:
    """The variables of all `files`, then `variables`: a later one wins. Raises UsageError."""
    from sandbox.grammar.key_value_file import read_key_values

    found: list[str] = []
    for path in files:
        found.extend(read_key_values(path, env))
    found.extend(parse_variable(text, env) for text in variables)
    return tuple(found)


def merge_environment(image: Iterable[str], given: tuple[str, ...]) -> tuple[str, ...]:
    """What `inspect` shows: the given ones first, then those of the image that were not given."""
    names = {text.partition("=")[0] for text in given}
    return (*given, *(text for text in image if text.partition("=")[0] not in names))
