"""`--device`, and the block device texts of `--device-read-bps`, `--device-read-iops` and `--blkio-weight-device`."""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.grammar.sizes import parse_size
from sandbox.named_tuple import NamedTuple
from sandbox.values import Device


class ThrottleRate(NamedTuple):
    device_path: str
    rate: int


def check_device_path(text: str) -> str:
    """`text` again. Raises UsageError unless it is `HOST[:CONTAINER[:MODE]]` with an absolute path in the container."""
    parts = text.split(":")
    if len(parts) > 3 or not parts[0]:
        raise UsageError(f"bad format for path: {text}")
    has_mode_only = len(parts) == 2 and is_device_mode(parts[1])
    container_path = parts[0] if len(parts) == 1 or has_mode_only else parts[1]
    if len(parts) == 3 and not is_device_mode(parts[2]):
        raise UsageError(f"bad mode specified: {parts[2]}")
    if not container_path.startswith("/"):
        raise UsageError(f"{container_path} is not an absolute path")
    return text


def is_device_mode(text: str) -> bool:
    """Whether `text` is one to three of r, w and m, none twice."""
    return bool(text) and len(set(text)) == len(text) and set(text) <= set("rwm")


def parse_device(text: str) -> Device:
    """The device that `text` names: `HOST[:CONTAINER][:MODE]`. Raises UsageError."""
    host_path, *rest = check_device_path(text).split(":")
    permissions = rest.pop() if rest and is_device_mode(rest[-1]) else "rwm"
    container_path = rest[0] if rest else host_path
    return check_device(Device(host_path, container_path, permissions))


def check_device(device: Device) -> Device:
    """`device` again. Raises UsageError unless its paths are absolute, and its permissions some of r, w and m."""
    for path in (device.host_path, device.container_path):
        if not path.startswith("/") or "\0" in path:
            raise UsageError(f"{path} is not an absolute path")
    if not is_device_mode(device.permissions):
        raise UsageError(f"bad mode specified: {device.permissions}")
    return device


def _device_and_value(text: str) -> tuple[str, str]:
    path, colon, value = text.partition(":")
    if not colon or not path:
        raise UsageError(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise UsageError(f"bad format for device path: {text}")
    return path, value


def parse_throttle_bytes(text: str) -> ThrottleRate:
    """`/dev/sda:1mb`, bytes in a second. Raises UsageError."""
    path, value = _device_and_value(text)
    try:
        return ThrottleRate(path, parse_size(value))
    except UsageError as error:
        raise UsageError(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]"
        ) from error


def parse_throttle_operations(text: str) -> ThrottleRate:
    """`/dev/sda:1000`, operations in a second. Raises UsageError."""
    path, value = _device_and_value(text)
    if not value.isascii() or not value.isdigit() or len(value) > 19:
        raise UsageError(f"invalid rate for device: {text}. The correct format is <device-path>:<number>")
    return ThrottleRate(path, int(value))


def parse_weight_device(text: str) -> ThrottleRate:
    """`/dev/sda:500`, a weight of 10 to 1000, or 0. Raises UsageError."""
    path, value = _device_and_value(text)
    weight = int(value) if value.isascii() and value.isdigit() and len(value) < 6 else -1
    if weight != 0 and not 10 <= weight <= 1000:
        raise UsageError(f"invalid weight for device: {text}")
    return ThrottleRate(path, weight)
