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
    from typing import Literal

    from sandbox.compose.observe import Observed
    from sandbox.compose.steps import Kind
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
    planned = _Planned("network", project.name)
    for key, network in project.networks:
        present = observed.networks.get(network.name)
        if network.external:
            if present is None:
                raise NotFoundError(
                    f"network {network.name} declared as external, but could not be found",
                    mend=f"sandbox network create {network.name}",
                )
            continue
        planned.add(key, network, None if present is None else present.labels)
    return SharedPlan(
        tuple(planned.steps),
        networks=planned.made,
        replaced_networks=tuple(planned.replaced),
        notes=tuple(_foreign_network(name, owner, project.name) for name, owner in planned.foreign),
    )


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
    planned = _Planned("volume", project.name, to_renew)
    for key, volume in project.volumes:
        present = observed.volumes.get(volume.name)
        if volume.external:
            if present is None:
                mend = f"sandbox volume create {volume.name}"
                raise NotFoundError(f'external volume "{volume.name}" not found', mend=mend)
            continue
        planned.add(key, volume, None if present is None else present.labels)
    return SharedPlan(
        tuple(planned.steps),
        volumes=planned.made,
        replaced_volumes=tuple(planned.replaced),
        notes=tuple(_foreign_volume(name, owner, project.name) for name, owner in planned.foreign),
        diverged_volumes=tuple(planned.diverged),
    )


class _Planned:
    """What is planned for things of one kind."""

    def __init__(
        self, noun: Literal["network", "volume"], project: str, to_renew: tuple[str, ...] | None = None
    ) -> None:
        """Those that differ are made anew, or of them `to_renew` alone."""
        self._project = project
        self._noun = noun
        self._make: Kind = "create_network" if noun == "network" else "create_volume"
        self._remove: Kind = "remove_network" if noun == "network" else "remove_volume"
        self._to_renew = to_renew
        self.steps: list[Step] = []
        #: name -> the key of the step that has made it
        self.made: dict[str, str] = {}
        self.replaced: list[str] = []
        self.diverged: list[str] = []
        #: those that are there and not of the project, and whose they are
        self.foreign: list[tuple[str, str | None]] = []

    def add(self, key: str, wanted: Network | NamedVolume, labels: Mapping[str, str] | None) -> None:
        """Plan for one that the file has; `labels` of the one that is there, None where there is none."""
        name = wanted.name
        if labels is None:
            self._add_step(self._make, name, (), "it is missing", key)
            return
        if labels.get(PROJECT) != self._project:
            self.foreign.append((name, labels.get(PROJECT)))
            return
        if labels.get(CONFIG_HASH) in (None, hash_of(wanted)):
            return
        self.diverged.append(name)
        if self._to_renew is None or name in self._to_renew:
            reason, removal = "its configuration diverged", f"remove {self._noun} {name}"
            self.steps.append(Step(removal, self._remove, name, reason=reason))
            self._add_step(self._make, name, (removal,), reason, key)
            self.replaced.append(name)

    def _add_step(self, kind: Kind, name: str, needs: tuple[str, ...], reason: str, key: str) -> None:
        self.made[name] = f"{self._noun} {name}"
        self.steps.append(Step(self.made[name], kind, name, needs, reason, service=key))


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
