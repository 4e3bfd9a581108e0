"""A project as a command line changes it: how many containers, and which services. Pure."""

from __future__ import annotations

from sandbox.errors import NotFoundError, UsageError
from sandbox.stack.measures import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sandbox.stack.project import Project


def with_scales(project: Project, texts: Iterable[str]) -> Project:
    """`project` with as many containers as each "SERVICE=NUMBER" says. Raises UsageError, NotFoundError."""
    services = dict(project.services)
    for text in texts:
        name, equals, number = text.partition("=")
        if not equals or not number:
            raise UsageError(f'invalid --scale option "{text}". Should be SERVICE=NUM', mend="--scale SERVICE=NUMBER")
        if not (number.isascii() and number.isdigit()):
            raise UsageError(f'invalid scale for "{name}": {number!r} is no number', mend=f"--scale {name}=2")
        if name not in services:
            from sandbox.near_names import nearest

            near = nearest(name, services)
            raise NotFoundError(
                f"no such service: {name}", mend="sandbox compose config --services", word=name, near=near
            )
        service = services[name]
        if service.deploy is not None:
            service = service._replace(deploy=service.deploy._replace(replicas=None))
        services[name] = service._replace(scale=int(number))
    return project._replace(services=Pairs.of(services.items()))


def without_dependencies(project: Project, names: Collection[str]) -> Project:
    """`project` with the services `names` alone on; without names it is as it was."""
    if not names:
        return project
    every = project.all_services
    return project._replace(
        services=Pairs.of((name, each) for name, each in project.services if name in names),
        disabled=Pairs.of((name, each) for name, each in every if name not in names),
    )
