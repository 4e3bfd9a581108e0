"""Messages of the domain name system, held against dnspython and against bytes of all kinds."""

from __future__ import annotations

import ipaddress
import socket

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.dns_wire import (
    AAAA,
    FORMERR,
    NOTIMP,
    NXDOMAIN,
    PTR,
    REFUSED,
    A,
    Question,
    address_of_pointer,
    answer_for,
    build_answer,
    encode_name,
    is_answer_to,
    question_to_pass_on,
    read_question,
    summarize,
    with_lifetimes,
)

LABELS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=12)
NAMES = st.lists(LABELS, min_size=1, max_size=5).map(".".join)


def _asked(name: str = "web", kind: str = "A", **options: object) -> bytes:
    return dns.message.make_query(name, kind, **options).to_wire()  # type: ignore[arg-type]


def _question(data: bytes) -> Question:
    question = read_question(data)
    assert question is not None
    return question


def _answered(data: bytes, *records: str, code: int = 0) -> bytes:
    answer = dns.message.make_response(dns.message.from_wire(data))
    for record in records:
        name, ttl, family, kind, value = record.split(maxsplit=4)
        answer.answer.append(dns.rrset.from_text(name, int(ttl), family, kind, value))
    answer.set_rcode(dns.rcode.Rcode(code))
    return answer.to_wire()


@given(NAMES, st.sampled_from(["A", "AAAA", "PTR", "SVCB", "TXT"]), st.booleans(), st.booleans())
def test_question_reads_as_dnspython_wrote_it(name: str, kind: str, extended: bool, signed: bool) -> None:
    options = {"use_edns": 0, "payload": 4000, "want_dnssec": signed} if extended else {}
    data = _asked(name.upper(), kind, **options)
    question = _question(data)
    assert (question.name, question.kind, question.code) == (name, dns.rdatatype.from_text(kind), 0)
    assert question.extended == extended
    assert question.signed == (extended and signed)
    assert question.octets == (4000 if question.extended else 512)
    assert not question.odd


@given(st.binary(max_size=600))
def test_bytes_of_all_kinds_are_read_or_refused(data: bytes) -> None:
    question = read_question(data)
    summarize(data, 12)
    is_answer_to(data, data, 12)
    if question is None:
        assert len(data) < 12 or data[2] & 0x80
    else:
        assert build_answer(question, data, code=question.code)[:2] == data[:2]


