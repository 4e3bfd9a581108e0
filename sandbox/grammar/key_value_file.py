"""The file format of `--env-file` and `--label-file`: one NAME=value a line, `#` comments, no quoting."""

from __future__ import annotations

from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: far above any real file; a device given by mistake must not fill the memory
_LARGEST_BYTES = 16 * 1024 * 1024


def read_key_values(path: str, env: Mapping[str, str] | None = None) -> list[str]:
    """The pairs of one file, in order; a bare NAME takes its value from `env`, and is left out where that has none.

    Without `env` bare names are left out. Raises UsageError.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}", cause=error.strerror or str(error), mend=f"ls -l {path}") from error
    except ValueError as error:
        raise UsageError(f"cannot read {path!r}: {error}") from error
    if len(content) > _LARGEST_BYTES:
        raise UsageError(f"{path} is too long for a file of variables")
    return list(_pairs(path, content, env))


def _pairs(path: str, content: bytes, env: Mapping[str, str] | None) -> Iterator[str]:
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            line = raw.removesuffix(b"\r").decode().lstrip()
        except UnicodeDecodeError:
            raise UsageError(f"invalid file {path}: invalid utf8 bytes at line {number}") from None
        if not line or line.startswith("#"):
            continue
        name, equals, _ = line.partition("=")
        if not name:
            raise UsageError(f"invalid file {path}: no variable name on line '{line}'")
        if " " in name or "\t" in name or "\0" in line:
            raise UsageError(f"invalid file {path}: variable '{name}' contains whitespaces")
        if equals:
            yield line
        elif env is not None and name in env:
            yield f"{name}={env[name]}"
