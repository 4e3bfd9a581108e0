"""Credentials that a client sends along, for the operations that need them."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode

import msgspec

from sandbox.api.errors import ApiError
from sandbox.errors import ImageError
from sandbox.image.references import parse_reference
from sandbox.image.registry.docker_config import DOCKER_HUB_KEY

_LONGEST = 64 << 10


def decoded_header(text: str) -> dict[str, object]:
    """The object in a header of `X-Registry-Auth` or `X-Registry-Config`; {} where there is none. Raises ApiError."""
    if not text:
        return {}
    if len(text) > _LONGEST:
        raise ApiError(400, "invalid X-Registry-Auth header")
    try:
        found = msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        raise ApiError(400, "invalid X-Registry-Auth header") from None
    return found if isinstance(found, dict) else {}


def environment_of(header: str, image: str) -> dict[str, str]:
    """What lets an operation use the credentials of an `X-Registry-Auth` for an image's registry. Raises ApiError."""
    given = decoded_header(header)
    kept = {name: given[name] for name in ("username", "password", "auth", "identitytoken") if given.get(name)}
    if not kept:
        return {}
    try:
        domain = parse_reference(image).domain
    except ImageError:
        return {}
    return auth_environment({DOCKER_HUB_KEY if domain == "docker.io" else domain: kept})


def auth_environment(auths: dict[str, dict[str, object]]) -> dict[str, str]:
    """The variable that registries' credentials are read from before others."""
    return {"DOCKER_AUTH_CONFIG": msgspec.json.encode({"auths": auths}).decode()} if auths else {}
