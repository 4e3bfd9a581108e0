"""The swarm of one as clients see it: what they ask of it, and what is refused."""

from __future__ import annotations

import pytest

from sandbox.api.cluster import Cluster
from sandbox.api.errors import ApiError

NODE = "node0000000000000000000ab"


def test_it_is_there_and_is_begun_once() -> None:
    cluster = Cluster()
    assert cluster.info(NODE)["LocalNodeState"] == "active"
    cluster.init({"DefaultAddrPool": ["2.0.0.0/16"], "DataPathPort": 4242}, {"Raft": {"SnapshotInterval": 5000}})
    document = cluster.with_tokens(NODE)
    assert (document["DefaultAddrPool"], document["SubnetSize"], document["DataPathPort"]) == (["2.0.0.0/16"], 24, 4242)
    assert document["Spec"]["Raft"]["SnapshotInterval"] == 5000
    assert document["Spec"]["Raft"]["HeartbeatTick"] == 1
    with pytest.raises(ApiError, match="already part of a swarm"):
        cluster.init({}, {})
    before = document["Version"]["Index"]
    cluster.init({"ForceNewCluster": True}, {})
    assert cluster.with_tokens(NODE)["Version"]["Index"] != before


def test_it_is_left_by_force_alone() -> None:
    cluster = Cluster()
    with pytest.raises(ApiError, match="--force"):
        cluster.leave(force=False)
    cluster.leave(force=True)
    assert cluster.info(NODE)["LocalNodeState"] == "inactive"
    with pytest.raises(ApiError, match="not a swarm manager") as raised:
        cluster.check_active()
    assert raised.value.status == 503
    with pytest.raises(ApiError, match="not part of a swarm"):
        cluster.leave(force=True)
    cluster.init({}, {})
    cluster.check_active()


def test_settings_and_tokens_change_by_version() -> None:
    cluster = Cluster()
    before = cluster.with_tokens(NODE)
    with pytest.raises(ApiError, match="out of sequence"):
        cluster.update(before["Version"]["Index"] + 1, {}, ())
    cluster.update(before["Version"]["Index"], {"Labels": {"a": "b"}}, ("Worker",))
    after = cluster.with_tokens(NODE)
    assert after["Version"]["Index"] == before["Version"]["Index"] + 1
    assert after["Spec"]["Labels"] == {"a": "b"}
    assert after["JoinTokens"]["Manager"] == before["JoinTokens"]["Manager"]
    assert after["JoinTokens"]["Worker"] != before["JoinTokens"]["Worker"]
    with pytest.raises(ApiError, match="AutoLockManagers") as raised:
        cluster.update(after["Version"]["Index"], {"EncryptionConfig": {"AutoLockManagers": True}}, ())
    assert raised.value.status == 501
