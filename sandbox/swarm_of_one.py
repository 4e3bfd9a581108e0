"""This machine as a swarm of one, which is there all the time: services, secrets and configs need nothing begun."""

from __future__ import annotations

import hashlib
import json

from sandbox.named_tuple import NamedTuple
from sandbox.random_ids import new_object_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from typing import Any

    Document = dict[str, Any]  # Any: JSON

_NODE_KEY = "node_id"
_NODE_SPEC_KEY = "node_spec"
_ADDRESS = "127.0.0.1"
#: nobody made it, and nothing of it changes
BEGAN = "1970-01-01T00:00:00Z"
#: Swarm's own; there is nothing here that they rule
DEFAULTS: Mapping[str, Document] = {
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


class ClusterSettings(NamedTuple):
    """What a client may have asked of the swarm, and is told again; `subnet_bits` of each subnet are its network."""

    version: int = 10
    created: str = BEGAN
    updated: str = BEGAN
    spec: Mapping[str, Any] = {"Name": "default", "Labels": {}, **DEFAULTS}
    pools: tuple[str, ...] = ("10.0.0.0/8",)
    subnet_bits: int = 24
    data_path_port: int = 4789


def node_id(connection: sqlite3.Connection) -> str:
    """The id of this machine as a node, made up once; within a transaction where it may be the first time."""
    row = connection.execute("SELECT value FROM setting WHERE key = ?", (_NODE_KEY,)).fetchone()
    if row is None:
        connection.execute("INSERT OR IGNORE INTO setting (key, value) VALUES (?, ?)", (_NODE_KEY, new_object_id()))
        row = connection.execute("SELECT value FROM setting WHERE key = ?", (_NODE_KEY,)).fetchone()
    return str(row[0])


class NodeSpec(NamedTuple):
    """What clients have said of this machine as a node: labels, by which services are kept to nodes, and a name."""

    labels: Mapping[str, str] = {}
    name: str = ""
    version: int = 9
    updated: str = BEGAN


def node_spec(connection: sqlite3.Connection) -> NodeSpec:
    """What was said last."""
    row = connection.execute("SELECT value FROM setting WHERE key = ?", (_NODE_SPEC_KEY,)).fetchone()
    return NodeSpec(*json.loads(row[0])) if row else NodeSpec()


def keep_node_spec(connection: sqlite3.Connection, spec: NodeSpec) -> None:
    """Have it be what is said."""
    connection.execute("INSERT OR REPLACE INTO setting (key, value) VALUES (?, ?)", (_NODE_SPEC_KEY, json.dumps(spec)))


def cluster_document(node_id: str, settings: ClusterSettings) -> Document:
    """Docker's document of the cluster, without its tokens."""
    return {
        "ID": hashlib.sha256(b"cluster\0" + node_id.encode()).hexdigest()[:25],
        "Version": {"Index": settings.version},
        "CreatedAt": settings.created,
        "UpdatedAt": settings.updated,
        "Spec": dict(settings.spec),
        "TLSInfo": {},
        "RootRotationInProgress": False,
        "DataPathPort": settings.data_path_port,
        "DefaultAddrPool": list(settings.pools),
        "SubnetSize": settings.subnet_bits,
    }


def swarm_document(node_id: str, settings: ClusterSettings) -> Document:
    """What `info` says of the swarm."""
    return {
        "NodeID": node_id,
        "NodeAddr": _ADDRESS,
        "LocalNodeState": "active",
        "ControlAvailable": True,
        "Error": "",
        "RemoteManagers": [{"NodeID": node_id, "Addr": f"{_ADDRESS}:2377"}],
        "Nodes": 1,
        "Managers": 1,
        "Cluster": cluster_document(node_id, settings),
    }


def no_swarm_document() -> Document:
    """The same of one that was left."""
    return {
        "NodeID": "",
        "NodeAddr": "",
        "LocalNodeState": "inactive",
        "ControlAvailable": False,
        "Error": "",
        "RemoteManagers": None,
    }
