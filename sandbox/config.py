"""The person's settings: CONFIG/config.toml. docs/configuration.md has every key, with what it is and an example.

A key that is not known is an error: a misspelt one would otherwise do nothing, silently. The variables of
`sandbox.paths.SETTINGS_VARIABLES` say more than the file.
"""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
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
    #: what networks without a --subnet get parts of: (base, prefix of each part); empty is Docker's own
    address_pools: tuple[tuple[str, int], ...] = ()


#: section -> its keys
_KNOWN: dict[str, frozenset[str]] = {
    "registries": frozenset({"mirrors", "insecure", "ca", "concurrency", "redirects"}),
    "storage": frozenset({"driver"}),
    "networks": frozenset({"default-address-pools"}),
}


def load_config(paths: Paths) -> Config:
    """The settings in `paths.config_root` and of `paths.settings`, or the defaults. Raises UsageError for a bad one."""
    path = f"{paths.config_root}/config.toml"
    try:
        with open(path, "rb") as file:
            config = _parse(file.read(), path)
    except FileNotFoundError:
        config = Config()
    except OSError as error:
        raise UsageError(f"cannot read {path}", cause=error.strerror or "", mend=f"ls -l {path}") from error
    for name, text in paths.settings:
        config = _overridden(config, name, text)
    return config


def _parse(data: bytes, path: str) -> Config:
    # imported here: most people have no such file, and `run` reads the settings on every start
    import tomllib

    try:
        text = data.decode()
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _bad(path, "", f"not TOML: {error}") from error
    for section, content in document.items():
        if section not in _KNOWN:
            raise _unknown(path, text, ("", section), _KNOWN)
        if not isinstance(content, dict):
            raise _bad(path, section, "must be a table")
        for key in content:
            if key not in _KNOWN[section]:
                raise _unknown(path, text, (section, key), _KNOWN[section])
    return _read(document, path)


def _unknown(path: str, text: str, key: tuple[str, str], known: Collection[str]) -> UsageError:
    from sandbox.near_names import nearest  # for errors only

    section, name = key
    near = nearest(name, known)
    where = f"{path}:{_line_of(text, section, name)}"
    hint = f"did you mean {near}? " if near else ""
    return UsageError(
        f"bad setting: {section}.{name} in {where}" if section else f"bad setting: {name} in {where}",
        cause=f"unknown key; {hint}known are {', '.join(sorted(known))}",
        mend=f"correct {path}",
    )


def _line_of(text: str, section: str, name: str) -> int:
    """The number of the line where TOML that could be read has a key, or a table of that name; 1 where that is odd."""
    inside = not section
    for number, line in enumerate(text.splitlines(), 1):
        plain = line.split("#")[0].replace('"', "").replace("'", "").replace(" ", "").strip()
        if plain.startswith("["):
            table = plain.strip("[]")
            inside = table == section
            if (table == name and not section) or f"{table}.".startswith(f"{section}.{name}."):
                return number
        elif plain.startswith((f"{section}.{name}=", f"{section}.{name}.")) or (
            inside and plain.startswith((f"{name}=", f"{name}."))
        ):
            return number
    return 1


def _overridden(config: Config, variable: str, text: str) -> Config:
    """`config` as the variable of the environment has it. Raises UsageError."""
    _, section, key = variable.lower().split("_", 2)
    key = key.replace("_", "-")
    words = [word.strip() for word in text.split(",") if word.strip()]
    value: object = text
    if key in ("insecure", "redirects"):
        value = words
    elif key in ("mirrors", "ca"):
        pairs = [word.partition("=") for word in words]
        value = {name: place if key == "ca" else [url for n, _, url in pairs if n == name] for name, _, place in pairs}
    elif key == "default-address-pools":
        value = _pool_texts(text)
    elif key == "concurrency":
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else text
    given = _read({section: {key: value}}, f"the variable {variable}")
    if section == "networks":
        return config._replace(address_pools=given.address_pools)
    if section == "storage":
        return config._replace(storage_driver=given.storage_driver)
    field = "ca_files" if key == "ca" else key
    return config._replace(registries=config.registries._replace(**{field: getattr(given.registries, field)}))


def _pool_texts(text: str) -> list[dict[str, object]]:
    """The pools of "base=10.10.0.0/16,size=24;base=…", each as dockerd's option has it."""
    pools = []
    for part in filter(None, text.split(";")):
        pool: dict[str, object] = dict(word.strip().partition("=")[::2] for word in part.split(","))
        size = str(pool.get("size", ""))
        pools.append({**pool, "size": int(size) if size.isascii() and size.isdigit() and len(size) < 4 else size})
    return pools


def _read(document: dict[str, Any], path: str) -> Config:
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
        _pools(path, document.get("networks", {}).get("default-address-pools", [])),
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


def _pools(path: str, value: object) -> tuple[tuple[str, int], ...]:
    key = "networks.default-address-pools"
    form = 'must be a list of {base = "10.10.0.0/16", size = 24}'
    if not isinstance(value, list):
        raise _bad(path, key, form)
    if not value:
        return ()
    from net.errors import NetError
    from net.subnets import Pool, check_pool

    pools = []
    for item in value:
        if not isinstance(item, dict) or item.keys() != {"base", "size"}:
            raise _bad(path, key, form)
        base, size = item["base"], item["size"]
        if not isinstance(base, str) or not isinstance(size, int) or isinstance(size, bool):
            raise _bad(path, key, form)
        try:
            check_pool(Pool(base, size))
        except NetError as error:
            raise _bad(path, key, f"{error.message}: {error.cause}") from error
        pools.append((base, size))
    return tuple(pools)


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
