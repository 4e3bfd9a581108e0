"""The lists of a service: each option of `create` has two of `update`, one that adds and one that takes away."""

from __future__ import annotations

from sandbox.cli.service_options.changes import merged
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sandbox.cli.service_options.changes import Changes
    from sandbox.container.request.request import ContainerRequest
    from sandbox.secret.record import Kind
    from sandbox.service.spec import ServiceSpec
    from sandbox.values import EndpointRequest, FileGrant, MountRequest

    Pairs = tuple[tuple[str, str], ...]


def with_lists(spec: ServiceSpec, changes: Changes) -> ServiceSpec:
    """`spec` with its lists changed. Raises UsageError, NotFoundError."""
    request = spec.request
    for change in (_environment, _labels, _mounts, _networks, _names, _grants, _isolation):
        request = change(request, changes)
    spec = spec._replace(request=request)
    if changes.has_list("label"):
        spec = spec._replace(labels=_pairs(spec.labels, changes, "label"))
    if changes.has_list("constraint"):
        from sandbox.grammar.constraints import parse_constraint

        changes.added("constraint", parse_constraint)
        spec = spec._replace(constraints=tuple(sorted(_texts(spec.constraints, changes, "constraint", str))))
    if changes.has_list("placement-pref"):
        spec = spec._replace(preferences=_preferences(spec.preferences, changes))
    if changes.has_list("publish"):
        from sandbox.cli.service_options.ports import with_ports

        spec = with_ports(spec, changes)
    return spec


def _preferences(present: Iterable[str], changes: Changes) -> tuple[str, ...]:
    from sandbox.grammar.constraints import parse_preference

    removed = {parse_preference(text) for text in changes.removed("placement-pref")}
    return (*(each for each in present if each not in removed), *changes.added("placement-pref", parse_preference))


def _pairs(present: Pairs, changes: Changes, key: str) -> Pairs:
    """Labels and their likes: removed by their keys."""
    from sandbox.grammar.labels import parse_label

    removed = {text.partition("=")[0] for text in changes.removed(key)}
    added = changes.added(key, parse_label)
    return tuple(sorted(merged(present, added, lambda pair: pair[0], lambda pair: pair[0] in removed)))


def _texts(present: Iterable[str], changes: Changes, key: str, parse: Callable[[str], str]) -> tuple[str, ...]:
    """A list of texts, each once; an update leaves them sorted, as Docker does."""
    removed = changes.removed(key)
    found = [text for text in dict.fromkeys((*present, *changes.added(key, parse))) if text not in removed]
    return tuple(sorted(found) if changes.is_update else found)


def _environment(request: ContainerRequest, changes: Changes) -> ContainerRequest:
    if not changes.has_list("env") and not changes.any_given("env-file"):
        return request
    from sandbox.grammar.environment import read_variables

    invocation = changes.invocation
    cwd, removed = invocation.context.cwd, changes.removed("env")
    files = () if changes.is_update else [cwd.absolute(text) for text in invocation.texts("env-file")]
    texts = invocation.texts(changes.key_added("env"))
    variables = merged(
        request.environment,
        read_variables(files, texts, invocation.context.env),
        _name,
        lambda text: _name(text) in removed,
    )
    return request._replace(environment=variables)


def _name(variable: str) -> str:
    return variable.partition("=")[0]


def _labels(request: ContainerRequest, changes: Changes) -> ContainerRequest:
    if not changes.has_list("container-label"):
        return request
    return request._replace(labels=_pairs(request.labels, changes, "container-label"))


def _mounts(request: ContainerRequest, changes: Changes) -> ContainerRequest:
    if not changes.has_list("mount"):
        return request
    from sandbox.grammar.mounts import parse_mount, resolve_source

    cwd = changes.invocation.context.cwd
    added = [resolve_source(mount, cwd) for mount in changes.added("mount", parse_mount)]
    if len({mount.target for mount in added}) < len(added):
        raise UsageError("duplicate mount target", mend="one --mount for each target")
    removed = changes.removed("mount")
    mounts = merged(request.mounts, added, _target, lambda mount: mount.target in removed)
    if changes.is_update:
        mounts = tuple(sorted(mounts, key=lambda mount: (mount.source, mount.target)))
    # what a file of a stack has in Docker's short text is taken away by its target too
    binds = tuple(text for text in request.binds if _bind_target(text) not in {*removed, *map(_target, added)})
    return request._replace(mounts=mounts, binds=binds)


def _target(mount: MountRequest) -> str:
    return mount.target


def _bind_target(text: str) -> str:
    return text.split(":")[1] if ":" in text else text


