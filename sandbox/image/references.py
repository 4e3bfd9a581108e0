"""Image references, read as Docker reads them (the distribution/reference grammar and its familiar names).

A reference is `[domain/]path[:tag][@digest]`. `parse_reference` fills in what a person leaves out (docker.io,
`library/`); `familiar` takes it away again, so that `alpine` is shown as `alpine`. Written by hand, without `re`:
`run` reads a reference on every start.
"""

from __future__ import annotations

from sandbox.errors import ImageError
from sandbox.named_tuple import NamedTuple

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"
#: of the path, the domain not counted
_PATH_LENGTH_MAX = 255
_TAG_LENGTH_MAX = 128

_LOWER_HEX = frozenset("0123456789abcdef")
_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_ALNUM = _LOWER | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGITS = frozenset("0123456789")
_IPV6 = _DIGITS | frozenset("abcdefABCDEF:")
_WORD = _ALNUM | {"_"}
_TAG = _WORD | {".", "-"}


class Reference(NamedTuple):
    """A valid reference; `domain` is empty only in what `parse_strict` returns."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """`docker.io/library/alpine`: the name under which the database keeps it."""
        return f"{self.domain}/{self.path}" if self.domain else self.path

    @property
    def name(self) -> str:
        """The repository with its tag, `latest` where none was given: the key of `image_name`."""
        return f"{self.repository}:{self.tag or DEFAULT_TAG}"

    @property
    def familiar_repository(self) -> str:
        """The repository as people write it: `alpine`, `user/app`, `ghcr.io/user/app`."""
        if self.domain != DEFAULT_DOMAIN:
            return self.repository
        short = self.path.removeprefix(_OFFICIAL)
        return self.path if "/" in short else short

    @property
    def familiar(self) -> str:
        """The reference as people write it, with tag and digest where it has them."""
        return self.familiar_repository + self._suffix()

    def __str__(self) -> str:
        return self.repository + self._suffix()

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse_reference(text: str) -> Reference:
    """The reference `text` names, domain and `library/` filled in, tag and digest as given. Raises ImageError."""
    if is_identifier(text):
        raise _invalid(text, "64 hexadecimal digits are an image ID, not a name")
    domain, rest = _split_domain(text)
    remote = rest.split("@", 1)[0].split(":", 1)[0]
    if remote.lower() != remote:
        given = remote if text.endswith(rest) else remote.removeprefix("library/")  # which nobody typed
        tail = rest[len(remote) :]
        mend = text.removesuffix(given + tail) + given.lower() + tail
        raise _invalid(text, f"repository name {given!r} must be lowercase", mend=mend)
    return parse_strict(f"{domain}/{rest}", shown=text)


def parse_strict(text: str, *, shown: str = "") -> Reference:
    """The reference by the bare grammar, nothing filled in. Raises ImageError, which names `shown` or else `text`."""
    shown = shown or text
    if not text:
        raise _invalid(shown, "the name is empty")
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise _invalid(shown, f"{digest!r} is not a digest: sha256: and 64 lower-case hexadecimal digits")
    head, slash, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not is_tag(tag):
        raise _invalid(shown, f"{tag!r} is not a tag: letters, digits, '_', '.', '-'; at most 128; no '.' or '-' first")
    first, _, remainder = f"{head}{slash}{last}".partition("/")
    if remainder and is_domain(first):
        domain, path = first, remainder
    else:
        domain, path = "", f"{head}{slash}{last}"
    if len(path) > _PATH_LENGTH_MAX:
        raise _invalid(shown, f"the repository name is longer than {_PATH_LENGTH_MAX} characters")
    for component in path.split("/"):
        if not _is_path_component(component):
            raise _invalid(shown, _why_not(component))
    return Reference(domain, path, tag, digest)


def is_identifier(text: str) -> bool:
    """Whether `text` is a full image ID without its algorithm: 64 lower-case hexadecimal digits."""
    return len(text) == 64 and _LOWER_HEX.issuperset(text)


def is_digest(text: str) -> bool:
    """Whether `text` is `sha256:` and 64 lower-case hexadecimal digits; no other algorithm is accepted."""
    return text.startswith("sha256:") and is_identifier(text[7:])


def is_tag(text: str) -> bool:
    return 0 < len(text) <= _TAG_LENGTH_MAX and text[0] in _WORD and _TAG.issuperset(text)


def is_domain(text: str) -> bool:
    """Whether `text` is a host with an optional port: a name, an IPv4 address or an IPv6 address in brackets."""
    if text.startswith("["):
        address, bracket, port = text[1:].partition("]")
        return bool(bracket and address) and _IPV6.issuperset(address) and _is_port(port)
    host, colon, port = text.partition(":")
    return all(map(_is_host_component, host.split("."))) and _is_port(colon + port)


def matches(pattern: str, reference: Reference) -> bool:
    """Whether `pattern` (shell style; `*` stops at a slash) matches the familiar name, with or without its tag."""
    return glob_match(pattern, reference.familiar) or glob_match(pattern, reference.familiar_repository)


def glob_match(pattern: str, text: str) -> bool:
    """Go's path.Match: `*` and `?` do not match a slash, `[a-z]` and `[^a-z]` are classes. Raises ImageError."""
    # imported here: only filters come this far
    import re

    translated = []
    position = 0
    while position < len(pattern):
        letter = pattern[position]
        position += 1
        if letter == "*":
            translated.append("[^/]*")
        elif letter == "?":
            translated.append("[^/]")
        elif letter == "\\" and position < len(pattern):
            translated.append(re.escape(pattern[position]))
            position += 1
        elif letter == "[":
            end = pattern.find("]", position + 1)
            if end < 0:
                raise ImageError(f"invalid pattern {pattern!r}", cause="'[' is not closed")
            inside = pattern[position:end].replace("\\", "\\\\").replace("[", "\\[")
            translated.append(f"[{inside}]")
            position = end + 1
        else:
            translated.append(re.escape(letter))
    # two stars in a row would make the matcher try every split of the text
    joined = "".join(translated)
    while "[^/]*[^/]*" in joined:
        joined = joined.replace("[^/]*[^/]*", "[^/]*")
    try:
        return re.fullmatch(joined, text) is not None
    except re.error as error:
        raise ImageError(f"invalid pattern {pattern!r}", cause=str(error)) from error


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if not slash:
        # "ubuntu:22.04" is a tag, not a host and port
        return DEFAULT_DOMAIN, _OFFICIAL + text
    if first == _LEGACY_DOMAIN:
        first = DEFAULT_DOMAIN
    elif first != "localhost" and "." not in first and ":" not in first and first.lower() == first:
        first, rest = DEFAULT_DOMAIN, text
    if first == DEFAULT_DOMAIN and "/" not in rest:
        rest = _OFFICIAL + rest
    return first, rest


def _is_port(text: str) -> bool:
    return not text or (text[0] == ":" and len(text) > 1 and _DIGITS.issuperset(text[1:]))


def _is_host_component(text: str) -> bool:
    return bool(text) and text[0] != "-" and text[-1] != "-" and _ALNUM.issuperset(text.replace("-", "a"))


def _is_path_component(text: str) -> bool:
    # alphanumerics, between which stands one of ".", "_", "__", or any number of "-"
    if not text or text[0] not in _LOWER or text[-1] not in _LOWER:
        return False
    separator = ""
    for letter in text:
        if letter in _LOWER:
            if separator not in ("", ".", "_", "__") and separator.strip("-"):
                return False
            separator = ""
        elif letter in "._-":
            separator += letter
        else:
            return False
    return True


def _why_not(component: str) -> str:
    if not component:
        return "a part of the name is empty"
    if component.lower() != component:
        return f"repository name {component!r} must be lowercase"
    return f"{component!r} may hold a-z and 0-9, and between them '.', '_', '__' or '-'"


def _invalid(text: str, cause: str, *, mend: str = "") -> ImageError:
    return ImageError(f"invalid reference format: {text!r}", cause=cause, mend=f"try {mend}" if mend else "")
