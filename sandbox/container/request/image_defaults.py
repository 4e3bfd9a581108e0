"""What an image says of the containers made of it. The JSON comes from strangers: every field is checked."""

from __future__ import annotations

from sandbox.errors import ImageError
from sandbox.named_tuple import NamedTuple
from sandbox.values import HealthCheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class ImageDefaults(NamedTuple):
    """The `config` part of an image's configuration (image-spec config.md), absent fields empty."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    working_directory: str = ""
    user: str = ""
    labels: Mapping[str, str] = {}
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    health: HealthCheck = HealthCheck()
    shell: tuple[str, ...] = ()


def read_image_defaults(document: dict[str, Any], image: str) -> ImageDefaults:  # Any: the image's JSON
    """The defaults in a config blob, or in its `config` part alone. Raises ImageError for a field of a wrong type."""
    part = document.get("config") if "config" in document or "rootfs" in document else document
    if part is None:
        return ImageDefaults()
    reader = _Reader(image)
    if not isinstance(part, dict):
        raise reader.error("config")
    health = part.get("Healthcheck")
    entrypoint = reader.texts(part, "Entrypoint")
    return ImageDefaults(
        # ENTRYPOINT [""] takes a base's away
        entrypoint=() if entrypoint == ("",) else entrypoint,
        command=reader.texts(part, "Cmd"),
        environment=reader.texts(part, "Env"),
        working_directory=reader.text(part, "WorkingDir"),
        user=reader.text(part, "User"),
        labels=reader.pairs(part, "Labels"),
        exposed_ports=_ports(reader.keys(part, "ExposedPorts"), reader),
        volumes=reader.keys(part, "Volumes"),
        stop_signal=reader.text(part, "StopSignal"),
        health=_health(health, reader) if health else HealthCheck(),
        shell=reader.texts(part, "Shell"),
    )


class _Reader(NamedTuple):
    """Takes fields out of JSON objects by type; null stands for absent."""

    image: str

    def error(self, name: str) -> ImageError:
        return ImageError(f"image {self.image}: the field {name} of its configuration is not what it should be")

    def text(self, part: dict[str, Any], name: str) -> str:
        value = part.get(name)
        if value is None:
            return ""
        # a null character would end the text early for the kernel, and mean something else than what was checked
        if not isinstance(value, str) or "\0" in value:
            raise self.error(name)
        return value

    def texts(self, part: dict[str, Any], name: str) -> tuple[str, ...]:
        value = part.get(name)
        if value is None:
            return ()
        if isinstance(value, str):
            # very old images have a single text here
            value = [value]
        if not isinstance(value, list) or not all(isinstance(item, str) and "\0" not in item for item in value):
            raise self.error(name)
        return tuple(value)

    def pairs(self, part: dict[str, Any], name: str) -> dict[str, str]:
        value = part.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise self.error(name)
        return value

    def keys(self, part: dict[str, Any], name: str) -> tuple[str, ...]:
        value = part.get(name)
        if value is None:
            return ()
        if not isinstance(value, dict) or any("\0" in key for key in value):
            raise self.error(name)
        return tuple(value)

    def number(self, part: dict[str, Any], name: str) -> int:
        value = part.get(name)
        if value is None:
            return 0
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.error(name)
        return value


def _ports(texts: tuple[str, ...], reader: _Reader) -> tuple[str, ...]:
    if not texts:
        return ()
    from sandbox.errors import UsageError
    from sandbox.grammar.ports import parse_exposed

    try:
        return tuple(port for text in texts for port in parse_exposed(text))
    except UsageError as error:
        raise ImageError(f"image {reader.image}: {error.message}", cause=error.cause) from error


def _health(part: Any, reader: _Reader) -> HealthCheck:
    if not isinstance(part, dict):
        raise reader.error("Healthcheck")
    return HealthCheck(
        reader.texts(part, "Test"),
        reader.number(part, "Interval"),
        reader.number(part, "Timeout"),
        reader.number(part, "StartPeriod"),
        reader.number(part, "StartInterval"),
        reader.number(part, "Retries"),
    )
