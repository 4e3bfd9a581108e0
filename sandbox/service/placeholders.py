"""What stands for a task's own values in texts of a service: `{{.Task.Slot}}` and its likes, as Swarm has them. Pure.

They are replaced in the host name, in values of the environment and in mounts. Whatever else is in braces stays as it
is: it may be a template of the program's own.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.container.request.request import ContainerRequest


def with_values(request: ContainerRequest, values: Mapping[str, str]) -> ContainerRequest:
    """The request with each of the names in `values`, as ".Task.Slot", replaced where it stands in braces."""

    def put(text: str) -> str:
        return _put(text, values)

    environment = tuple(put(text) for text in request.environment)
    mounts = tuple(mount._replace(source=put(mount.source), target=put(mount.target)) for mount in request.mounts)
    hostname = put(request.hostname) if request.hostname else request.hostname
    binds = tuple(put(text) for text in request.binds)
    return request._replace(environment=environment, mounts=mounts, hostname=hostname, binds=binds)


def _put(text: str, values: Mapping[str, str]) -> str:
    if "{{" not in text:
        return text
    done, *rest = text.split("{{")
    for part in rest:
        name, closed, behind = part.partition("}}")
        known = values.get(name.strip()) if closed else None
        done += "{{" + part if known is None else known + behind
    return done
