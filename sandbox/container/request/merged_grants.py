"""Secrets and configs that a request asks for: where each goes in the container, and whose it is there."""

from __future__ import annotations

from sandbox.errors import UsageError, at_field
from sandbox.grammar.volumes import check_target, clean_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.container.model.record import ContainerConfig
    from sandbox.container.request.request import ContainerRequest
    from sandbox.values import FileGrant

#: what a target that is not absolute is below
_PLACES = {"secrets": "/run/secrets", "configs": "/"}
_LAST_ID = (1 << 32) - 2


def add_grants(request: ContainerRequest, config: ContainerConfig) -> ContainerConfig:
    """`config`, which has its mounts, with the grants, none of which has its content. Raises UsageError, which names
    the field that is at fault.
    """
    taken = {mount.target for mount in config.mounts}
    secrets = tuple(_merged("secrets", request.secrets, taken))
    return config._replace(secrets=secrets, configs=tuple(_merged("configs", request.configs, taken)))


def _merged(field: str, grants: tuple[FileGrant, ...], taken: set[str]) -> Iterator[FileGrant]:
    for position, grant in enumerate(grants):
        with at_field(f"{field}[{position}]"):
            _check(grant)
            if grant.variable:
                yield grant._replace(target="", content=None)
                continue
            text = grant.target or grant.source
            target = text if text.startswith("/") or not text else f"{_PLACES[field]}/{text}"
            check_target(target, text)
            target = clean_path(target)
            if target in taken:
                raise UsageError(f"Duplicate mount point: {target}")
            taken.add(target)
            yield grant._replace(target=target, content=None)


def _check(grant: FileGrant) -> None:
    for word, number, most in (
        ("uid", grant.uid, _LAST_ID),
        ("gid", grant.gid, _LAST_ID),
        ("mode", grant.mode, 0o7777),
    ):
        if not 0 <= number <= most:
            shown = f"{number:o}" if word == "mode" else number
            raise UsageError(f"invalid {word} {shown} of {grant.source or grant.target}")
    if "=" in grant.variable or "\0" in grant.variable:
        raise UsageError(f"{grant.variable!r} cannot be the name of a variable")


def without_contents(request: ContainerRequest) -> ContainerRequest:
    """The request as it may be kept."""
    if not request.secrets and not request.configs:
        return request
    return request._replace(
        secrets=tuple(grant._replace(content=None) for grant in request.secrets),
        configs=tuple(grant._replace(content=None) for grant in request.configs),
    )
