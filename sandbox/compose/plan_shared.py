"""What is planned for networks and volumes of a project. Pure."""

from __future__ import annotations

import hashlib

from sandbox.compose.names import CONFIG_HASH, PROJECT
from sandbox.compose.steps import Step
from sandbox.errors import NotFoundError
from sandbox.named_tuple import NamedTuple
from sandbox.stack.canonical import json_text, printed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.compose.observe import Observed
    from sandbox.stack.project import NamedVolume, Network, Project


class SharedPlan(NamedTuple):
    """Networks and volumes that are made: by name, with the key of the step that has made each."""

    steps: tuple[Step, ...] = ()
    networks: Mapping[str, str] = {}
    volumes: Mapping[str, str] = {}
    #: of these those that are there, and are removed first
    replaced_networks: tuple[str, ...] = ()
    replaced_volumes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    diverged_volumes: tuple[str, ...] = ()


def hash_of(value: Network | NamedVolume) -> str:
    """What tells whether a network or a volume is still as the file says."""
    return hashlib.sha256(json_text(printed(value, is_json=True), is_compact=True).encode()).hexdigest()


def plan_networks(project: Project, observed: Observed) -> SharedPlan:
    """The networks that are missing, or are not what the file says. Raises NotFoundError for an external one."""
    steps: list[Step] = []
    made: dict[str, str] = {}
    replaced: list[str] = []
    notes: list[str] = []
    for key, network in project.networks:
        name = network.name
        present = observed.networks.get(name)
        if network.external:
            if present is None:
                raise NotFoundError(
                    f"network {name} declared as external, but could not be found",
                    mend=f"sandbox network create {name}",
                )
            continue
        if present is None:
            steps.append(Step(f"network {name}", "create_network", name, service=key, reason="it is missing"))
        else:
            owner = present.labels.get(PROJECT)
            if owner != project.name:
                notes.append(_foreign_network(name, owner, project.name))
                continue
            if present.labels.get(CONFIG_HASH) in (None, hash_of(network)):
                continue
            reason = "its configuration diverged"
            steps.append(Step(f"remove network {name}", "remove_network", name, reason=reason))
            needs = (f"remove network {name}",)
            steps.append(Step(f"network {name}", "create_network", name, needs, reason, service=key))
            replaced.append(name)
        made[name] = f"network {name}"
    return SharedPlan(tuple(steps), networks=made, replaced_networks=tuple(replaced), notes=tuple(notes))


def _foreign_network(name: str, owner: str | None, project: str) -> str:
    if owner is None:
        return (
            f"a network with name {name} exists but was not created by compose. Set `external: true` to use an "
            "existing network"
        )
    return (
        f'a network with name {name} exists but was not created for project "{project}". Set `external: true` to use '
        "an existing network"
    )


def plan_volumes(project: Project, observed: Observed, to_renew: tuple[str, ...]) -> SharedPlan:
    """The volumes that are missing, and of those that differ `to_renew`. Raises NotFoundError for an external one."""
    steps: list[Step] = []
    made: dict[str, str] = {}
    replaced: list[str] = []
    notes: list[str] = []
    diverged: list[str] = []
    for key, volume in project.volumes:
        name = volume.name
        present = observed.volumes.get(name)
        if volume.external:
            if present is None:
                raise NotFoundError(f'external volume "{name}" not found', mend=f"sandbox volume create {name}")
            continue
        if present is None:
            steps.append(Step(f"volume {name}", "create_volume", name, service=key, reason="it is missing"))
        else:
            owner = present.labels.get(PROJECT)
            if owner != project.name:
                notes.append(_foreign_volume(name, owner, project.name))
                continue
            if present.labels.get(CONFIG_HASH) in (None, hash_of(volume)):
                continue
            diverged.append(name)
            if name not in to_renew:
                continue
            reason = "its configuration diverged"
            steps.append(Step(f"remove volume {name}", "remove_volume", name, reason=reason))
            needs = (f"remove volume {name}",)
            steps.append(Step(f"volume {name}", "create_volume", name, needs, reason, service=key))
            replaced.append(name)
        made[name] = f"volume {name}"
    return SharedPlan(
        tuple(steps),
        volumes=made,
        replaced_volumes=tuple(replaced),
        notes=tuple(notes),
        diverged_volumes=tuple(diverged),
    )


def _foreign_volume(name: str, owner: str | None, project: str) -> str:
    if owner is None:
        return (
            f'volume "{name}" already exists but was not created by Docker Compose. Use `external: true` to use an '
            "existing volume"
        )
    return (
        f'volume "{name}" already exists but was created for project "{owner}" (expected "{project}"). Use '
        "`external: true` to use an existing volume"
    )
