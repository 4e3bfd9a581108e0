"""What a container asks of its network, where that is one that can have it."""

from __future__ import annotations

import pytest

from sandbox.container.model.record import ContainerConfig
from sandbox.errors import UsageError
from sandbox.network.requested import require_shapeable

PLAIN = ContainerConfig("busybox", "sha256:" + "b" * 64, (), ("sh",))
SLOW = PLAIN._replace(net_rate="10mbit")


@pytest.mark.parametrize("network", ["bridge", "mine"])
def test_bridges_have_wires_that_can_be_slow(network: str) -> None:
    require_shapeable(SLOW._replace(network=network))


@pytest.mark.parametrize("network", ["none", "host", "container:other", "slirp4netns"])
def test_other_networks_have_not(network: str) -> None:
    require_shapeable(PLAIN._replace(network=network))
    for config in (SLOW, PLAIN._replace(net_delay="5ms"), PLAIN._replace(net_loss="1%")):
        with pytest.raises(UsageError) as caught:
            require_shapeable(config._replace(network=network))
        assert (caught.value.cause, caught.value.mend) == (f"--network {network} is none", "--network bridge")


def test_default_network_is_asked_for_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.network.mode.default_mode", lambda: "private")
    with pytest.raises(UsageError, match="need a bridge network"):
        require_shapeable(SLOW)
    monkeypatch.setattr("sandbox.network.mode.default_mode", lambda: "bridge")
    require_shapeable(SLOW)
