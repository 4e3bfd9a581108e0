"""What a project must be beyond its keys: each reference leads somewhere, and no two things exclude each other."""

from __future__ import annotations

from sandbox.stack.errors import problem
from sandbox.stack.model import Port, Volume

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandbox.stack.errors import ComposeFileError
    from sandbox.stack.model import Service
    from sandbox.stack.places import Place
    from sandbox.stack.project import Project


class _Check:
    """One look at a project: errors know their places."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.services = dict(project.services)
        self.disabled = dict(project.disabled)

    def error(self, path: str, what: str, *, mend: str = "") -> ComposeFileError:
        return problem(place_of(self.project.places, path), path, what, mend=mend)

    def reference(self, path: str, owner: str, what: str, name: str, known: Iterable[str], section: str) -> None:
        names = list(known)
        if name in names:
            return
        from sandbox.near_names import nearest

        near = nearest(name, names)
        mend = f"write {near!r}" if near else f"add {name!r} to the file's {section}"
        raise self.error(path, f"{owner} refers to undefined {what} {name!r}", mend=mend)


def place_of(places: Mapping[str, Place], path: str) -> Place | None:
    """Where `path` was written, or the nearest thing around it that was."""
    while path:
        if path in places:
            return places[path]
        cut = max(path.rfind("."), path.rfind("["))
        path = path[:cut] if cut > 0 else ""
    return places.get("")


def check(project: Project) -> None:
    """Raise ComposeFileError for a project that cannot be."""
    looking = _Check(project)
    for name, service in project.services:
        _check_source(looking, name, service)
        _check_references(looking, name, service)
        _check_dependencies(looking, name, service)
        _check_counts(looking, name, service)
        _check_devices(looking, name, service)
        _check_mounts(looking, name, service)
        _check_ports(looking, name, service)
    _check_resources(looking, project)
    _check_circle(looking, project)


def _check_source(looking: _Check, name: str, service: Service) -> None:
    path, build = f"services.{name}", service.build
    if build is None and not service.image and service.provider is None:
        raise looking.error(
            path, f"service {name!r} has neither an image nor a build context specified", mend="image: NAME"
        )
    if build is None:
        return
    if build.dockerfile_inline and build.dockerfile:
        raise looking.error(f"{path}.build", "'dockerfile' and 'dockerfile_inline' exclude each other")
    if build.platforms and service.platform and service.platform not in build.platforms:
        raise looking.error(
            f"{path}.build.platforms", f'service.build.platforms MUST include service.platform "{service.platform}"'
        )
    for context, target in build.additional_contexts:
        if target.startswith("service:"):
            other = target.removeprefix("service:")
            where = f"{path}.build.additional_contexts.{context}"
            known = looking.project.all_services
            looking.reference(where, f"service {name!r}", "service", other, known.names, "services")
            found = known.value(other)
            if found is not None and found.build is None:
                raise looking.error(where, f"service {other!r} is not built, and no context")
    for number, grant in enumerate(build.secrets):
        looking.reference(
            f"{path}.build.secrets[{number}]", f"service {name!r}", "build secret", grant.source,
            looking.project.secrets.names, "secrets",
        )  # fmt: skip


def _check_references(looking: _Check, name: str, service: Service) -> None:
    path, owner, project = f"services.{name}", f"service {name!r}", looking.project
    if service.network_mode and service.networks:
        raise looking.error(f"{path}.network_mode", "'network_mode' and 'networks' exclude each other")
    for network, _ in service.networks or ():
        looking.reference(f"{path}.networks.{network}", owner, "network", network, project.networks.names, "networks")
    for number, volume in enumerate(service.volumes):
        if isinstance(volume, Volume) and volume.type == "volume" and volume.source:
            looking.reference(
                f"{path}.volumes[{number}]", owner, "volume", volume.source, project.volumes.names, "volumes"
            )
    for number, grant in enumerate(service.configs):
        looking.reference(f"{path}.configs[{number}]", owner, "config", grant.source, project.configs.names, "configs")
    for number, grant in enumerate(service.secrets):
        looking.reference(f"{path}.secrets[{number}]", owner, "secret", grant.source, project.secrets.names, "secrets")
    for model, _ in service.models:
        looking.reference(f"{path}.models.{model}", owner, "model", model, project.models.names, "models")


def _check_dependencies(looking: _Check, name: str, service: Service) -> None:
    for other, dependency in service.depends_on:
        if other in looking.services or (not dependency.required and other in looking.disabled):
            continue
        path = f"services.{name}.depends_on.{other}"
        if other in looking.disabled:
            profiles = looking.disabled[other].profiles
            raise looking.error(
                path,
                f"service {name!r} depends on undefined service {other!r}: no profile that it is in is on",
                mend=f"--profile {profiles[0]}" if profiles else "",
            )
        from sandbox.near_names import nearest

        near = nearest(other, (each for each in looking.services if each != name))
        raise looking.error(
            path, f"service {name!r} depends on undefined service {other!r}", mend=f"write {near!r}" if near else ""
        )


def _check_counts(looking: _Check, name: str, service: Service) -> None:
    path, deploy = f"services.{name}", service.deploy
    replicas = deploy.replicas if deploy is not None else None
    if service.scale is not None and replicas is not None and service.scale != replicas:
        raise looking.error(f"{path}.scale", "'scale' and 'deploy.replicas' say different numbers")
    for key, count in (("scale", service.scale), ("deploy.replicas", replicas)):
        if count is not None and count < 0:
            raise looking.error(f"{path}.{key}", "must be greater than or equal to 0")
    if service.replicas > 1 and service.container_name:
        key = "scale" if service.scale is not None else "deploy.replicas"
        raise looking.error(
            f"{path}.container_name", f"a container's name is unique: it goes with no {key} of {service.replicas}"
        )
    resources = deploy.resources if deploy is not None else None
    limits = resources.limits if resources is not None else None
    reservations = resources.reservations if resources is not None else None
    for key, own, other, theirs in (
        ("cpus", service.cpus, "limits.cpus", limits and limits.cpus),
        ("mem_limit", service.mem_limit, "limits.memory", limits and limits.memory),
        ("pids_limit", service.pids_limit, "limits.pids", limits and limits.pids),
        ("mem_reservation", service.mem_reservation, "reservations.memory", reservations and reservations.memory),
    ):
        if own and theirs is not None and own != theirs:
            raise looking.error(f"{path}.{key}", f"can't set distinct values on '{key}' and 'deploy.resources.{other}'")


def _check_devices(looking: _Check, name: str, service: Service) -> None:
    reservations = service.deploy.resources.reservations if service.deploy is not None else None
    of_deploy = reservations.devices if reservations is not None else ()
    below = "deploy.resources.reservations.devices"
    for key, requests in (("gpus", service.gpus), (below, of_deploy)):
        for number, each in enumerate(requests):
            if each.count and each.device_ids:
                raise looking.error(f"services.{name}.{key}[{number}]", "'count' and 'device_ids' exclude each other")


def _check_mounts(looking: _Check, name: str, service: Service) -> None:
    seen: dict[str, str] = {}
    targets = [(f"tmpfs[{number}]", text.partition(":")[0]) for number, text in enumerate(service.tmpfs)]
    targets += [(f"volumes[{n}]", each.target) for n, each in enumerate(service.volumes) if isinstance(each, Volume)]
    for key, target in targets:
        path = f"services.{name}.{key}"
        if target in seen:
            raise looking.error(path, f"{target} is mounted by {seen[target]} as well")
        seen[target] = path
    for number, each in enumerate(service.volumes):
        if isinstance(each, Volume) and each.type == "bind" and not each.source:
            raise looking.error(f"services.{name}.volumes[{number}]", "a mount of type bind needs the key 'source'")
        if isinstance(each, Volume) and not each.target:
            raise looking.error(f"services.{name}.volumes[{number}]", "a mount needs the key 'target'")
    for number, trigger in enumerate(service.develop.watch if service.develop is not None else ()):
        if not trigger.target and trigger.action not in ("rebuild", "restart"):
            raise looking.error(
                f"services.{name}.develop.watch[{number}]", f"the action {trigger.action!r} needs the key 'target'"
            )


def _check_ports(looking: _Check, name: str, service: Service) -> None:
    from sandbox.stack.short_forms import is_address

    for number, port in enumerate(service.ports):
        if isinstance(port, Port) and not port.target:
            raise looking.error(f"services.{name}.ports[{number}]", "a port needs the key 'target'")
        if isinstance(port, Port) and port.host_ip and not is_address(port.host_ip) and "$" not in port.host_ip:
            raise looking.error(f"services.{name}.ports[{number}]", f"invalid IP address {port.host_ip!r}")


def require_own_names(project: Project) -> None:
    """Raise ComposeFileError where two services that are on give their containers one name. It is asked where
    containers are made: a project that cannot be brought up can be taken down.
    """
    looking = _Check(project)
    owners: dict[str, str] = {}
    for name, service in project.services:
        owner = owners.setdefault(service.container_name, name) if service.container_name else name
        if owner != name:
            raise looking.error(
                f"services.{name}.container_name",
                f'container name "{service.container_name}" is already in use by service {owner!r}',
            )


def _check_resources(looking: _Check, project: Project) -> None:
    for name, each in project.volumes:
        if not each.external:
            continue
        # what an external volume is made of is not ours to say
        own = each._replace(name="", external=False, extensions=())
        for key, value, default in zip(own._fields, own, own._field_defaults.values(), strict=True):
            if value != default:
                raise looking.error(f"volumes.{name}.{key}", f"'external' goes with no {key!r}")
    for noun, objects in (("secrets", project.secrets), ("configs", project.configs)):
        kinds = ("file", "environment") if noun == "secrets" else ("file", "environment", "content")
        for name, granted in objects:
            given = [key for key in kinds if getattr(granted, key)]
            # an empty content is a content
            has_content = f"{noun}.{name}.content" in project.places
            if len(given) > 1:
                raise looking.error(f"{noun}.{name}", f"{' and '.join(map(repr, given))} exclude each other")
            if not given and not granted.external and not granted.driver and not has_content:
                raise looking.error(f"{noun}.{name}", f"one of {', '.join(kinds)} must be set")


def _check_circle(looking: _Check, project: Project) -> None:
    from graphlib import CycleError, TopologicalSorter

    graph = {name: [other for other, _ in service.depends_on] for name, service in project.services}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        # each is needed by the one behind it
        circle = [str(name) for name in reversed(error.args[1])]
        raise looking.error(
            f"services.{circle[0]}.depends_on", f"dependency cycle detected: {' -> '.join(circle)}"
        ) from error
