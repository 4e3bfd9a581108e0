"""What may be asked of a container's interface on one network."""

from __future__ import annotations

import pytest

from sandbox.errors import UsageError
from sandbox.grammar.endpoint_options import IFNAME, SYSCTLS, interface_name, interface_settings
from sandbox.grammar.networks import check_endpoint
from sandbox.values import EndpointRequest


def test_settings_are_those_of_one_interface() -> None:
    options = ((SYSCTLS, "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.neigh.ifname.delay_first_probe_time=9"),)
    assert interface_settings(options, "lan0") == (
        ("net/ipv4/conf/lan0/log_martians", "1"), ("net/ipv6/neigh/lan0/delay_first_probe_time", "9"),
    )  # fmt: skip
    assert interface_settings((("other", "x"),), "lan0") == ()
    assert interface_name(((IFNAME, "lan0"),)) == "lan0"


@pytest.mark.parametrize("text", [
    "net.ipv4.conf.IFNAME.log_martians", "net.ipv4.conf.eth0.log_martians=1", "net.core.conf.IFNAME.x=1",
    "net.ipv4.conf.IFNAME.a/b=1", "net.ipv4.route.IFNAME.flush=1", "kernel.x=1",
])  # fmt: skip
def test_other_settings_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="invalid endpoint sysctl"):
        check_endpoint(EndpointRequest("front", driver_options=((SYSCTLS, text),)))


@pytest.mark.parametrize("name", ["", "a/b", "a b", "lo", "..", "sixteen-bytes-xx"])
def test_names_that_no_interface_can_have_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="invalid interface name"):
        check_endpoint(EndpointRequest("front", driver_options=((IFNAME, name),)))


def test_link_local_addresses_are_of_the_link() -> None:
    given = EndpointRequest("front", link_local_addresses=("169.254.7.7", "FE80::7"))
    assert check_endpoint(given).link_local_addresses == ("169.254.7.7", "fe80::7")
    with pytest.raises(UsageError, match="invalid link local IP address"):
        check_endpoint(EndpointRequest("front", link_local_addresses=("10.0.0.1",)))
