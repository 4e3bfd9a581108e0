"""Which address comes next, held against the standard library's reading of subnets."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.network.addresses import Span, next_free, number_of, span_of, text_of, usable_span

small = st.builds(
    lambda size, base: ipaddress.ip_network((base & ~((1 << (32 - size)) - 1), size)),
    st.integers(24, 32),
    st.integers(0, 2**32 - 1),
)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_an_address_is_a_number_and_back(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert number_of(str(address)) == int(address)
    assert ipaddress.ip_address(text_of(int(address), address.version)) == address


@given(small)
def test_containers_get_what_are_hosts_of_the_subnet(subnet: ipaddress.IPv4Network) -> None:
    span = usable_span(str(subnet))
    assert [text_of(number, 4) for number in range(span.first, span.last + 1)] == [str(host) for host in subnet.hosts()]


@given(small, st.integers(0, 255))
def test_host_bits_of_a_subnet_say_nothing(subnet: ipaddress.IPv4Network, bits: int) -> None:
    inside = subnet[bits % subnet.num_addresses]
    assert span_of(f"{inside}/{subnet.prefixlen}") == Span(int(subnet[0]), int(subnet[-1]), 4)


def test_a_subnet_of_ipv6_has_no_broadcast_address() -> None:
    span = usable_span("fd00:1::/120")
    assert (text_of(span.first, 6), text_of(span.last, 6)) == ("fd00:1::1", "fd00:1::ff")


def test_a_range_is_the_part_of_a_subnet_that_is_given() -> None:
    span = usable_span("172.18.0.0/16", "172.18.5.0/24")
    assert (text_of(span.first, 4), text_of(span.last, 4)) == ("172.18.5.0", "172.18.5.255")
    # and its ends where they are those of the subnet are none's
    assert usable_span("172.18.0.0/16", "172.18.0.0/24").first == number_of("172.18.0.1")


@pytest.mark.parametrize(
    "text", ["", "10.0.0.0", "10.0.0/8", "10.0.0.0/33", "10.0.0.0/-1", "fd00::/129", "a/8", "10.0.0.0/８"]
)
def test_what_is_no_subnet_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        span_of(text)


numbers = st.integers(0, 40)


@given(numbers, numbers, numbers, st.sets(numbers))
def test_the_next_is_the_nearest_free_one_beyond_the_last(first: int, last: int, after: int, taken: set[int]) -> None:
    span = Span(first, last, 4)
    found = next_free(span, after, taken)
    free = [number for number in range(first, last + 1) if number not in taken]
    if not free:
        assert found is None
    else:
        # one that lies outside the span is no place to go on from
        beyond = [number for number in free if first <= after <= last and number > after]
        assert found == (beyond or free)[0]
