"""This machine as a swarm of one, as a server tells of it: services, secrets and configs are there all the time."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from sandbox.api.errors import ApiError
from sandbox.humane import rfc3339
from sandbox.swarm_of_one import ClusterSettings, cluster_document, no_swarm_document, swarm_document

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Docker's words, by which clients know that there is none
NO_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm'
    " and try again."
)
ALREADY_IN = 'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.'
_LAST_MANAGER = (
    "You are attempting to leave the swarm on a node that is participating as a manager. Removing the last manager"
    " erases all current state of the swarm. Use `--force` to ignore this message."
)
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


class Cluster:
    """What clients have asked of the swarm through this server; nothing that there is depends on it."""

    def __init__(self) -> None:
        #: clients find it active; `swarm init` is answered once all the same, for scripts that begin with it
        self.is_active = True
        self._was_asked_for = False
        self._begin({})

    def _begin(self, options: Mapping[str, Any]) -> None:
        self._settings = ClusterSettings()
        if options:
            now, plain = rfc3339(time.time_ns()), self._settings
            self._settings = plain._replace(
                created=now,
                updated=now,
                pools=tuple(options.get("DefaultAddrPool") or plain.pools),
                subnet_bits=options.get("SubnetSize") or plain.subnet_bits,
                data_path_port=options.get("DataPathPort") or plain.data_path_port,
            )
        self._tokens = {"Worker": _token(), "Manager": _token()}

    def check_active(self) -> None:
        """Raise ApiError where a client has left it."""
        if not self.is_active:
            raise ApiError(503, NO_SWARM)

    def init(self, options: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
        """Begin it with these settings, which are told again. Raises ApiError."""
        if self.is_active and self._was_asked_for and not options.get("ForceNewCluster"):
            raise ApiError(503, ALREADY_IN)
        _check_spec(spec)
        version = self._settings.version
        self._begin(options)
        self._settings = self._settings._replace(version=version + 1, spec=self._merged(spec))
        self.is_active = self._was_asked_for = True

    def leave(self, *, force: bool) -> None:
        """Answer as one that is in none; services, secrets and configs stay. Raises ApiError."""
        if not self.is_active:
            raise ApiError(503, "This node is not part of a swarm")
        if not force:
            raise ApiError(503, _LAST_MANAGER)
        self.is_active = False

    def update(self, version: int, spec: Mapping[str, Any], rotated: tuple[str, ...]) -> None:
        """Take other settings, and make new ones of the tokens in `rotated`. Raises ApiError."""
        self.check_active()
        if version != self._settings.version:
            raise ApiError(500, "rpc error: code = Unknown desc = update out of sequence")
        _check_spec(spec)
        self._tokens |= {role: _token() for role in rotated}
        self._settings = self._settings._replace(
            version=version + 1, updated=rfc3339(time.time_ns()), spec=self._merged(spec)
        )

    def _merged(self, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        merged = dict(self._settings.spec)
        for key, value in spec.items():
            if isinstance(value, dict):
                said = {name: each for name, each in value.items() if each is not None}
                merged[key] = said if key == "Labels" else {**merged.get(key, {}), **said}
            elif value:
                merged[key] = value
        return merged

    def with_tokens(self, node_id: str) -> dict[str, Any]:
        """Docker's document of the cluster."""
        return cluster_document(node_id, self._settings) | {"JoinTokens": dict(self._tokens)}

    def info(self, node_id: str) -> dict[str, Any]:
        """What `info` says of it."""
        return swarm_document(node_id, self._settings) if self.is_active else no_swarm_document()


def _check_spec(spec: Mapping[str, Any]) -> None:
    encryption = spec.get("EncryptionConfig")
    if isinstance(encryption, dict) and encryption.get("AutoLockManagers"):
        raise ApiError(501, "AutoLockManagers is not supported: nothing is kept under a key that could be locked away")


def _token() -> str:
    """In the form of Docker's; there is nobody who could join by it."""
    digest, secret = ("".join(secrets.choice(_BASE36) for _ in range(count)) for count in (50, 25))
    return f"SWMTKN-1-{digest}-{secret}"
