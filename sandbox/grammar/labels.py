"""`--label`, `--label-file`, and how they meet the image's labels."""

from __future__ import annotations

from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def parse_label(text: str) -> tuple[str, str]:
    """The key and value of one label; a bare key has an empty value. Raises UsageError."""
    key, _, value = text.partition("=")
    seen = key.lstrip(" \t")
    if not seen:
        raise UsageError(f"invalid label '{text}': empty name")
    if " " in seen or "\t" in seen:
        raise UsageError(f"label '{seen}' contains whitespaces")
    return key, value


def parse_annotation(text: str) -> tuple[str, str]:
    """The key and value of one annotation; a bare key has an empty value. Raises UsageError."""
    key, _, value = text.partition("=")
    if not key.strip():
        raise UsageError(f"invalid annotation '{text}': empty name", mend="--annotation NAME=VALUE")
    return key, value


def read_labels(files: Iterable[str], labels: Iterable[str]) -> dict[str, str]:
    """The labels of all `files`, then `labels`: a later one wins. Raises UsageError."""
    from sandbox.grammar.key_value_file import read_key_values

    found: dict[str, str] = {}
    for path in files:
        # Docker gives a bare label of a file the empty value; there is no environment to ask
        found.update(parse_label(pair) for pair in read_key_values(path, _NoValues()))
    found.update(parse_label(text) for text in labels)
    return found


class _NoValues(dict[str, str]):
    """Every name is there, and empty."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> str:
        return ""


def merge_labels(image: Mapping[str, str], given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The image's labels with the given ones over them, by key."""
    return tuple(sorted({**image, **given}.items()))
