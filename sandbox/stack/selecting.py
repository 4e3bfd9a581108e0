"""Which services of a project are on: by profiles, and by the names that a command is given."""

from __future__ import annotations

from sandbox.errors import NotFoundError
from sandbox.stack.measures import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sandbox.stack.model import Service
    from sandbox.stack.project import Project


def with_profiles(project: Project, profiles: Collection[str]) -> Project:
    """`project` with the services on that are in one of `profiles`, or in none; `*` is every profile."""

    def is_on(service: Service) -> bool:
        return not service.profiles or "*" in profiles or any(each in profiles for each in service.profiles)

    services = project.all_services
    return project._replace(
        services=Pairs.of((name, each) for name, each in services if is_on(each)),
        disabled=Pairs.of((name, each) for name, each in services if not is_on(each)),
        profiles=tuple(profiles),
    )


def with_services(project: Project, names: Iterable[str]) -> Project:
    """`project` with the services `names` and those they depend on; a named one has its profiles on.

    Raises NotFoundError for a service that is not there.
    """
    asked = list(names)
    if not asked:
        return project
    services = project.all_services
    profiles = dict.fromkeys(project.profiles)
    for name in asked:
        service = services.value(name)
        if service is None:
            from sandbox.near_names import nearest

            near = nearest(name, services.names)
            raise NotFoundError(
                f"no such service: {name}", mend="sandbox compose config --services", word=name, near=near
            )
        if name in project.disabled.names:
            profiles |= dict.fromkeys(service.profiles)
    project = with_profiles(project, tuple(profiles))
    wanted = set(in_order(project, asked))
    return project._replace(
        services=Pairs.of((name, each) for name, each in project.services if name in wanted),
        disabled=Pairs.of((name, each) for name, each in services if name not in wanted),
    )


def in_order(project: Project, names: Iterable[str]) -> tuple[str, ...]:
    """`names`, each behind the services that it depends on, which are there too."""
    services = dict(project.services)
    found: dict[str, None] = {}
    # a list of its own, and no recursion: a chain may be as long as the file
    waiting = [(name, False) for name in reversed(list(names))]
    begun: set[str] = set()
    while waiting:
        name, is_ready = waiting.pop()
        if is_ready:
            found[name] = None
        elif name in services and name not in begun:
            begun.add(name)
            waiting.append((name, True))
            waiting += [(other, False) for other, _ in reversed(tuple(services[name].depends_on))]
    return tuple(found)


def without_unused(project: Project) -> Project:
    """`project` without the networks, volumes, secrets, configs and models that none of its services is in need of."""
    networks, volumes, secrets, configs, models = (set[str](), set[str](), set[str](), set[str](), set[str]())
    for _, service in project.services:
        networks |= set((service.networks or Pairs()).names)
        volumes |= {each.source for each in service.volumes if not isinstance(each, str) and each.type == "volume"}
        build_secrets = service.build.secrets if service.build is not None else ()
        secrets |= {each.source for each in (*service.secrets, *build_secrets)}
        configs |= {each.source for each in service.configs}
        models |= {name for name, _ in service.models}
    return project._replace(
        networks=Pairs.of(each for each in project.networks if each[0] in networks),
        volumes=Pairs.of(each for each in project.volumes if each[0] in volumes),
        secrets=Pairs.of(each for each in project.secrets if each[0] in secrets),
        configs=Pairs.of(each for each in project.configs if each[0] in configs),
        models=Pairs.of(each for each in project.models if each[0] in models),
    )
