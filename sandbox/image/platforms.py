"""Platforms: `os/architecture[/variant]` texts, and which of an index's images suits one (containerd's rules)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandbox.errors import ImageNotFoundError, UsageError
from sandbox.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Go's GOOS and GOARCH: a text that stands alone is one or the other
_KNOWN_OS = frozenset(
    ("aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "nacl", "netbsd",
     "openbsd", "plan9", "solaris", "windows", "zos")
)  # fmt: skip
_KNOWN_ARCHITECTURES = frozenset(
    ("386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "loong64", "mips", "mipsle", "mips64", "mips64le",
     "mips64p32", "mips64p32le", "ppc", "ppc64", "ppc64le", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64",
     "wasm")
)  # fmt: skip
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
#: uname(2) machine -> what images call it
_MACHINES = {"armv7l": "arm/v7", "armv6l": "arm/v6", "armv8l": "arm/v8", "i686": "386", "i586": "386",
             "loongarch64": "loong64"}  # fmt: skip
#: (architecture, variant) written otherwise -> the usual form; None matches any variant
_ARCHITECTURES: dict[tuple[str, str | None], tuple[str, str]] = {
    ("i386", None): ("386", ""),
    ("x86_64", "v1"): ("amd64", ""),
    ("x86-64", "v1"): ("amd64", ""),
    ("amd64", "v1"): ("amd64", ""),
    ("arm64", "8"): ("arm64", ""),
    ("arm64", "v8"): ("arm64", ""),
    ("arm64", "v8.0"): ("arm64", ""),
    ("armhf", None): ("arm", "v7"),
    ("armel", None): ("arm", "v6"),
    ("arm", ""): ("arm", "v7"),
}
_SYNONYMS = {"aarch64": "arm64", "x86_64": "amd64", "x86-64": "amd64"}


class Platform(NamedTuple):
    """What an image was built for."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def normalised(self) -> Platform:
        """The same platform in the usual spelling: `aarch64`, `v8` is `arm64` with no variant."""
        architecture, variant = _normalise(self.architecture, self.variant)
        return self._replace(os=_normalise_os(self.os), architecture=architecture, variant=variant)


def host_platform() -> Platform:
    """What this machine runs."""
    machine = os.uname().machine
    architecture, _, variant = _MACHINES.get(machine, machine).partition("/")
    return Platform("linux", *_normalise(architecture, variant))


def parse_platform(text: str) -> Platform:
    """`linux/arm64/v8`, or an operating system or architecture alone, the rest from this machine. Raises UsageError."""
    parts = text.split("/")
    system, version, features = _read_os(parts[0], text)
    if len(parts) > 3 or not all(part and _WORD.issuperset(part) for part in parts[1:]):
        raise _invalid(text)
    if len(parts) == 1:
        return _guess(text, system, version, features)
    architecture, variant = _normalise(parts[1], parts[2] if len(parts) == 3 else "")
    if len(parts) == 2 and (architecture, variant) == ("arm", "v7"):
        variant = ""
    elif len(parts) == 3 and architecture == "arm64" and not variant:
        variant = "v8"
    return Platform(system, architecture, variant, version, features)


def choose_platform(wanted: Platform, offered: Sequence[Platform]) -> int | None:
    """The position in `offered` of what suits `wanted` best: its own variant, then older ones; None where none does."""
    normal = [platform.normalised() for platform in offered]
    for candidate in runnable(wanted):
        for position, platform in enumerate(normal):
            if platform[:3] == candidate[:3]:
                return position
    return None


def is_known(platform: Platform) -> bool:
    """Whether there is such a system, and such an architecture."""
    return platform.os in _KNOWN_OS and platform.architecture in _KNOWN_ARCHITECTURES


def require_platform(offered: str, wanted: str | None, what: str) -> None:
    """Raise ImageNotFoundError where the image `what`, which is for `offered`, does not suit a platform asked for."""
    if wanted and choose_platform(parse_platform(wanted), [parse_platform(offered)]) is None:
        raise ImageNotFoundError(
            f"image with reference {what} was found but does not provide the specified platform ({wanted})",
            cause=f"it is for {offered}",
            mend=f"sandbox pull --platform {wanted} {what}",
        )


def runnable(wanted: Platform) -> Iterable[Platform]:
    """What a machine of platform `wanted` runs, best first."""
    wanted = wanted.normalised()
    yield wanted
    if wanted.architecture == "arm64":
        if wanted.variant:
            yield wanted._replace(variant="")
        for variant in ("v8", "v7", "v6", "v5"):
            yield wanted._replace(architecture="arm", variant=variant)
    elif wanted.architecture == "arm":
        for number in range(int(wanted.variant[1:] or "7") - 1 if wanted.variant[1:].isdigit() else 0, 4, -1):
            yield wanted._replace(variant=f"v{number}")
    elif wanted.architecture == "amd64":
        if wanted.variant[1:].isdigit():
            for number in range(int(wanted.variant[1:]) - 1, 1, -1):
                yield wanted._replace(variant=f"v{number}")
            yield wanted._replace(variant="")
        yield wanted._replace(architecture="386", variant="")


def _guess(text: str, system: str, version: str, features: tuple[str, ...]) -> Platform:
    host = host_platform()
    if system in _KNOWN_OS:
        variant = host.variant if (host.architecture, host.variant) != ("arm", "v7") else ""
        return Platform(system, host.architecture, variant, version, features)
    architecture, variant = _normalise(text, "")
    if architecture not in _KNOWN_ARCHITECTURES:
        raise _invalid(text, ": unknown operating system or architecture")
    return Platform("linux", architecture, "" if (architecture, variant) == ("arm", "v7") else variant)


def _read_os(part: str, text: str) -> tuple[str, str, tuple[str, ...]]:
    system, parenthesis, detail = part.partition("(")
    if not system or not _WORD.issuperset(system) or (parenthesis and not detail.endswith(")")):
        raise _invalid(text)
    version, *features = detail.removesuffix(")").split("+")
    if not (_WORD | {"%"}).issuperset(version + "".join(features)):
        raise _invalid(text)
    return _normalise_os(system), _unescaped(version), tuple(_unescaped(feature) for feature in features)


def _normalise_os(system: str) -> str:
    system = system.lower()
    return "darwin" if system == "macos" else system


def _normalise(architecture: str, variant: str) -> tuple[str, str]:
    architecture, variant = architecture.lower(), variant.lower()
    architecture = _SYNONYMS.get(architecture, architecture)
    for key in ((architecture, variant), (architecture, None)):
        if key in _ARCHITECTURES:
            return _ARCHITECTURES[key]
    if architecture == "arm" and variant in ("5", "6", "7", "8"):
        variant = f"v{variant}"
    return architecture, variant


def _unescaped(text: str) -> str:
    if "%" not in text:
        return text
    from urllib.parse import unquote

    return unquote(text)


def _invalid(text: str, why: str = "") -> UsageError:
    return UsageError(
        f"invalid platform {text!r}{why}",
        cause="a platform is os/architecture[/variant]",
        mend="--platform linux/amd64",
    )
