"""`--log-driver` and `--log-opt`."""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.grammar.sizes import parse_size
from sandbox.values import DEFAULT_OPTIONS, LogConfig, LogOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DRIVERS = ("json-file", "local", "none")
#: what `logs --details` shows beside each line
_DETAILS = ("labels", "labels-regex", "env", "env-regex")
# Go's strconv.ParseBool
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


def parse_log(driver: str, options: Sequence[str]) -> LogConfig:
    """The log as asked for. Raises UsageError."""
    _check_driver(driver)
    pairs = []
    for text in options:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"invalid logging opt: {text}")
        # one after the other: the first that is wrong is told
        pairs.append((name, _check(driver, name, value)))
    return check_log(driver, pairs)


def check_log(driver: str, options: Sequence[tuple[str, str]]) -> LogConfig:
    """The log of this driver, of options of one name the last. Raises UsageError."""
    _check_driver(driver)
    found = {name: _check(driver, name, value) for name, value in options}
    if driver == "none" and found:
        raise UsageError("invalid logging opts for driver none")
    if found:
        combine_options(driver, found)
    return LogConfig(driver, tuple(found.items()))


def _check_driver(driver: str) -> None:
    if driver not in DRIVERS:
        raise UsageError(f"log driver '{driver}' is not supported", mend=f"use one of {', '.join(DRIVERS)}")


def combine_options(driver: str, options: Mapping[str, str]) -> LogOptions:
    """What checked options mean together, by Docker's rules for each driver. Raises UsageError where they disagree."""
    default = DEFAULT_OPTIONS[driver]
    size, files, compress = (options.get(name) for name in ("max-size", "max-file", "compress"))
    unlimited = size == "-1"
    maximum_bytes = 0 if unlimited else parse_size(size) if size else default.maximum_bytes
    if unlimited and files and int(files) > 1:
        raise UsageError("max-file cannot be greater than 1 with max-size=-1", mend="--log-opt max-size=10m")
    # a size of one's own is for one file with json-file
    many = default.maximum_files if driver == "local" or not size else 1
    maximum_files = int(files) if files else 1 if unlimited else many
    wants = default.compress if compress is None else compress in _TRUE
    if wants and maximum_files < 2 and compress is not None:
        raise UsageError(
            "compress cannot be true when max-file is less than 2 or max-size is not set",
            mend="--log-opt max-size=10m --log-opt max-file=3",
        )
    return LogOptions(maximum_bytes, maximum_files, wants and maximum_files > 1)


def _check(driver: str, name: str, value: str) -> str:
    if name == "max-size":
        if value != "-1" and parse_size(value) <= 0:
            raise UsageError(f"invalid value for max-size: {value}")
    elif name == "max-file":
        if not (value.isascii() and value.isdigit() and len(value) < 6 and int(value) > 0):
            raise UsageError(f"invalid value for max-file: {value}")
    elif name == "compress":
        if value not in _TRUE and value not in _FALSE:
            raise UsageError(f"invalid value for compress: {value}", mend="true or false")
    elif driver != "json-file" or name not in _DETAILS:
        known = ("max-size", "max-file", "compress", *(_DETAILS if driver == "json-file" else ()))
        raise UsageError(f"unknown log opt '{name}' for {driver} log driver", mend=f"one of {', '.join(known)}")
    elif name.endswith("-regex"):
        _check_expression(name, value)
    return value


def _check_expression(name: str, value: str) -> None:
    import re  # few write one

    try:
        re.compile(value)
    except re.error as error:
        mend = f"--log-opt {name}='^com\\.example\\.'"
        raise UsageError(f"invalid value for {name}: {value}: {error}", mend=mend) from None
