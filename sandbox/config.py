"""The person's settings: CONFIG/config.toml. docs/configuration.md has every key, with what it is and an example.

A key that is not known is an error: a misspelt one would otherwise do nothing, silently.
"""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sandbox.paths import Paths

DEFAULT_CONCURRENCY = 4


class RegistrySettings(NamedTuple):
    """How registries are reached; the keys are domains as in references (`docker.io`, `host:port`)."""

    mirrors: Mapping[str, tuple[str, ...]] = {}
    insecure: tuple[str, ...] = ()
    ca_files: Mapping[str, str] = {}
    concurrency: int = DEFAULT_CONCURRENCY
    redirects: tuple[str, ...] = ()


class Config(NamedTuple):
    """All settings; what is not in the file has its default."""

    registries: RegistrySettings = RegistrySettings()
    #: "" lets the probe choose
    storage_driver: str = ""


#: section -> its keys
_KNOWN: dict[str, frozenset[str]] = {
    "registries": frozenset({"mirrors", "insecure", "ca", "concurrency", "redirects"}),
    "storage": frozenset({"driver"}),
}


def load_config(paths: Paths) -> Config:
    """The settings in `paths.config_root`, or the defaults where there is no file. Raises UsageError for a bad one."""
    path = f"{paths.config_root}/config.toml"
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise UsageError(f"cannot read {path}", cause=error.strerror or "", mend=f"ls -l {path}") from error
    return _parse(data, path)


def _parse(data: bytes, path: str) -> Config:
    # imported here: most people have no such file, and `run` reads the settings on every start
    import tomllib

    try:
        document = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _bad(path, "", f"not TOML: {error}") from error
    for section, content in document.items():
        if section not in _KNOWN:
            raise _bad(path, section, f"unknown key; known are {', '.join(_KNOWN)}")
        if not isinstance(content, dict):
            raise _bad(path, section, "must be a table")
        for key in content:
            if key not in _KNOWN[section]:
                raise _bad(path, f"{section}.{key}", f"unknown key; known are {', '.join(sorted(_KNOWN[section]))}")
    registries: dict[str, Any] = document.get("registries", {})
    return Config(
        RegistrySettings(
            _mirrors(path, registries.get("mirrors", {})),
            _texts(path, "registries.insecure", registries.get("insecure", [])),
            _text_table(path, "registries.ca", registries.get("ca", {})),
            _concurrency(path, registries.get("concurrency", DEFAULT_CONCURRENCY)),
            _texts(path, "registries.redirects", registries.get("redirects", [])),
        ),
        _text(path, "storage.driver", document.get("storage", {}).get("driver", "")),
    )


def _mirrors(path: str, value: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise _bad(path, "registries.mirrors", "must be a table of registry = [URLs]")
    mirrors = {key: _texts(path, f'registries.mirrors."{key}"', urls) for key, urls in value.items()}
    for key, urls in mirrors.items():
        for url in urls:
            if not url.startswith(("http://", "https://")) or not url.partition("://")[2]:
                raise _bad(path, f'registries.mirrors."{key}"', f"{url!r} must begin with http:// or https://")
    return mirrors


def _concurrency(path: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 32:
        raise _bad(path, "registries.concurrency", "must be a whole number from 1 to 32")
    return value


def _text_table(path: str, key: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _bad(path, key, "must be a table")
    return {name: _text(path, f'{key}."{name}"', text) for name, text in value.items()}


def _texts(path: str, key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _bad(path, key, "must be a list of texts")
    return tuple(value)


def _text(path: str, key: str, value: object) -> str:
    if not isinstance(value, str):
        raise _bad(path, key, "must be a text")
    return value


def _bad(path: str, key: str, cause: str) -> UsageError:
    where = f"{key} in {path}" if key else path
    return UsageError(f"bad setting: {where}", cause=cause, mend=f"correct {path}")