def _networks(request: ContainerRequest, changes: Changes) -> ContainerRequest:
    if not changes.has_list("network"):
        return request
    from sandbox.grammar.networks import parse_network

    removed = {changes.lookups.network_name(word) for word in changes.removed("network")}
    kept = [each for each in request.endpoints if each.network not in removed]
    mode = None if request.network_mode in removed else request.network_mode
    for endpoint in changes.added("network", parse_network):
        name = changes.lookups.network_name(endpoint.network)
        if name in (mode, *(each.network for each in kept)):
            raise UsageError(f"service is already attached to network {endpoint.network}", mend="name it once")
        kept.append(endpoint._replace(network=name))
    return _joined(request, kept, mode)


def _joined(request: ContainerRequest, endpoints: list[EndpointRequest], mode: str | None) -> ContainerRequest:
    modes = [each.network for each in endpoints if each.network in ("host", "none")] + ([mode] if mode else [])
    if not modes:
        return request._replace(endpoints=tuple(endpoints), network_mode=None)
    if len(endpoints) + bool(mode) > 1:
        raise UsageError(f"conflicting options: {modes[0]} and another network", mend=f"--network {modes[0]}, alone")
    return request._replace(endpoints=(), network_mode=modes[0])


def _names(request: ContainerRequest, changes: Changes) -> ContainerRequest:
    from sandbox.grammar import hosts

    if changes.has_list("dns"):
        request = request._replace(dns=_texts(request.dns, changes, "dns", hosts.parse_address))
    if changes.has_list("dns-search"):
        request = request._replace(dns_search=_texts(request.dns_search, changes, "dns-search", hosts.parse_dns_search))
    if changes.has_list("dns-option"):
        options = _texts(request.dns_options, changes, "dns-option", hosts.parse_dns_option)
        request = request._replace(dns_options=options)
    if changes.has_list("group"):
        request = request._replace(group_add=_texts(request.group_add, changes, "group", str))
    if changes.has_list("host"):
        # an entry is named by its host, or by host and address
        removed = {text.replace("=", ":", 1) for text in changes.removed("host")}
        kept = [each for each in request.extra_hosts if not {each, each.partition(":")[0]} & removed]
        added = changes.added("host", hosts.parse_extra_host)
        request = request._replace(extra_hosts=tuple(dict.fromkeys((*kept, *added))))
    return request


def _grants(request: ContainerRequest, changes: Changes) -> ContainerRequest:
    if changes.has_list("secret"):
        request = request._replace(secrets=_granted(request.secrets, changes, "secret"))
    if changes.has_list("config"):
        request = request._replace(configs=_granted(request.configs, changes, "config"))
    return request


def _granted(present: tuple[FileGrant, ...], changes: Changes, kind: Kind) -> tuple[FileGrant, ...]:
    from sandbox.errors import NotFoundError
    from sandbox.grammar.grants import parse_service_grant

    removed = set(changes.removed(kind))
    for name in tuple(removed):
        try:
            removed.add(changes.lookups.object_id(kind, name))
        except NotFoundError:
            # as with Docker one that there is not cannot be had, and need not be taken away
            continue
    kept = [grant for grant in present if grant.source not in removed]
    targets = {grant.target for grant in kept}
    for grant in changes.added(kind, lambda text: parse_service_grant(text, kind)):
        if grant.target in targets:
            raise UsageError(
                f"duplicate {kind} target for {grant.source} not allowed",
                mend=f"--{kind} source={grant.source},target=…",
            )
        targets.add(grant.target)
        kept.append(grant._replace(source=changes.lookups.object_id(kind, grant.source)))
    return tuple(kept)


def _isolation(request: ContainerRequest, changes: Changes) -> ContainerRequest:
    from sandbox.grammar.limits import parse_sysctl, parse_ulimit

    if changes.has_list("sysctl"):
        removed = {text.partition("=")[0] for text in changes.removed("sysctl")}
        added = changes.added("sysctl", parse_sysctl)
        pairs = merged(request.sysctls, added, lambda pair: pair[0], lambda pair: pair[0] in removed)
        request = request._replace(sysctls=pairs)
    if changes.has_list("ulimit"):
        gone = {text.partition("=")[0] for text in changes.removed("ulimit")}
        limits = merged(
            request.rlimits,
            changes.added("ulimit", parse_ulimit),
            lambda each: each.name,
            lambda each: each.name in gone,
        )
        request = request._replace(rlimits=tuple(sorted(limits)))
    if changes.any_given("cap-add", "cap-drop"):
        from sandbox.cli.service_options.capabilities import with_capabilities

        request = with_capabilities(request, changes)
    return request
