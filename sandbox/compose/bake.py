"""`compose build --print`: the builds as the file that Docker's `bake` reads."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.compose.builds import BuildSecret, ServiceBuild


def bake_document(builds: Iterable[ServiceBuild]) -> str:
    """The file as JSON: a target for each build, and a group of all."""
    targets = {_target_name(build.service): _target(build) for build in builds}
    document = {"group": {"default": {"targets": list(targets)}}, "target": targets}
    return json.dumps(document, indent=2, ensure_ascii=False)


def _target_name(service: str) -> str:
    return service.replace(".", "_")


def _target(build: ServiceBuild) -> dict[str, object]:
    outputs = ["type=image,push=true" if build.push else "type=docker"]
    fields: dict[str, object] = {
        "context": build.context,
        "contexts": dict(build.contexts),
        "dockerfile": build.file,
        "dockerfile-inline": build.dockerfile.replace("${", "$${"),
        "args": dict(build.arguments),
        "labels": dict(build.labels),
        "tags": list(build.names),
        "cache-from": list(build.cache_from),
        "cache-to": list(build.cache_to),
        "target": build.target,
        "secret": [_secret(each) for each in build.secrets],
        "ssh": list(build.ssh),
        "platforms": [build.platform] if build.platform else [],
        "pull": build.pull,
        "no-cache": build.no_cache,
        "network": build.network if build.network != "default" else "",
        "ulimits": [f"{name}={soft}:{hard}" for name, soft, hard in build.limits],
        "entitlements": list(build.entitlements),
        "extra-hosts": dict(each.split(":", 1) for each in build.extra_hosts),
        "output": outputs,
    }
    return {key: value for key, value in fields.items() if value}


def _secret(secret: BuildSecret) -> str:
    return f"id={secret.id},type=file,src={secret.path}" if secret.path else f"id={secret.id},type=env"
