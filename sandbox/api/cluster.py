"""This machine as a swarm of one, as a server tells of it: services, secrets and configs are there all the time."""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import TYPE_CHECKING, Any

from sandbox.api.errors import ApiError
from sandbox.humane import rfc3339

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
_DEFAULTS: dict[str, dict[str, Any]] = {
    "Orchestration": {"TaskHistoryRetentionLimit": 5},
    "Raft": {
        "SnapshotInterval": 10000, "KeepOldSnapshots": 0, "LogEntriesForSlowFollowers": 500, "ElectionTick": 10,
        "HeartbeatTick": 1,
    },
    "Dispatcher": {"HeartbeatPeriod": 5_000_000_000},
    "CAConfig": {"NodeCertExpiry": 7_776_000_000_000_000},
    "TaskDefaults": {},
    "EncryptionConfig": {"AutoLockManagers": False},
}  # fmt: skip


class Cluster:
    """What clients have asked of the swarm through this server; nothing that there is depends on it."""

    def __init__(self) -> None:
        #: clients find it active; `swarm init` is answered once all the same, for scripts that begin with it
        self.is_active = True
        self._was_asked_for = False
        self._begin({})

    def _begin(self, options: Mapping[str, Any]) -> None:
        now = rfc3339(time.time_ns())
        self._version = 10
        self._created, self._updated = now, now
        self._spec: dict[str, Any] = {"Name": "default", "Labels": {}, **_DEFAULTS}
        self._tokens = {"Worker": _token(), "Manager": _token()}
        self._pools = list(options.get("DefaultAddrPool") or ["10.0.0.0/8"])
        self._subnet_size = options.get("SubnetSize") or 24
        self._data_path_port = options.get("DataPathPort") or 4789

    def check_active(self) -> None:
        """Raise ApiError where a client has left it."""
        if not self.is_active:
            raise ApiError(503, NO_SWARM)

    def init(self, options: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
        """Begin it with these settings, which are told again. Raises ApiError."""
        if self.is_active and self._was_asked_for and not options.get("ForceNewCluster"):
            raise ApiError(503, ALREADY_IN)
        _check_spec(spec)
        version = self._version
        self._begin(options)
        self._version = version + 1
        self._merge(spec)
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
        if version != self._version:
            raise ApiError(500, "rpc error: code = Unknown desc = update out of sequence")
        _check_spec(spec)
        self._merge(spec)
        self._tokens |= {role: _token() for role in rotated}
        self._version += 1
        self._updated = rfc3339(time.time_ns())

    def _merge(self, spec: Mapping[str, Any]) -> None:
        for key, value in spec.items():
            if isinstance(value, dict):
                said = {name: each for name, each in value.items() if each is not None}
                self._spec[key] = said if key == "Labels" else {**self._spec.get(key, {}), **said}
            elif value:
                self._spec[key] = value

    def document(self, node_id: str) -> dict[str, Any]:
        """Docker's document of the cluster, without its tokens."""
        return {
            "ID": hashlib.sha256(b"cluster\0" + node_id.encode()).hexdigest()[:25],
            "Version": {"Index": self._version},
            "CreatedAt": self._created,
            "UpdatedAt": self._updated,
            "Spec": self._spec,
            "TLSInfo": {},
            "RootRotationInProgress": False,
            "DataPathPort": self._data_path_port,
            "DefaultAddrPool": self._pools,
            "SubnetSize": self._subnet_size,
        }

    def with_tokens(self, node_id: str) -> dict[str, Any]:
        """The same with them."""
        return self.document(node_id) | {"JoinTokens": dict(self._tokens)}

    def info(self, node_id: str) -> dict[str, Any]:
        """What `info` says of it."""
        address = "127.0.0.1"
        return {
            "NodeID": node_id,
            "NodeAddr": address,
            "LocalNodeState": "active",
            "ControlAvailable": True,
            "Error": "",
            "RemoteManagers": [{"NodeID": node_id, "Addr": f"{address}:2377"}],
            "Nodes": 1,
            "Managers": 1,
            "Cluster": self.document(node_id),
        }


def _check_spec(spec: Mapping[str, Any]) -> None:
    encryption = spec.get("EncryptionConfig")
    if isinstance(encryption, dict) and encryption.get("AutoLockManagers"):
        raise ApiError(501, "AutoLockManagers is not supported: nothing is kept under a key that could be locked away")


def _token() -> str:
    """In the form of Docker's; there is nobody who could join by it."""
    digest, secret = ("".join(secrets.choice(_BASE36) for _ in range(count)) for count in (50, 25))
    return f"SWMTKN-1-{digest}-{secret}"