@given(NAMES, st.data())
def test_damaged_messages_are_read_or_refused(name: str, data: st.DataObject) -> None:
    sound = _answered(_asked(name, use_edns=0), f"{name}. 60 IN A 192.0.2.1", f"{name}. 5 IN A 192.0.2.2")
    octets = bytearray(sound)
    octets[data.draw(st.integers(0, len(sound) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(octets[: data.draw(st.integers(0, len(sound)))])
    summary = summarize(damaged, _question(_asked(name)).end)
    if summary is not None:
        with_lifetimes(damaged, summary.lifetimes, 3)
    as_question = bytes(damaged[:2]) + b"\1\0" + bytes(damaged[4:])
    question = read_question(as_question)
    if question is not None:
        question_to_pass_on(question, as_question, 7)


def test_what_may_not_be_answered_and_what_only_with_a_refusal() -> None:
    asked = _asked()
    assert read_question(asked[:11]) is None
    assert read_question(_answered(asked, "web. 1 IN A 192.0.2.1")) is None
    assert _question(asked[:2] + b"\x28\0" + asked[4:]).code == NOTIMP
    assert _question(asked[:5] + b"\2" + asked[6:]).code == FORMERR
    assert _question(asked[:-1]).code == FORMERR
    # a name that points to the number in front of it
    assert _question(asked[:12] + b"\xc0\x00\0\1\0\1").code == FORMERR
    refusal = dns.message.from_wire(build_answer(_question(asked[:-1]), asked[:-1], code=FORMERR))
    assert (refusal.rcode(), refusal.question) == (FORMERR, [])


def test_a_dot_inside_a_label_is_no_dot() -> None:
    data = _asked()[:12] + b"\x0bfoo.example\3net\0\0\1\0\1"
    assert _question(data).name == "foo\\046example.net"


@given(NAMES, st.lists(st.ip_addresses(v=4), max_size=60), st.booleans(), st.sampled_from([512, 65535]))
def test_answer_reads_with_dnspython(
    name: str, addresses: list[ipaddress.IPv4Address], extended: bool, limit: int
) -> None:
    data = _asked(name, use_edns=0 if extended else -1)
    records = [(A, address.packed) for address in addresses]
    octets = build_answer(_question(data), data, records=records, lifetime=9, limit=limit)
    answer = dns.message.from_wire(octets)
    assert len(octets) <= limit
    assert dns.message.from_wire(data).is_response(answer)
    assert answer.edns == (0 if extended else -1)
    given_addresses = [item.to_text() for rrset in answer.answer for item in rrset]
    if answer.flags & dns.flags.TC:
        assert limit == 512
        assert len(given_addresses) < len(addresses)
    else:
        assert set(given_addresses) == {str(address) for address in addresses}
    assert all(rrset.ttl == 9 for rrset in answer.answer)


@pytest.mark.parametrize("code", [NXDOMAIN, REFUSED])
def test_codes_and_flags(code: int) -> None:
    data = _asked("Nobody.Example", "AAAA")
    answer = dns.message.from_wire(build_answer(_question(data), data, code=code))
    assert answer.rcode() == code
    assert answer.flags & ~0xF == dns.flags.QR | dns.flags.RD | dns.flags.RA
    assert answer.question[0].name.to_text() == "Nobody.Example."


@given(st.ip_addresses())
def test_pointers(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    name = address.reverse_pointer
    assert ipaddress.ip_address(address_of_pointer(name)) == address
    data = _asked(name, "PTR")
    answer = dns.message.from_wire(build_answer(_question(data), data, records=[(PTR, encode_name("web.net"))]))
    assert answer.answer[0][0].to_text() == "web.net."


@given(NAMES | st.text(max_size=80))
def test_no_other_name_points(name: str) -> None:
    assert address_of_pointer(name) == ""
    address_of_pointer(f"{name}.in-addr.arpa")
    address_of_pointer(f"{name}.ip6.arpa")


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64, ".".join(["abcdefgh"] * 40)])
def test_names_that_cannot_be_written(name: str) -> None:
    with pytest.raises(ValueError):
        encode_name(name)


def test_question_goes_on_with_its_extension_and_without_its_options() -> None:
    cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
    data = dns.message.make_query("example.org", "HTTPS", use_edns=0, payload=1400, options=[cookie]).to_wire()
    passed = dns.message.from_wire(question_to_pass_on(_question(data), data, 4711))
    assert (passed.id, passed.edns, passed.payload, passed.options) == (4711, 0, 1400, ())
    assert passed.question == dns.message.from_wire(data).question


def test_only_the_answer_to_this_question_is_one() -> None:
    asked = _asked("example.org")
    end = _question(asked).end
    sound = _answered(asked, "example.org. 60 IN A 192.0.2.1")
    assert is_answer_to(sound, asked, end)
    assert is_answer_to(sound.replace(b"example", b"EXAMPLE"), asked, end)
    https = sound[: end - 3] + b"\x41" + sound[end - 2 :]
    assert is_answer_to(https, https[:2] + asked[2 : end - 3] + b"\x41" + asked[end - 2 :], end)
    for other in (
        b"\0\0" + sound[2:],
        https[: end - 3] + b"\x61" + https[end - 2 :],
        sound.replace(b"example", b"examplf"),
        asked,
        sound[:20],
        b"",
    ):
        assert not is_answer_to(other, asked, end)


def test_summary_says_how_long_and_which_addresses() -> None:
    asked = _asked("a.example", use_edns=0)
    octets = _answered(asked, "a.example. 300 IN CNAME b.example.", "b.example. 20 IN A 192.0.2.7")
    summary = summarize(octets, _question(asked).end)
    assert summary is not None
    assert (summary.code, summary.lifetime, summary.addresses) == (0, 20, (socket.inet_aton("192.0.2.7"),))
    aged = dns.message.from_wire(with_lifetimes(octets, summary.lifetimes, 25))
    assert [rrset.ttl for rrset in aged.answer] == [275, 0]


def test_a_name_that_is_not_there_is_kept_as_its_zone_says() -> None:
    asked = _asked("nobody.example", "AAAA")
    answer = dns.message.make_response(dns.message.from_wire(asked))
    answer.set_rcode(dns.rcode.NXDOMAIN)
    assert (found := summarize(answer.to_wire(), _question(asked).end)) is not None
    assert found.lifetime == 0
    answer.authority = [dns.rrset.from_text("example.", 900, "IN", "SOA", "ns.example. me.example. 1 2 3 4 30")]
    assert (found := summarize(answer.to_wire(), _question(asked).end)) is not None
    assert (found.code, found.lifetime) == (NXDOMAIN, 30)


def test_an_answer_is_given_to_another_asker_in_its_own_letters() -> None:
    first, second = _asked("example.org"), _asked("EXAMPLE.org")
    octets = _answered(first, "example.org. 60 IN AAAA 2001:db8::1")
    other = answer_for(_question(second), second, octets)
    answer = dns.message.from_wire(other)
    assert dns.message.from_wire(second).is_response(answer)
    assert answer.question[0].name.to_text() == "EXAMPLE.org."
    cut = dns.message.from_wire(answer_for(_question(second), second, octets, limit=40))
    assert cut.flags & dns.flags.TC
    assert cut.answer == []


def test_kinds_have_their_numbers() -> None:
    assert (dns.rdatatype.A, dns.rdatatype.AAAA, dns.rdatatype.PTR) == (A, AAAA, PTR)
