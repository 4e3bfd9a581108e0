"""docs/compose.md's table of keys: `python -m sandbox.stack.key_table docs/compose.md` writes it anew."""

from __future__ import annotations

import sys

from sandbox.stack.fates import all_keys

_BEGIN, _END = "<!-- keys -->", "<!-- end of keys -->"


def with_table(page: str) -> str:
    """`page` with the table between its two marks as it is now."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n\n{_table()}\n\n{_END}{after}"


def _table() -> str:
    rows = [f"| `{key.path}` | {key.fate} | {key.why} |" for key in all_keys()]
    return "\n".join(["| key | what becomes of it | why |", "|---|---|---|", *rows])


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        text = file.read()
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(with_table(text))
