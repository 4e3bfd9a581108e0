"""`secret ls` and `config ls`: one as a row of texts; `inspect --pretty`."""

from __future__ import annotations

import time

from sandbox.humane import ago

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.cli.output.table import Row
    from sandbox.secret.record import Kind, StoredObject

HEADERS = {
    "ID": "ID", "Name": "NAME", "Driver": "DRIVER", "CreatedAt": "CREATED", "UpdatedAt": "UPDATED",
    "Labels": "LABELS", "Label": "",
}  # fmt: skip
COLUMNS: dict[Kind, tuple[str, ...]] = {
    "secret": ("ID", "Name", "Driver", "CreatedAt", "UpdatedAt"),
    "config": ("ID", "Name", "CreatedAt", "UpdatedAt"),
}


def object_row(found: StoredObject) -> Row:
    """Every field that a template of `secret ls --format` may use."""
    now_ns = time.time_ns()
    return {
        "ID": found.id,
        "Name": found.name,
        "Driver": "",
        "CreatedAt": ago(found.created_ns, now_ns),
        "UpdatedAt": ago(found.updated_ns, now_ns),
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(found.labels.items())),
        "Label": lambda key: found.labels.get(key, ""),
    }


def pretty_text(kind: Kind, document: dict[str, Any]) -> str:
    """What `inspect --pretty` prints of the Engine's document."""
    spec = document["Spec"]
    gap = "\t\t\t" if kind == "config" else " " * 14
    lines = [f"ID:{gap}{document['ID']}", f"Name:{gap if kind == 'config' else ' ' * 12}{spec['Name']}"]
    if spec["Labels"]:
        lines.append("Labels:")
        lines += [f" - {key}{f'={value}' if value else ''}" for key, value in sorted(spec["Labels"].items())]
    if kind == "secret":
        lines.append("Driver:            ")
    after = " " * (12 if kind == "config" else 8)
    lines += [f"Created at:{after}{_time(document['CreatedAt'])}", f"Updated at:{after}{_time(document['UpdatedAt'])}"]
    if kind == "config":
        from base64 import b64decode

        lines += ["Data:", b64decode(spec["Data"]).decode(errors="backslashreplace")]
    return "\n".join(lines)


def _time(text: str) -> str:
    """As Go prints a time in UTC."""
    return text.replace("T", " ", 1).replace("Z", " +0000 utc", 1)
