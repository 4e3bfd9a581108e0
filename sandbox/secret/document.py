"""A secret or a config as the Engine's document."""

from __future__ import annotations

from sandbox.humane import rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.paths import Paths
    from sandbox.secret.record import Kind, StoredObject


def describe_object(paths: Paths, kind: Kind, found: StoredObject) -> dict[str, Any]:
    """What `docker secret inspect` and `docker config inspect` print: of a config the content too. Raises SandboxError
    where that is lost.
    """
    spec: dict[str, Any] = {"Name": found.name, "Labels": dict(sorted(found.labels.items()))}
    if kind == "config":
        from base64 import b64encode

        from sandbox.secret.store import read_content

        spec["Data"] = b64encode(read_content(paths, kind, found)).decode()
    if found.template:
        spec["Templating"] = {"Name": found.template}
    return {
        "ID": found.id,
        "Version": {"Index": found.version},
        "CreatedAt": rfc3339(found.created_ns),
        "UpdatedAt": rfc3339(found.updated_ns),
        "Spec": spec,
    }
