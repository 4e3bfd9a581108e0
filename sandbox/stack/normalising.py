"""What a file leaves out, put in: names, the default network, what a service depends on without saying so."""

from __future__ import annotations

from sandbox.stack.measures import Pairs
from sandbox.stack.model import Dependency, Port, Volume
from sandbox.stack.project import Network
from sandbox.stack.reading import last_of_each
from sandbox.stack.short_forms import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TypeVar

    from sandbox.stack.deploy_model import Deploy
    from sandbox.stack.model import Service
    from sandbox.stack.parts_model import DeviceRequest, FileGrant
    from sandbox.stack.places import Place
    from sandbox.stack.project import File, FileObject, NamedVolume

    _R = TypeVar("_R", Network, NamedVolume, FileObject)

_SERVICE = "service:"


def settled(file: File, places: Mapping[str, Place], *, resolves_paths: bool = True) -> File:
    """`file` with its short forms told apart: of two elements of a list that mean one thing the later one stands, and
    what has a default that depends on nothing else has it.
    """
    services = Pairs.of((name, _settled_service(name, each, places, resolves_paths)) for name, each in file.services)
    volumes = Pairs.of((name, _bind_device(name, each, places, resolves_paths)) for name, each in file.volumes)
    return file._replace(services=services, volumes=volumes)


def _settled_service(name: str, service: Service, places: Mapping[str, Place], resolves_paths: bool) -> Service:
    build = service.build
    if build is not None and not build.context:
        place = places.get(f"services.{name}.build")
        build = build._replace(context=place.source.directory if place is not None and resolves_paths else ".")
    gpus = tuple(_with_count(each) for each in service.gpus)
    return service._replace(
        build=build,
        ports=last_of_each((_with_port_defaults(each) for each in service.ports), _port_key),
        volumes=last_of_each(_settled_mounts(name, service, places, resolves_paths), _target_key),
        devices=last_of_each(service.devices, _target_key),
        secrets=last_of_each((_with_secret_target(each) for each in service.secrets), _target_key),
        configs=last_of_each(service.configs, lambda each: each.target or f"/{each.source}"),
        env_file=last_of_each(service.env_file, lambda each: each.path),
        gpus=gpus,
        deploy=_with_counts(service),
    )


def _with_port_defaults(port: Port | str) -> Port | str:
    if isinstance(port, str):
        return port
    return port._replace(mode=port.mode or "ingress", protocol=port.protocol or "tcp")


def _port_key(port: Port | str) -> object:
    if isinstance(port, str):
        return port
    return port.host_ip or "0.0.0.0", port.published, port.target, port.protocol


def _settled_mounts(
    name: str, service: Service, places: Mapping[str, Place], resolves_paths: bool
) -> Iterator[Volume | str]:
    """The mounts, with the paths of those in the long form from where the file is."""
    for number, each in enumerate(service.volumes):
        if isinstance(each, str):
            yield each
            continue
        place = places.get(f"services.{name}.volumes[{number}].source")
        source = each.source
        if each.type == "bind" and source and place is not None and resolves_paths:
            source = place.source.absolute(source)
        yield each._replace(source=source, target=clean(each.target))


def _target_key(each: object) -> object:
    return getattr(each, "target", "") or each


def _with_secret_target(grant: FileGrant) -> FileGrant:
    return grant if grant.target else grant._replace(target=f"/run/secrets/{grant.source}")


def _with_count(request: DeviceRequest) -> DeviceRequest:
    return request if request.count or request.device_ids else request._replace(count=-1)


def _with_counts(service: Service) -> Deploy | None:
    deploy = service.deploy
    reservations = deploy.resources.reservations if deploy is not None else None
    if deploy is None or reservations is None or not reservations.devices:
        return deploy
    counted = reservations._replace(devices=tuple(_with_count(each) for each in reservations.devices))
    return deploy._replace(resources=deploy.resources._replace(reservations=counted))


def _bind_device(name: str, volume: NamedVolume, places: Mapping[str, Place], resolves_paths: bool) -> NamedVolume:
    """A volume that is a directory of the host has its path from where the file is."""
    options = dict(volume.driver_opts)
    place = places.get(f"volumes.{name}.driver_opts.device")
    is_bind = volume.driver == "local" and options.get("o") == "bind" and "device" in options
    if not is_bind or place is None or not resolves_paths:
        return volume
    options["device"] = place.source.absolute(options["device"])
    return volume._replace(driver_opts=Pairs.of(options.items()))


def normalised(file: File, project_name: str) -> File:
    """`file` with the names and references that it leaves to be understood."""
    services = Pairs.of((name, _normalised_service(each)) for name, each in file.services)
    networks = dict(file.networks)
    if "default" not in networks and any("default" in (each.networks or Pairs()).names for _, each in services):
        networks["default"] = Network()
    return file._replace(
        name=project_name,
        services=services,
        networks=_named(Pairs.of(networks.items()), project_name),
        volumes=_named(file.volumes, project_name),
        secrets=_named(file.secrets, project_name),
        configs=_named(file.configs, project_name),
    )


def _named(resources: Pairs[_R], project_name: str) -> Pairs[_R]:
    return Pairs.of(
        (key, each if each.name else each._replace(name=key if each.external else f"{project_name}_{key}"))
        for key, each in resources
    )


def _normalised_service(service: Service) -> Service:
    build = service.build
    if build is not None and not build.dockerfile and not build.dockerfile_inline:
        build = build._replace(dockerfile="Dockerfile")
    networks = service.networks
    if not networks and not service.network_mode and service.provider is None:
        networks = Pairs.of([("default", None)])
    hooks = tuple(each if each.image else each._replace(image=service.image) for each in service.pre_start)
    return service._replace(
        build=build,
        networks=networks,
        pull_policy="missing" if service.pull_policy == "if_not_present" else service.pull_policy,
        depends_on=_dependencies(service),
        pre_start=hooks,
    )


def _dependencies(service: Service) -> Pairs[Dependency] | tuple[()]:
    """Those that are written, and those of links and of namespaces and volumes that it shares."""
    found = dict(service.depends_on)
    for link in service.links:
        found.setdefault(link.partition(":")[0], Dependency(restart=True))
    for shared in (service.network_mode, service.ipc, service.pid, service.uts, service.cgroup):
        if shared.startswith(_SERVICE):
            found.setdefault(shared.removeprefix(_SERVICE), Dependency(restart=True))
    for source in service.volumes_from:
        if not source.startswith("container:"):
            found.setdefault(source.partition(":")[0], Dependency())
    return Pairs.of(found.items()) if found else ()
