"""What a frontend is asked for, as the attributes that clients of BuildKit send: read for our own builder."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.builder.request import RunSettings

#: names under which the language of Dockerfiles is asked for; it is built in
_BUILT_IN = ("docker/dockerfile", "docker.io/docker/dockerfile", "docker/dockerfile-upstream", "moby/dockerfile")


class FrontendBuild(NamedTuple):
    """One build: the frontend's attributes, and what becomes of the result; exporters are (type, attributes)."""

    attributes: Mapping[str, str] = {}
    exporters: tuple[tuple[str, Mapping[str, str]], ...] = ()
    cache_imports: tuple[tuple[str, Mapping[str, str]], ...] = ()
    cache_exports: tuple[tuple[str, Mapping[str, str]], ...] = ()
    entitlements: tuple[str, ...] = ()


def refusal(
    frontend: str, attributes: Mapping[str, str], *, has_inputs: bool, cache_exports: Sequence[str] = ()
) -> str:
    """Why it cannot be done, "" where it can."""
    if frontend == "gateway.v0":
        source = attributes.get("source", "")
        tagged = source.partition("@")[0]
        name = tagged.rpartition(":")[0] or tagged
        if name not in _BUILT_IN:
            return f"frontend {source or frontend} is not supported here: the language of docker/dockerfile is built in"
    elif frontend != "dockerfile.v0":
        return f"frontend {frontend!r} is not supported here: dockerfile.v0 is" if frontend else _NO_LLB
    if has_inputs:
        return "a context that is the result of another build (target:, service:) is not supported here"
    for key, value in attributes.items():
        if key.startswith("context:") and value.startswith(("oci-layout:", "input:")):
            return f"the context {key.removeprefix('context:')}={value.partition(':')[0]}: is not supported here"
    if exports := [kind for kind in cache_exports if kind not in ("inline", "registry")]:
        return f"cache export of type {exports[0]} is not supported here"
    if "," in attributes.get("platform", ""):
        return "multiple platforms are not supported here: a build makes an image for one platform"
    return ""


_NO_LLB = "a build of LLB definitions is not supported here: only Dockerfiles are built"


def is_cache(kind: str) -> bool:
    """Whether a cache of this type can be taken from: what a client has in its own directories does not come here."""
    return kind == "registry"


def warnings_of(request: FrontendBuild) -> list[str]:
    """What is asked for and left out."""
    attributes = request.attributes
    found = [
        f"importing a cache of type {kind} is not supported here, and left out"
        for kind, _attributes in request.cache_imports
        if not is_cache(kind)
    ]
    if attributes.get("cgroup-parent"):
        found.append("cgroup-parent is not supported here, and left out")
    for key, value in attributes.items():
        # clients ask for the least provenance by themselves
        if key.startswith("attest:") and "inline-only=true" not in value and "disabled=true" not in value:
            found.append(f"{key.removeprefix('attest:')} attestations are not made here")
    return found


def prefixed(attributes: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The attributes below a prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in attributes.items() if key.startswith(prefix)}


def read_settings(attributes: Mapping[str, str]) -> RunSettings:
    """What every RUN gets. Raises UsageError."""
    from sandbox.builder.request import RunSettings
    from sandbox.container.monitor.runtime_spec import resource_limit
    from sandbox.grammar.hosts import parse_extra_host
    from sandbox.grammar.limits import parse_ulimit
    from sandbox.grammar.sizes import parse_size

    hosts = _words(attributes.get("add-hosts", ""))
    limits = {limit.name: limit for limit in map(parse_ulimit, _words(attributes.get("ulimit", "")))}
    shm = attributes.get("shm-size", "")
    return RunSettings(
        tuple(parse_extra_host(host.replace("=", ":", 1)) for host in hosts),
        parse_size(shm) if shm else 0,
        tuple(map(resource_limit, limits.values())),
    )


def read_network(attributes: Mapping[str, str]) -> str:
    """The network of RUN, as the builder calls it. Raises UsageError."""
    from sandbox.errors import UsageError

    mode = attributes.get("force-network-mode", "")
    if mode in ("none", "host"):
        return mode
    if mode in ("", "default", "sandbox"):
        return "default"
    raise UsageError(f'network mode "{mode}" not supported by buildkit')


def _words(text: str) -> list[str]:
    return [word.strip().strip('"') for word in text.split(",") if word.strip()]
