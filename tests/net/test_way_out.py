"""The way out of bridge networks: slirp4netns on the router's tap, for both IP versions."""

from __future__ import annotations

import socket
import tempfile

import pytest

from net.networks import Subnet
from net.slirp import SlirpPlan, assume_features, end_slirp, start_slirp
from net.way_out import configure_way_out
from tests.net.bridge_containers import Container, bridge, connected, endpoint, router, run_in_user_namespace, socket_in

pytestmark = pytest.mark.requires("userns", "tap", "slirp4netns")


@pytest.mark.requires("ipv6")
def test_containers_go_out_but_those_of_internal_networks() -> None:
    told = run_in_user_namespace(_out)
    assert told["IPv4"] == "accepted"
    assert told["IPv6"] == "accepted"
    assert told["IPv6, again after slirp4netns died"] == "accepted"
    assert told["internal"] == "No route to host"


def _out() -> dict[str, str]:
    told = {}
    with router() as (made, routing), tempfile.TemporaryDirectory(prefix="sbx-") as directory:
        configure_way_out(routing)
        both = bridge(subnet6=Subnet("fd00:17::", 64, "fd00:17::1"))
        container = connected(routing, endpoint(both, 2))
        hidden = connected(routing, endpoint(bridge("c", 19, internal=True), 2))
        # a route that a container with NET_ADMIN would give itself
        hidden.run("ip", "route", "add", "default", "via", "172.19.0.1")
        plan = SlirpPlan(assume_features(), made.net_fd, f"{directory}/api.sock", host_loopback=True)
        process = start_slirp(plan)
        for _twice in range(2):
            configure_way_out(routing)
        # slirp4netns' own addresses stand for the host's loopback
        told["IPv4"] = _reach(container, "127.0.0.1", "10.0.2.2")
        told["IPv6"] = _reach(container, "::1", "fd00::2")
        told["internal"] = _reach(hidden, "127.0.0.1", "10.0.2.2")
        end_slirp(process)
        process = start_slirp(plan)
        configure_way_out(routing)
        told["IPv6, again after slirp4netns died"] = _reach(container, "::1", "fd00::2")
        end_slirp(process)
    return told


def _reach(container: Container, own: str, address: str) -> str:
    """Whether a connection from the container to `address` arrives at `own` here, or why not."""
    family = socket.AF_INET6 if ":" in own else socket.AF_INET
    with socket.create_server((own, 0), family=family) as server:
        server.settimeout(20)
        with socket_in(container, family, socket.SOCK_STREAM) as client:
            client.settimeout(20)
            try:
                client.connect((address, server.getsockname()[1]))
            except OSError as error:
                return error.strerror or str(error)
            server.accept()[0].close()
    return "accepted"
