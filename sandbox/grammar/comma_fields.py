"""One line of comma-separated fields, quoted as RFC 4180 §2 has it: `--mount` and `--network`."""

from __future__ import annotations

from sandbox.errors import UsageError


def split_fields(text: str) -> list[str]:
    """The fields of `text`; a field in double quotes may hold commas, and `""` for a quote. Raises UsageError."""
    if '"' not in text:
        if "\n" in text or "\r" in text:
            raise UsageError("a line break is not allowed here")
        return text.split(",")
    fields: list[str] = []
    rest: str | None = text
    while rest is not None:
        field, rest = _quoted_field(rest) if rest.startswith('"') else _plain_field(rest)
        fields.append(field)
    return fields


def _plain_field(text: str) -> tuple[str, str | None]:
    field, comma, rest = text.partition(",")
    if '"' in field:
        raise UsageError(f'bare " in non-quoted field: {field}')
    return field, rest if comma else None


def _quoted_field(text: str) -> tuple[str, str | None]:
    end = 1
    while True:
        end = text.find('"', end)
        if end < 0:
            raise UsageError(f'missing closing " in field: {text}')
        if text[end : end + 2] != '""':
            break
        end += 2
    rest = text[end + 1 :]
    if rest and not rest.startswith(","):
        raise UsageError(f'extraneous " in field: {text}')
    return text[1:end].replace('""', '"'), rest[1:] if rest else None
