"""Addresses and names: `--add-host`, `--dns`, `--dns-search`, `--hostname`."""

from __future__ import annotations

# not `socket`: it makes enumerations of every constant, which costs start-up time
from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from sandbox.errors import UsageError

_LONGEST_DOMAIN = 255


def parse_address(text: str) -> str:
    """An IPv4 or IPv6 address in its canonical form. Raises UsageError."""
    address = canonical_address(text.strip())
    if address is None:
        raise UsageError(f"IP address is not correctly formatted: {text}")
    return address


def canonical_address(text: str) -> str | None:
    """The address as the kernel would print it; None where `text` is none. inet_pton(3), so no partial forms."""
    for family in (AF_INET, AF_INET6):
        try:
            return inet_ntop(family, inet_pton(family, text))
        except (OSError, ValueError):
            continue
    return None


def parse_extra_host(text: str) -> str:
    """`name:address` of `--add-host name=address`, brackets round the address allowed. Raises UsageError."""
    equals, colon = text.find("="), text.find(":")
    # whichever separator comes first: an IPv6 address is full of colons
    at = min((place for place in (equals, colon) if place >= 0), default=-1)
    name, address = text[:at], text[at + 1 :]
    if at <= 0 or any(c.isspace() or not c.isprintable() for c in name):
        raise UsageError(f'bad format for add-host: "{text}"')
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if address != "host-gateway" and canonical_address(address) is None:
        raise UsageError(f'invalid IP address in add-host: "{address}"')
    return f"{name}:{address}"


def parse_dns_search(text: str) -> str:
    """A domain for resolv.conf(5), `.` for none. Raises UsageError."""
    domain = text.strip()
    if domain == ".":
        return domain
    labels = domain.removesuffix(".").split(".")
    has_letter = any(c.isascii() and c.isalpha() for c in domain)
    if len(domain) >= _LONGEST_DOMAIN or not has_letter or not all(_is_label(label) for label in labels):
        raise UsageError(f"{text} is not a valid domain")
    return domain


def _is_label(label: str) -> bool:
    if not label or len(label) > 63 or label[0] == "-" or label[-1] == "-":
        return False
    return label.isascii() and all(c.isalnum() or c in "-_" for c in label)


def parse_dns_option(text: str) -> str:
    """An option for resolv.conf(5), one word. Raises UsageError."""
    if not text or any(c.isspace() or not c.isprintable() for c in text):
        raise UsageError(f"invalid DNS option: {text!r}")
    return text


def parse_hostname(text: str) -> str:
    """A name for sethostname(2). Raises UsageError."""
    # the name goes into the container's /etc/hosts and /etc/hostname: a line break would add lines
    if len(text.encode(errors="surrogateescape")) > 64 or any(c.isspace() or not c.isprintable() for c in text):
        raise UsageError(f"invalid hostname: {text!r}")
    return text
